/**
 * COMPOSITION ROOT. Read this first: settings → telemetry → outside systems → the tree → HTTP → run until told to stop.
 * Everything that has an effect at start is made here, in this order, and closed in the reverse order.
 */
import { readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { startTroupe, type Troupe, type TroupeDeps } from '../supervisors/root.ts';
import { assemble, topicsOf, type Parts } from './assemble.ts';
import { createCapture } from './capture/service.ts';
import { helpText, parseCommand, type Command } from './cli.ts';
import { createClosers, type Closers } from './closers.ts';
import { describeConfig } from './config/describe.ts';
import { ingests, loadConfig } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { runDemo } from './demo/demo.ts';
import { GEOIP_PLUGIN } from './demo/geoip-plugin.ts';
import { parseDropList } from './domain/token.ts';
import { createInspectionHandler } from './http/inspection.ts';
import { listen } from './http/listen.ts';
import { createOperationsHandler } from './http/server.ts';
import { createInspectionSource } from './inspection-source.ts';
import { startLagWatch } from './lag-watch.ts';
import { observe, state } from './observe/facts.ts';
import { createGroupStore } from './postgres/group-store.ts';
import { localPluginReader } from './postgres/local-plugins.ts';
import { createPersonStore } from './postgres/person-store.ts';
import { createPluginConfigStore } from './postgres/plugin-config-store.ts';
import { seedPlugin, seedTeam } from './postgres/seed.ts';
import { createTeamStore } from './postgres/team-store.ts';
import { systemClock, systemRandom } from './runtime/clock.ts';
import { openGeoIp } from './open-geoip.ts';
import { createSandbox } from './sandbox/host.ts';
import { createAccounts } from './telemetry/account.ts';
import { startTelemetry } from './telemetry/telemetry.ts';
import { treeSettings } from './tree-settings.ts';

const clock = systemClock;
const random = systemRandom;

/** Everything that runs, and how to end it. */
interface Running {
  readonly parts: Parts;
  readonly urls: { readonly capture: string; readonly inspector: string; readonly metrics: string };
  readonly outcomes: () => ReadonlyMap<string, number>;
  /** Rejects when the process cannot go on. */
  readonly lost: Promise<never>;
}

async function run(command: Command): Promise<number> {
  switch (command.type) {
    case 'help':
      return print(helpText());
    case 'version':
      return print(version());
    case 'misused':
      return complain(command.message, 2);
    case 'config-check':
      return print(describeConfig(loadConfig(process.env, { overrides: command.overrides })));
    case 'migrate':
      return withClosers(async (closers) => {
        const { config } = loadConfig(process.env, { overrides: command.overrides });
        const { summary } = await assemble({
          config,
          clock,
          random,
          closers,
          onLost: (what, detail) => void complain(`${what} ended: ${detail}`, 1),
          migrate: true,
        });
        return print(`The tables are as Troupe needs them.\n${summary.join('\n')}`);
      });
    case 'run':
      return serve(command, async ({ lost, urls }) => {
        print(bannerOf(urls));
        await Promise.race([stopSignal(), lost]);
        return 0;
      });
    case 'demo':
      return demo(command);
  }
}

async function demo(command: Extract<Command, { type: 'demo' }>): Promise<number> {
  const { config } = loadConfig(process.env, { overrides: command.overrides });
  if (command.fresh) rmSync(resolve(config.server.dataDir), { recursive: true, force: true });
  const token = `phc_demo_${Date.now().toString(36)}`;
  let teamId = 0;
  const prepare = async ({ postgres }: Parts): Promise<void> => {
    const team = await seedTeam(postgres, { token, name: 'Demo shop' });
    await seedPlugin(postgres, { teamId: team, name: 'GeoIP', files: GEOIP_PLUGIN });
    teamId = team;
  };
  const play = async (running: Running): Promise<number> => {
    const { parts, urls, lost } = running;
    const { clickhouse } = parts;
    if (clickhouse === undefined) throw new Error('The demo reads its rows from ClickHouse: run it with TROUPE_OUTPUT=clickhouse.');
    let merges = 0;
    const stopCounting = observe('person-flushed', (fact) => (merges += fact.merged));
    const demoDone = runDemo({
      clock,
      captureUrl: urls.capture,
      token,
      teamId,
      query: (sql, params) => clickhouse.query(sql, params),
      personCount: async () => {
        const rows = await parts.postgres.run<{ n: string }>(
          { name: 'demo-count-persons', text: 'SELECT count(*)::text AS n FROM posthog_person WHERE team_id = $1' },
          [teamId],
        );
        return Number(rows[0]?.n ?? -1);
      },
      outcomes: running.outcomes,
      mergeCount: () => merges,
      print: (text) => void process.stdout.write(text),
      isTty: process.stdout.isTTY,
    });
    const stopped = stopSignal();
    const result = await Promise.race([demoDone, stopped.then(() => 'stopped' as const), lost]);
    stopCounting();
    if (result === 'stopped') return 130;
    print(bannerOf(urls));
    if (command.exit) return result ? 0 : complain('Not every count was right.', 1);
    print('It keeps running: send your own events. Ctrl-C stops it.');
    await Promise.race([stopped, lost]);
    return result ? 0 : 1;
  };
  return serve(command, play, prepare);
}

/** Starts everything, runs `body`, ends everything in order. `prepare` runs when the outside systems are there and nothing is read yet. */
async function serve(
  command: Extract<Command, { type: 'run' | 'demo' }>,
  body: (running: Running) => Promise<number>,
  prepare?: (parts: Parts) => Promise<void>,
): Promise<number> {
  const { config, notices } = loadConfig(process.env, { overrides: command.overrides });
  return withClosers(async (closers) => {
    for (const notice of notices) print(notice);
    return body(await start(config, closers, { quiet: command.type === 'demo', prepare }));
  });
}

async function start(
  config: Config,
  closers: Closers,
  { quiet, prepare }: { readonly quiet: boolean; readonly prepare: ((parts: Parts) => Promise<void>) | undefined },
): Promise<Running> {
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  lost.catch(() => undefined); // raced by whoever runs; a loss while starting is seen by the part that failed
  const accounts = createAccounts();
  const holder: { troupe: Troupe | undefined } = { troupe: undefined };

  const telemetry = await startTelemetry({
    clock,
    serviceName: config.telemetry.serviceName,
    otlpEndpoint: config.telemetry.otlpEndpoint,
    log: {
      level: quiet && config.server.logLevel === 'info' ? 'warn' : config.server.logLevel,
      pretty: process.stderr.isTTY,
      write: (line) => void process.stderr.write(line),
    },
    metrics: { account: accounts.read, groupId: 'ingestion' },
  });
  closers.push('telemetry', () => telemetry.stop());

  const parts = await assemble({
    config,
    clock,
    random,
    closers,
    onLost: (what, detail) => lose(new Error(`${what} has ended: ${detail}`)),
    migrate: false,
  });
  for (const line of parts.summary) print(line);
  await prepare?.(parts);

  const { clickhouse } = parts;
  const persons = createPersonStore(parts.postgres);
  const teams = createTeamStore(parts.postgres);
  const geoip = ingests(config) ? await openGeoIp({ config, postgres: parts.postgres, clock, closers }) : undefined;
  if (geoip !== undefined) print(geoip.summary);
  const sandbox = createSandbox({ clock, memoryLimitMb: config.plugins.memoryMb, geoipPort: geoip?.port });
  closers.push('the plugin sandbox', () => sandbox.close());
  const topics = topicsOf(config);

  const inspection = createInspectionSource({
    troupe: () => holder.troupe,
    clickhouse,
    persons,
    teams,
    admin: parts.admin,
    inputTopic: topics.input,
    clock,
  });
  closers.push('the inspection source', () => inspection.stop());
  const inspector = await listen({
    handle: createInspectionHandler({ source: inspection }),
    host: config.server.inspectHost,
    port: config.server.inspectPort,
    clock,
    name: 'the inspector',
    hostSetting: 'TROUPE_INSPECT_HOST',
    portSetting: 'TROUPE_INSPECT_PORT',
  });
  closers.push('the inspector', () => inspector.close(1_000));

  const operations = await listen({
    handle: createOperationsHandler({
      clock,
      metrics: () => telemetry.metrics.text(),
      // Alive while it starts: a start that fails ends the process, and one that takes long must not be ended by a probe.
      health: { 'analytics-ingestion': () => true },
      ready: {
        'analytics-ingestion': () => !ingests(config) || (holder.troupe?.tree().intake.ready() ?? false),
        ...(clickhouse === undefined ? {} : { clickhouse: () => clickhouse.ping().then(() => true) }),
        postgres: () => teams.byId([]).then(() => true),
      },
    }),
    host: config.server.httpHost,
    port: config.server.httpPort,
    clock,
    name: 'the health and metrics server',
    hostSetting: 'TROUPE_HTTP_HOST',
    portSetting: 'HTTP_SERVER_PORT',
  });
  closers.push('the health and metrics server', () => operations.close(1_000));

  const treeDeps: TroupeDeps = {
    clock,
    random,
    output: parts.output,
    persons,
    groups: createGroupStore(parts.postgres, { clock }),
    teams,
    pluginConfigs: createPluginConfigStore(parts.postgres, { readLocalPlugin: localPluginReader(config.plugins.baseDir) }),
    sandbox,
    stateStore: parts.stateStore,
    producer: parts.producer,
    createConsumer: parts.createConsumer,
    dropList: parseDropList({
      byToken: config.ingestion.dropByToken.join(','),
      byTokenDistinctId: config.ingestion.dropByTokenDistinctId.join(','),
    }),
    accounts,
    settings: treeSettings(config),
    onFatal: lose,
  };
  if (ingests(config)) {
    const troupe = await startTroupe(treeDeps);
    holder.troupe = troupe;
    closers.push('the actors', () => troupe.stop());
    const lag = startLagWatch({ ledgers: () => troupe.tree().intake.ledgers(), admin: parts.admin, clock });
    closers.push('the lag watch', () => lag.stop());
  }

  const capture = createCapture({
    producer: parts.producer,
    topics: {
      main: topics.input,
      historical: topics.historical,
      clientWarnings: topics.warnings,
      heatmaps: topics.heatmaps,
      exceptions: topics.exceptions,
    },
    clock,
    random,
    limits: { wireBytes: config.capture.bodyBytes, decodedBytes: config.capture.bodyBytes * 5 },
    sampleRatio: config.telemetry.otlpEndpoint === undefined ? 0 : config.telemetry.sampleRatio,
  });
  const captureServer = config.capture.enabled
    ? await listen({
        handle: capture.handle,
        host: config.capture.host,
        port: config.capture.port,
        clock,
        name: 'the capture server',
        hostSetting: 'TROUPE_CAPTURE_HOST',
        portSetting: 'TROUPE_CAPTURE_PORT',
      })
    : undefined;
  closers.push('the capture server', async () => {
    capture.beginDrain();
    await captureServer?.close(config.shutdown.intakeMs);
  });

  return {
    parts,
    lost,
    urls: {
      capture: captureServer === undefined ? 'off' : `http://127.0.0.1:${captureServer.port}`,
      inspector: `http://127.0.0.1:${inspector.port}`,
      metrics: `http://127.0.0.1:${operations.port}/metrics`,
    },
    outcomes: () => new Map(accounts.read().outcomes.map(({ outcome, reason, count }) => [`${outcome} ${reason}`.trim(), count] as const)),
  };
}

function bannerOf(urls: Running['urls']): string {
  return `\nsend events to  ${urls.capture}\ninspector       ${urls.inspector}\nmetrics         ${urls.metrics}\n`;
}

/** Resolves at the first SIGINT or SIGTERM. A second one ends the process at once: what is not committed comes again. */
function stopSignal(): Promise<void> {
  return new Promise((resolveSignal) => {
    let signals = 0;
    const onSignal = (): void => {
      signals++;
      if (signals > 1) process.exit(1);
      state('log-written', { level: 'info', message: 'Told to stop; finishing what is in work.' });
      resolveSignal();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    process.on('SIGHUP', onSignal);
  });
}

async function withClosers(body: (closers: Closers) => Promise<number>): Promise<number> {
  const closers = createClosers();
  try {
    return await body(closers);
  } finally {
    await closers.closeAll();
  }
}

function version(): string {
  const { version: text } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return text;
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function complain(text: string, code: number): number {
  process.stderr.write(`${text}\n`);
  return code;
}

const [major] = process.versions.node.split('.').map(Number);
if (major !== 24) {
  process.exitCode = complain(
    `Troupe runs on Node 24, this is ${process.version}. 'npm start' and 'npm run demo' bring their own; or: npx node src/main.ts`,
    2,
  );
} else {
  // Our timers keep nothing alive (runtime/clock.ts), so a wait of the start would end the process in the middle of it.
  setInterval(() => undefined, 1_000_000_000);
  try {
    process.exitCode = await run(parseCommand(process.argv.slice(2)));
  } catch (error) {
    process.exitCode = complain(error instanceof Error ? explain(error) : String(error), 1);
  }
  // Timers of libraries may linger; everything of ours is closed.
  process.exit();
}

/** The message for a person, with what led to it; the stack only where the error is not one of ours that says what to do. */
function explain(error: Error): string {
  const cause =
    error.cause instanceof Error && !error.message.includes(error.cause.message.trim()) ? `\n  because: ${error.cause.message}` : '';
  const ours = [
    'ConfigError',
    'ContactError',
    'PostgresError',
    'ClickHouseError',
    'ProduceError',
    'StateStoreError',
    'Error',
    'AggregateError',
  ].includes(error.name);
  return ours ? `${error.message}${cause}` : (error.stack ?? error.message);
}
