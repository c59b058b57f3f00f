import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../domain/strings.ts';
import { captureTlsProblems } from './capture-tls.ts';
import { ADDRESS_PARTS } from './compose-addresses.ts';
import { readGiven, suggestion, type Env, type Origin } from './given.ts';
import { kafkaTlsNotices } from './kafka-tls.ts';
import { textOf } from './mask.ts';
import { capabilitiesOf, type Mode } from './modes.ts';
import { parseSetting } from './parse-setting.ts';
import { kindOfPem, pemOfTextOrFile } from './pem.ts';
import type { Problem } from './problem.ts';
import { neededServers, RULES } from './rules.ts';
import { ALL_SETTINGS, type Config, type SectionName } from './schema.ts';
import type { Setting, SettingValue } from './setting.ts';
import { reasonWithoutEffect } from './without-effect.ts';

export type { Env, Origin } from './given.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** Where the value of each setting came from, by variable name. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** What the operator should know though nothing is wrong: variables without effect, servers that are embedded. One line each. */
  readonly notices: readonly string[];
}

/** Everything that is wrong with the settings, at once. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    const lines = problems.map(
      ({ name, value, isUnreadable, place, allowed, todo }) =>
        `  ${isUnreadable ? `Invalid ${name} ${value}` : `${name}${value === undefined ? '' : ` = ${value}`}`}${place === undefined ? '' : ` (${place})`}\n    allowed: ${allowed}\n    to do:   ${todo}`,
    );
    super(
      `${problems.length === 1 ? 'One setting is' : `${problems.length} settings are`} wrong, so nothing was started:\n${lines.join('\n')}`,
    );
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

type ReadFile = (path: string) => string;
const readText: ReadFile = (path) => readFileSync(path, 'utf8');

export interface LoadOptions {
  /** `NAME=value` pairs of the command line (`--set`); they win over the environment. */
  readonly overrides?: readonly string[];
  readonly readFile?: ReadFile;
  readonly hostName?: string;
}

/**
 * Reads all settings, once, before anything is started. An empty value is an unset one.
 * @throws ConfigError with every problem: unparsable values, unknown TROUPE_* names, broken rules between settings.
 */
