import { GUARD_RULES } from './guard-rules.ts';
import { parseAdminTokens } from './admin-tokens.ts';
import { kafkaTlsProblem } from './kafka-tls.ts';
import { capabilitiesOf, MODES, runsNothing } from './modes.ts';
import type { Rule } from './rule.ts';
import { WORKERS_RULE } from './worker-rule.ts';
import type { Config } from './schema.ts';
import { topicsOf } from './topic-names.ts';

/** What TROUPE_TLS_UNVERIFIED may name. */
export const TLS_SYSTEMS = ['kafka', 'clickhouse', 'postgres', 'redis'] as const;
export type TlsSystem = (typeof TLS_SYSTEMS)[number];

/** Whether the certificates of a system are verified. */
export function isVerified({ server }: Config, system: TlsSystem): boolean {
  return !server.tlsUnverified.includes(system);
}

/** A name, an IPv4 address or an IPv6 address in brackets, with or without a port. */
const HOST = /^([\w.-]+|\[[\da-f:.]+\])(:\d{1,5})?$/i;

/** What capture keeps where all processes see it. */
const CAPTURE_IN_REDIS: readonly (readonly [name: string, isOn: (config: Config) => boolean])[] = [
  ['TROUPE_CAPTURE_DEDUPE_MS', ({ capture }) => capture.dedupeMs > 0],
  ['EVENT_RESTRICTIONS_ENABLED', ({ tokens }) => tokens.restrictions],
  ['REPLAY_OVERFLOW_SESSIONS_ENABLED', ({ tokens }) => tokens.replayOverflow],
  ['TROUPE_CAPTURE_TOKEN_SETTINGS', ({ tokens }) => tokens.settings],
  ['TROUPE_CAPTURE_ALLOWANCES', ({ tokens }) => tokens.allowances],
  ['GLOBAL_RATE_LIMIT_ENABLED', ({ tokens }) => tokens.globalLimit],
  ['TROUPE_CAPTURE_RATE_PER_S', ({ tokens }) => tokens.ratePerS > 0],
];

const ms = (value: number): string => `${value} ms`;

/** A rule `smaller <= greater` (or `<` when `strictly`) between two sums of settings. */
function ordered(
  prose: string,
  of: (config: Config) => {
    smaller: readonly (readonly [string, number])[];
    greater: readonly [string, number];
    strictly?: true;
    unit?: 'ms';
  },
): Rule {
  return {
    prose,
    check(config) {
      const { smaller, greater, strictly, unit } = of(config);
      const sum = smaller.reduce((total, [, value]) => total + value, 0);
      if (strictly ? sum < greater[1] : sum <= greater[1]) return undefined;
      const show = (value: number): string => (unit === 'ms' ? ms(value) : String(value));
      return {
        name: [...smaller.map(([name]) => name), greater[0]].join(' + '),
        value: `${smaller.map(([, value]) => show(value)).join(' + ')} against ${show(greater[1])}`,
        allowed: prose,
        todo: `raise ${greater[0]}, or lower ${smaller.map(([name]) => name).join(' or ')}`,
      };
    },
  };
}

/**
 * What must hold between settings. The first is the zombie arithmetic of delivery.md 3: a process that lost its partition
 * without knowing may begin an insert until the heartbeat margin has passed, and that insert lasts at most its timeout; the
 * sum stays below the time at which the brokers name a new owner.
 */