export function loadConfig(
  environment: Env,
  { overrides = [], readFile = readText, hostName = hostname() }: LoadOptions = {},
): LoadedConfig {
  const problems: Problem[] = [];
  const env = withoutServiceLinks(environment);
  const given = readGiven({ env, overrides, readFile }, problems);
  const origins = new Map([...given].map(([name, { origin }]) => [name, origin] as const));
  problems.push(...unknownNames([...Object.keys(env), ...overrides.map((pair) => pair.split('=', 1)[0] ?? '')]));

  const sections: Record<string, Record<string, SettingValue>> = {};
  for (const { section, key, setting } of ALL_SETTINGS) {
    const { value, origin } = given.get(setting.name) ?? { value: undefined, origin: 'default' };
    const parsed = parseSetting(setting, value);
    if (parsed.type === 'problem') problems.push(placed(parsed.problem, origin));
    if (!origins.has(setting.name)) origins.set(setting.name, 'default');
    (sections[section] ??= {})[key] = parsed.type === 'value' ? parsed.value : setting.default;
  }
  derive(sections, origins, hostName);
  const config = sections as unknown as Config; // the sections and keys are those of SCHEMA, which Config is derived from

  // Rules speak about the values in force: after an unparsable value they would complain about a default.
  if (problems.length === 0) {
    problems.push(...brokenRules(config, readFile));
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { config, origins, notices: noticesOf(config, env, given) };
}

/** What is wrong between settings that can each be read, and with the files that they name. */
export function brokenRules(config: Config, readFile: ReadFile = readText): readonly Problem[] {
  return [
    ...RULES.flatMap((rule) => rule.check(config) ?? []),
    ...missingServers(config),
    ...unusableAuthorities(config, readFile),
    ...captureTlsProblems(config, readFile),
  ];
}

/** The problem with the line of the configuration file that its value stands in. */
function placed(problem: Problem, origin: Origin): Problem {
  return origin.startsWith('config ') ? { ...problem, place: origin.slice('config '.length) } : problem;
}

/** Defaults that depend on other settings; the table says so with `derived`. */
function derive(sections: Record<string, Record<string, SettingValue>>, origins: Map<string, Origin>, hostName: string): void {
  const fill = (section: string, key: string, name: string, value: () => SettingValue): void => {
    const row = sections[section];
    if (row === undefined || row[key] !== undefined) return;
    row[key] = value();
    const derived = ALL_SETTINGS.find(({ setting }) => setting.name === name)?.setting.derived;
    if (row[key] !== undefined) origins.set(name, `from ${derived ?? 'other settings'}`);
  };
  fill('kafka', 'clientId', 'KAFKA_CLIENT_ID', () => hostName);
  fill('kafka', 'rebalanceTimeoutMs', 'KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS', () => 2 * Number(sections['kafka']?.['sessionTimeoutMs']));
  fill('plugins', 'deadlineMs', 'TROUPE_PLUGIN_DEADLINE_MS', () => 1_000 * Number(sections['plugins']?.['taskTimeoutS']));
  fill('capture', 'enabled', 'TROUPE_CAPTURE_ENABLED', () => capabilitiesOf(sections['server']?.['mode'] as Mode).capture);
  fill('capture', 'spillDir', 'TROUPE_SPILL_DIR', () => join(textOf(sections['server']?.['dataDir']), 'spill'));
  fill('capture', 'spillInstance', 'TROUPE_SPILL_INSTANCE', () => hostName);
  fill('server', 'ordinal', 'TROUPE_ORDINAL', () => {
    const number = /-(\d+)$/.exec(hostName)?.[1];
    return sections['server']?.['replicas'] === undefined || number === undefined ? undefined : Number(number);
  });
}

/**
 * Kubernetes tells every pod the address of each Service by variables named after it: a Service `troupe-capture` sets
 * TROUPE_CAPTURE_PORT=tcp://10.0.0.7:8010 and a dozen more. They are not meant for us.
 */
function withoutServiceLinks(env: Env): Env {
  const isServiceLink = (name: string, value: string | undefined): boolean =>
    /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):/.test(value ?? ''));
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => !isServiceLink(name, value)));
}

function unknownNames(names: readonly string[]): Problem[] {
  const known = new Set(ALL_SETTINGS.flatMap(({ setting }) => [setting.name, ...fileNameOf(setting)]));
  return names
    .filter((name) => name.startsWith('TROUPE_') && !known.has(name))
    .map((name) => ({ name, value: undefined, allowed: 'the TROUPE_* settings of docs/configuration.md', todo: suggestion(name) }));
}
const fileNameOf = (setting: Setting): readonly string[] => (setting.secret === true ? [`${setting.name}_FILE`] : []);

/**
 * A missing address is nearly always a lost variable, and events would go to the disk of a pod: in production, and in any process
 * that reads a real Kafka, whose committed offsets would say that they are stored. Redis holds hints, so it may be missing beside Kafka.
 */
function missingServers(config: Config): Problem[] {
  if (config.embedded.inProduction) return [];
  const isProduction = config.server.environment === 'production';
  const readsKafka = config.kafka.hosts.length > 0;
  return neededServers(config)
    .filter(({ name, isSet }) => !isSet(config) && (isProduction || (readsKafka && name !== 'REDIS_URL')))
    .map(({ name, parts, system }) => ({
      name,
      value: undefined,
      allowed: `the address of ${system}, because ${isProduction ? 'NODE_ENV is production' : 'KAFKA_HOSTS names a real Kafka'}`,
      todo: `set it${parts === undefined ? '' : `, or ${parts}`}; TROUPE_EMBEDDED_IN_PRODUCTION=true runs an embedded ${system} on purpose`,
    }));
}

/** Certificate authorities that are neither a text nor a readable file of certificates. */
function unusableAuthorities({ clickhouse, postgres, redis }: Config, readFile: ReadFile): Problem[] {
  const given = [
    ['CLICKHOUSE_CA', clickhouse.ca],
    ['TROUPE_POSTGRES_CA', postgres.ca],
    ['TROUPE_REDIS_CA', redis.ca],
  ] as const;
  return given.flatMap(([name, value]) => {
    if (value === undefined) return [];
    const problem = {
      name,
      value: value.includes('-----BEGIN') ? undefined : value,
      allowed: 'PEM text of certificates, or the path of such a file',
    };
    try {
      const isCertificate = kindOfPem(pemOfTextOrFile(value, readFile)) === 'certificate';
      return isCertificate ? [] : [{ ...problem, todo: 'give the certificate of the authority: what is there is none' }];
    } catch (error) {
      return [{ ...problem, todo: messageOf(error) }];
    }
  });
}

function noticesOf(config: Config, env: Env, given: ReadonlyMap<string, { readonly origin: Origin }>): string[] {
  const notices: string[] = [];
  const isSet = (name: string): boolean => env[name] !== undefined && env[name] !== '';
  for (const name of Object.keys(env).filter(isSet).sort()) {
    const reason = reasonWithoutEffect(name);
    if (reason !== undefined) notices.push(`${name} has no effect: ${reason}.`);
  }
  for (const [address, parts] of Object.entries(ADDRESS_PARTS)) {
    const origin = given.get(address)?.origin ?? 'default';
    const unused = parts.filter((name) => isSet(name) && !origin.includes(name));
    if (unused.length > 0) notices.push(`${unused.join(', ')} without effect: ${address} comes ${origin.replace(/^(?!from)/, 'from ')}.`);
  }
  notices.push(...outputNotices(config, (name) => given.has(name)), ...kafkaTlsNotices(config.kafka));
  if (config.server.tlsUnverified.length > 0) {
    notices.push(
      `TROUPE_TLS_UNVERIFIED: certificates of ${config.server.tlsUnverified.join(', ')} are not verified; anybody on the way can read and change what is sent.`,
    );
  }
  const { missing } = capabilitiesOf(config.server.mode, config.server.pipeline);
  if (missing.length > 0)
    notices.push(`PLUGIN_SERVER_MODE=${config.server.mode} runs what this version has; it does not have: ${missing.join(', ')}.`);
  const needed = neededServers(config);
  const embedded = needed.filter(({ isSet }) => !isSet(config));
  if (embedded.length > 0 && embedded.length < needed.length) {
    notices.push(
      `${embedded.map(({ name }) => name).join(', ')} not set: ${embedded.map(({ system }) => system).join(', ')} embedded in ${config.server.dataDir}.`,
    );
  }
  return notices;
}

/** Of the two outputs, the settings of the one that is not chosen set nothing. */
function outputNotices({ output }: Config, isSet: (name: string) => boolean): string[] {
  const namesOf = (isOf: (section: SectionName, key: string) => boolean): string[] =>
    ALL_SETTINGS.filter(({ section, key, setting }) => isOf(section, key) && isSet(setting.name)).map(({ setting }) => setting.name);
  if (output.kind === 'kafka') {
    const unused = namesOf((section) => section === 'clickhouse');
    return unused.length === 0 ? [] : [`${unused.join(', ')} without effect: TROUPE_OUTPUT is kafka, and ClickHouse is not contacted.`];
  }
  const unused = namesOf((section, key) => section === 'output' && key !== 'kind');
  return unused.length === 0 ? [] : [`${unused.join(', ')} without effect: TROUPE_OUTPUT is clickhouse, and no output topics are written.`];
}