export const RULES: readonly Rule[] = [
  ordered(
    'the zombie rule: TROUPE_KAFKA_HEARTBEAT_MARGIN_MS plus TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS is below KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS, so that an insert of a former owner ends before the next one begins',
    ({ kafka, clickhouse }) => ({
      smaller: [
        ['TROUPE_KAFKA_HEARTBEAT_MARGIN_MS', kafka.heartbeatMarginMs],
        ['TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS', clickhouse.insertTimeoutMs],
      ],
      greater: ['KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS', kafka.sessionTimeoutMs],
      strictly: true,
      unit: 'ms',
    }),
  ),
  ordered(
    'the same below KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS: in a rebalance the brokers name a new owner when that has passed, however long the session would last',
    ({ kafka, clickhouse }) => ({
      smaller: [
        ['TROUPE_KAFKA_HEARTBEAT_MARGIN_MS', kafka.heartbeatMarginMs],
        ['TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS', clickhouse.insertTimeoutMs],
      ],
      greater: ['KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS', kafka.rebalanceTimeoutMs ?? Infinity],
      strictly: true,
      unit: 'ms',
    }),
  ),
  ordered('two heartbeats fit into TROUPE_KAFKA_HEARTBEAT_MARGIN_MS, so that one lost heartbeat stops nothing', ({ kafka }) => ({
    smaller: [
      ['TROUPE_KAFKA_HEARTBEAT_INTERVAL_MS', kafka.heartbeatIntervalMs],
      ['TROUPE_KAFKA_HEARTBEAT_INTERVAL_MS', kafka.heartbeatIntervalMs],
    ],
    greater: ['TROUPE_KAFKA_HEARTBEAT_MARGIN_MS', kafka.heartbeatMarginMs],
    unit: 'ms',
  })),
  ordered(
    'the shutdown phases together are below TROUPE_SHUTDOWN_GRACE_MS, or the orchestrator kills the process in the middle of one',
    ({ shutdown }) => ({
      smaller: [
        ['TROUPE_SHUTDOWN_ANNOUNCE_MS', shutdown.announceMs],
        ['TROUPE_SHUTDOWN_LINGER_MS', shutdown.lingerMs],
        ['TROUPE_SHUTDOWN_INTAKE_MS', shutdown.intakeMs],
        ['TROUPE_SHUTDOWN_DRAIN_MS', shutdown.drainMs],
        ['TROUPE_SHUTDOWN_FLUSH_MS', shutdown.flushMs],
        ['TROUPE_SHUTDOWN_CLOSE_MS', shutdown.closeMs],
      ],
      greater: ['TROUPE_SHUTDOWN_GRACE_MS', shutdown.graceMs],
      strictly: true,
      unit: 'ms',
    }),
  ),
  WORKERS_RULE,
  ordered('a body of the largest size fits into the bytes of all requests', ({ capture, limits }) => ({
    smaller: [['TROUPE_CAPTURE_BODY_BYTES', capture.bodyBytes]],
    greater: ['TROUPE_CAPTURE_IN_FLIGHT_BYTES', limits.inFlightBytes],
  })),
  ordered('one team may not have more credit than its partition', ({ router }) => ({
    smaller: [['TROUPE_ROUTER_TEAM_CREDIT_COUNT', router.teamCreditCount]],
    greater: ['TROUPE_ROUTER_CREDIT_COUNT', router.creditCount],
  })),
  ordered('one distinct_id may not have more credit than its team', ({ router }) => ({
    smaller: [['TROUPE_ROUTER_DISTINCT_ID_CREDIT_COUNT', router.distinctIdCreditCount]],
    greater: ['TROUPE_ROUTER_TEAM_CREDIT_COUNT', router.teamCreditCount],
  })),
  ordered('the gap a partition may have is at least its credit', ({ router }) => ({
    smaller: [['TROUPE_ROUTER_CREDIT_COUNT', router.creditCount]],
    greater: ['TROUPE_ROUTER_GAP_COUNT', router.gapCount],
  })),
  {
    prose: 'TROUPE_OUTPUT=kafka comes with KAFKA_HOSTS: nobody else reads the embedded log',
    check({ output, kafka }) {
      if (output.kind !== 'kafka' || kafka.hosts.length > 0) return undefined;
      return {
        name: 'TROUPE_OUTPUT + KAFKA_HOSTS',
        value: 'kafka, without brokers',
        allowed: 'brokers whose topics ClickHouse reads',
        todo: 'set KAFKA_HOSTS, or TROUPE_OUTPUT=clickhouse',
      };
    },
  },
  {
    prose: 'no two servers of the process share a port',
    check({ server, admin, capture, geoip }) {
      const ports: readonly (readonly [string, number])[] = [
        ['HTTP_SERVER_PORT', server.httpPort],
        ['TROUPE_INSPECT_PORT', server.inspectPort],
        ['INTERNAL_MMDB_SERVER_PORT', geoip.port],
        ...(admin.port === undefined ? [] : [['TROUPE_ADMIN_PORT', admin.port] as const]),
        ...(capture.enabled === true ? [['TROUPE_CAPTURE_PORT', capture.port] as const] : []),
      ];
      const shared = ports.filter(([, port], index) => port !== 0 && ports.some(([, other], at) => at !== index && other === port));
      if (shared.length === 0) return undefined;
      return {
        name: shared.map(([name]) => name).join(' + '),
        value: String(shared[0]?.[1]),
        allowed: 'different ports, or 0',
        todo: 'change one of them',
      };
    },
  },
  {
    prose: 'TROUPE_ADMIN_PORT comes with TROUPE_ADMIN_TOKEN, whose tokens are long and whose names differ',
    check({ admin: { port, tokens } }) {
      if ((port === undefined || tokens.length > 0) && parseAdminTokens(tokens) !== undefined) return undefined;
      const allowed = 'a token of 16 characters or more without blanks, or several as name:token,name:token';
      return {
        name: 'TROUPE_ADMIN_TOKEN',
        value: undefined,
        allowed,
        todo: tokens.length === 0 ? 'set it' : 'make longer ones: openssl rand -hex 24',
      };
    },
  },
  {
    prose: 'something of what PLUGIN_SERVER_MODE asks for is built: an idle process would pass for a healthy one',
    check({ server: { mode, pipeline } }) {
      const capabilities = capabilitiesOf(mode, pipeline);
      if (!runsNothing(capabilities)) return undefined;
      const useful = MODES.filter((one) => !runsNothing(capabilitiesOf(one)));
      return {
        name: 'PLUGIN_SERVER_MODE',
        value: mode,
        allowed: useful.join(', '),
        todo: `this version of Troupe does not have ${capabilities.missing.join(', ')}: leave that to PostHog's plugin-server, or choose another mode`,
      };
    },
  },
  {
    prose: 'PLUGIN_SERVER_MODE=capture comes with KAFKA_HOSTS: nobody else could read what it took',
    check({ server: { mode }, kafka }) {
      if (mode !== 'capture' || kafka.hosts.length > 0) return undefined;
      return { name: 'KAFKA_HOSTS', value: undefined, allowed: 'brokers, needed with PLUGIN_SERVER_MODE=capture', todo: 'set it' };
    },
  },
  {
    prose: `${CAPTURE_IN_REDIS.map(([name]) => name).join(', ')} come with REDIS_URL: what one process knows, the others would not`,
    check(config) {
      if (config.capture.enabled !== true || config.redis.url !== undefined) return undefined;
      const needing = CAPTURE_IN_REDIS.find(([, isOn]) => isOn(config));
      if (needing === undefined) return undefined;
      return { name: 'REDIS_URL', value: undefined, allowed: `a Redis, needed with ${needing[0]}`, todo: 'set it' };
    },
  },
  {
    prose:
      'no two of main, overflow and dead-letter topic are the same, and where events are read none of these and the historical, warnings, heatmaps and error-tracking topic',
    check(config) {
      const { main, overflow, deadLetter, historical, warnings, heatmaps, exceptions } = topicsOf(config);
      // PostHog's capture may write warnings to the main topic; but two intakes of one topic would store each event twice.
      const reads = capabilitiesOf(config.server.mode, config.server.pipeline).intakes.length > 0;
      const names: readonly (readonly [string, string])[] = [
        ['KAFKA_CONSUMPTION_TOPIC', main],
        ['KAFKA_CONSUMPTION_OVERFLOW_TOPIC', overflow],
        ['INGESTION_CONSUMER_DLQ_TOPIC', deadLetter],
        ...(reads
          ? ([
              ['KAFKA_HISTORICAL_TOPIC', historical],
              ['KAFKA_CLIENT_INGESTION_WARNING_TOPIC', warnings],
              ['KAFKA_HEATMAPS_TOPIC', heatmaps],
              ['KAFKA_ERROR_TRACKING_TOPIC', exceptions],
            ] as const)
          : []),
      ];
      const shared = names.filter(([, name], at) => names.some(([, other], index) => index !== at && other === name));
      if (shared.length === 0) return undefined;
      return {
        name: shared.map(([name]) => name).join(' + '),
        value: shared.map(([, topic]) => topic).join(', '),
        allowed: 'different topics: a record set aside, or given up, must not come back as new, and none is read twice',
        todo: 'change one of them',
      };
    },
  },
  ...GUARD_RULES,
  {
    prose: 'TROUPE_PUTMESSAGE_TOPICS and TROUPE_CAPTURE_TOPICS are names of topics',
    check({ capture: { putmessageTopics }, tokens: { openTopics } }) {
      const wrongIn = (names: readonly string[]): readonly string[] =>
        names.filter((name) => !/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/.test(name));
      const [name, wrong] =
        wrongIn(putmessageTopics).length > 0
          ? ['TROUPE_PUTMESSAGE_TOPICS', wrongIn(putmessageTopics)]
          : ['TROUPE_CAPTURE_TOPICS', wrongIn(openTopics)];
      if (wrong.length === 0) return undefined;
      return {
        name,
        value: wrong.join(', '),
        allowed: 'names of at most 249 letters, digits, dots, underscores and hyphens',
        todo: 'correct them',
      };
    },
  },
  {
    prose: 'TROUPE_ORDINAL is below TROUPE_REPLICAS, and is not set without it',
    check({ server: { ordinal, replicas } }) {
      if (ordinal === undefined || (replicas !== undefined && ordinal < replicas)) return undefined;
      return {
        name: 'TROUPE_ORDINAL + TROUPE_REPLICAS',
        value: `${ordinal} of ${replicas ?? 'unset'}`,
        allowed: 'ordinals 0 to TROUPE_REPLICAS - 1',
        todo: replicas === undefined ? 'set TROUPE_REPLICAS' : 'raise TROUPE_REPLICAS to the number of pods',
      };
    },
  },
  {
    prose: 'a KAFKA_SECURITY_PROTOCOL with SASL comes with KAFKA_SASL_MECHANISM, KAFKA_SASL_USER and KAFKA_SASL_PASSWORD',
    check({ kafka }) {
      if (!kafka.securityProtocol.startsWith('sasl')) return undefined;
      const missing = [
        ['KAFKA_SASL_MECHANISM', kafka.saslMechanism],
        ['KAFKA_SASL_USER', kafka.saslUser],
        ['KAFKA_SASL_PASSWORD', kafka.saslPassword],
      ].flatMap(([name, value]) => (value === undefined ? [name] : []));
      if (missing.length === 0) return undefined;
      return { name: missing.join(' + '), value: undefined, allowed: `needed with ${kafka.securityProtocol}`, todo: 'set what is missing' };
    },
  },
  {
    prose: 'KAFKA_HOSTS are names or addresses with or without a port, and CLICKHOUSE_HOST is one, or an http:// or https:// address',
    check({ kafka, clickhouse }) {
      const wrong = kafka.hosts.find((host) => !HOST.test(host));
      if (wrong !== undefined)
        return { name: 'KAFKA_HOSTS', value: wrong, isUnreadable: true, allowed: 'host:port,host:port', todo: 'correct it' };
      const { host } = clickhouse;
      if (host === undefined || HOST.test(host) || (/^https?:/.test(host) && URL.canParse(host))) return undefined;
      return {
        name: 'CLICKHOUSE_HOST',
        value: host,
        isUnreadable: true,
        allowed: 'host, host:port, or an http:// or https:// address',
        todo: 'correct it',
      };
    },
  },
  {
    prose: 'KAFKA_CLIENT_CERT_B64 and KAFKA_CLIENT_CERT_KEY_B64 come together',
    check({ kafka }) {
      if ((kafka.clientCertB64 === undefined) === (kafka.clientCertKeyB64 === undefined)) return undefined;
      return {
        name: 'KAFKA_CLIENT_CERT_B64 + KAFKA_CLIENT_CERT_KEY_B64',
        value: undefined,
        allowed: 'both or neither',
        todo: 'set the other one',
      };
    },
  },
  {
    prose:
      'with KAFKA_SECURITY_PROTOCOL ssl or sasl_ssl, KAFKA_TRUSTED_CERT_B64 is a certificate, and the client certificate and its key can be read and belong together',
    check: ({ kafka }) => kafkaTlsProblem(kafka),
  },
  {
    prose: `TROUPE_TLS_UNVERIFIED names nothing but ${TLS_SYSTEMS.join(', ')}`,
    check({ server: { tlsUnverified } }) {
      const unknown = tlsUnverified.filter((name) => !(TLS_SYSTEMS as readonly string[]).includes(name));
      if (unknown.length === 0) return undefined;
      return {
        name: 'TROUPE_TLS_UNVERIFIED',
        value: unknown.join(', '),
        isUnreadable: true,
        allowed: `any of ${TLS_SYSTEMS.join(', ')}, separated by commas`,
        todo: 'correct it; better, name the certificate authority and leave it out',
      };
    },
  },
];

/** Variables that name a real server; unset, the embedded one is used. `parts`: what may be set in their place. */
const SERVERS = [
  { name: 'KAFKA_HOSTS', parts: undefined, system: 'Kafka', isSet: ({ kafka }: Config) => kafka.hosts.length > 0 },
  {
    name: 'CLICKHOUSE_HOST',
    parts: undefined,
    system: 'ClickHouse',
    isSet: ({ clickhouse, output }: Config) => output.kind === 'kafka' || clickhouse.host !== undefined,
  },
  {
    name: 'DATABASE_URL',
    parts: 'POSTHOG_DB_NAME and its companions',
    system: 'PostgreSQL',
    isSet: ({ postgres }: Config) => postgres.url !== undefined,
  },
  {
    name: 'REDIS_URL',
    parts: 'POSTHOG_REDIS_HOST and its companions',
    system: 'Redis',
    isSet: ({ redis }: Config) => redis.url !== undefined,
  },
] as const;

/** Those that a process of this mode talks to. */
export function neededServers(config: Config): readonly (typeof SERVERS)[number][] {
  return capabilitiesOf(config.server.mode).intakes.length > 0 ? SERVERS : SERVERS.filter(({ system }) => system === 'Kafka');
}
