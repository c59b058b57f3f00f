/**
 * COMPOSITION ROOT. Read this first: settings → telemetry → outside systems → the tree → HTTP → run until told to stop.
 * Everything that has an effect at start is made here, in this order, and closed in the reverse order.
 */
import cluster from 'node:cluster';
import { readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { assemble, openStores, type Stores } from './start/assemble.ts';
import { NO_PLUGINS } from './capture/plugins/open.ts';
import { openCapturePlugins } from './start/capture-plugins.ts';
import { openCapture, type OpenedCapture } from './start/capture-server.ts';
import { openSharedRedis } from './start/open-state-store.ts';
import { helpText, parseCommand, type Command } from './cli.ts';
import { hangUp, openControl } from './start/control.ts';
import { withClosers, type Closers } from './start/closers.ts';
import { describeConfig } from './config/describe.ts';
import { loadConfig, type LoadedConfig } from './config/load.ts';
import { capabilitiesOf } from './config/modes.ts';
import type { Config } from './config/schema.ts';
import { demoConfig, openShop, runDemoRound, seedDemo, type DemoTeam } from './start/demo-run.ts';
import { explain } from './start/explain.ts';
import { prepareIngestion } from './start/ingestion.ts';
import { openLog } from './start/open-log.ts';
import { openOperations } from './start/operations.ts';
import { systemClock, systemRandom } from './runtime/clock.ts';
import type { Reloader } from './start/reload/reloader.ts';
import { runSpillCommand } from './start/spill-command.ts';
import { stopSignal, watchFailures } from './start/signals.ts';
import { clusterFork } from './start/workers/cluster.ts';
import { openPrimary } from './start/workers/primary.ts';
import { configOfWorker, reportForDuty, workerCount, type Post } from './start/workers/worker.ts';
import { createAccounts } from './telemetry/account.ts';
import { startTelemetry } from './telemetry/telemetry.ts';
import { topicsOf } from './start/topics.ts';

// Times without a zone are UTC (TS-3), wherever the machine stands; before anything asks for a date.
process.env['TZ'] = 'UTC';

const clock = systemClock;
const random = systemRandom;
const began = new Date(clock.now()).toISOString();

/** Everything that runs. */
interface Running {
  /** Undefined in a process that only captures. */
  readonly stores: Stores | undefined;
  readonly urls: { readonly capture: string; readonly inspector: string; readonly metrics: string; readonly admin: string | undefined };
  readonly outcomes: () => ReadonlyMap<string, number>;
  readonly reloader: Reloader;
  /** Rejects when the process cannot go on. */
  readonly lost: Promise<never>;
  /** What `body` opens besides. */
  readonly closers: Closers;
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
      return migrate(command);
    case 'run':
      return cluster.isWorker ? runWorker(command) : runServer(command);
    case 'demo':
      return demo(command);
    case 'spill':
      return withClosers((closers) => {
        const { config } = loadConfig(process.env, { overrides: command.overrides });
        return runSpillCommand(command, { config, clock, closers, say: print });
      });
  }
}

type RunCommand = Extract<Command, { type: 'run' }>;

/** One process that does everything it is asked, or a primary whose workers capture (docs/adr/0025). */
async function runServer(command: RunCommand): Promise<number> {
  const load = (): LoadedConfig => loadConfig(process.env, { overrides: command.overrides });
  const loaded = load();
  const count = workerCount(loaded.config, availableParallelism());
  const untilStopped = async ({ urls, reloader, lost }: Pick<Running, 'urls' | 'reloader' | 'lost'>) => {
    print(bannerOf(urls));
    await Promise.race([stopSignal(process, hangUp(reloader)), lost]);
    return 0;
  };
  if (count === 1) return serve(command, untilStopped);
  return withClosers(async (closers) => {
    const { promise: lost, reject: lose } = Promise.withResolvers<never>();
    watchFailures(process, lose);
    for (const notice of loaded.notices) print(notice);
    print(`workers     ${count}`);
    const fork = clusterFork({ env: process.env, instance: loaded.config.capture.spillInstance ?? '' });
    const log = { pretty: process.stderr.isTTY, write: (line: string) => void process.stderr.write(line) };
    const status = (): object => ({ ...identity(), mode: loaded.config.server.mode, workers: count });
    const opening = openPrimary({ loaded, load, count, fork, clock, closers, status, lose, log });
    return untilStopped({ ...(await Promise.race([opening, lost])), lost });
  });
}

async function runWorker(command: RunCommand): Promise<number> {
  const post = await reportForDuty(process);
  const adapt = (config: Config): Config => configOfWorker(config, post.slot);
  return serve(command, ({ lost }) => Promise.race([post.stopped.then(() => 0), lost]), { adapt, post });
}

interface ServeOptions {
  /** Runs when the outside systems are there and nothing is read yet. */
  readonly prepare?: (stores: Stores) => Promise<void>;
  /** What a command makes of the operator's settings. */
  readonly adapt?: (config: Config) => Config;
  /** Of a worker: its primary speaks for it to probes, Prometheus and operators. */
  readonly post?: Post;
}

/** Starts everything, runs `body`, ends everything in order (HT-5: also what was open when a start failed). */
async function serve(
  command: Extract<Command, { type: 'run' | 'demo' }>,
  body: (running: Running) => Promise<number>,
  { prepare, adapt = (config) => config, post }: ServeOptions = {},
): Promise<number> {
  const load = (): LoadedConfig => {
    const read = loadConfig(process.env, { overrides: command.overrides });
    return { ...read, config: adapt(read.config) };
  };
  const loaded = load();
  const { config, notices } = loaded;
  return withClosers(async (closers) => {
    if (post === undefined) for (const notice of notices) print(notice);
    if (config.server.configFile !== undefined) print(`settings    from ${config.server.configFile}`);
    const { promise: lost, reject: lose } = Promise.withResolvers<never>();
    const starting = start({ loaded, load, closers, quiet: command.type === 'demo', prepare, post, lose });
    const running = await Promise.race([starting, lost]);
    return body({ ...running, lost, closers });
  });
}

interface StartOptions {
  readonly loaded: LoadedConfig;
  /** The settings as they stand now, for a reload. */
  readonly load: () => LoadedConfig;
  readonly closers: Closers;
  /** Log lines below `warn` are left out, unless asked for. */
  readonly quiet: boolean;
  readonly prepare: ((stores: Stores) => Promise<void>) | undefined;
  readonly post: Post | undefined;
  /** The process cannot go on. */
  readonly lose: (error: Error) => void;
}

async function start({ loaded, load, closers, quiet, prepare, post, lose }: StartOptions): Promise<Omit<Running, 'lost' | 'closers'>> {
  const { config } = loaded;
  const levelOf = ({ server: { logLevel } }: Config) => (quiet && logLevel === 'info' ? 'warn' : logLevel);
  const accounts = createAccounts();
  const telemetry = await startTelemetry({
    clock,
    serviceName: config.telemetry.serviceName,
    otlpEndpoint: config.telemetry.otlpEndpoint,
    log: {
      level: levelOf(config),
      format: config.server.logFormat,
      worker: post?.slot,
      pretty: process.stderr.isTTY,
      write: (line) => void process.stderr.write(line),
    },
    metrics: { account: accounts.read },
  });
  closers.push('telemetry', () => telemetry.stop());
  watchFailures(process, lose);

  const onLost = (what: string, detail: string): void => lose(new Error(`${what} has ended: ${detail}`));
  const outside = { config, clock, random, closers, onLost, migrate: false, say: print };
  // The operator's own code first: when it cannot start, nothing was contacted and nothing was read.
  const plugins = config.capture.enabled === true ? await openCapturePlugins({ config, clock, closers }) : NO_PLUGINS;
  const log = await openLog(outside);
  const stores = capabilitiesOf(config.server.mode).intakes.length > 0 ? await openStores(outside, log) : undefined;
  if (stores !== undefined) await prepare?.(stores);

  const ingestion =
    stores === undefined
      ? undefined
      : await prepareIngestion({ config, clock, random, closers, accounts, log, stores, onFatal: lose, version: version(), say: print });
  let capture: OpenedCapture | undefined;
  // With a spill that takes events an outage of Kafka is no reason to send clients away; a stop is.
  const canCapture = async (): Promise<boolean> => {
    if (capture === undefined || capture.isDraining()) return false;
    return capture.isTaking() || (await log.admin.describeTopics([topicsOf(config).main])).size === 1;
  };
  const metrics = (): Promise<string> => telemetry.metrics.text();
  const ready = { ...ingestion?.ready, ...(config.capture.enabled === true ? { capture: canCapture } : {}) };
  const operations = { config, clock, closers, metrics, health: ingestion?.health ?? {}, ready };
  const metricsUrl = post === undefined ? await openOperations(operations) : '';
  await ingestion?.start();
  if (config.capture.enabled === true) {
    const redis = await openSharedRedis(outside, stores);
    capture = await openCapture({ config, clock, random, closers, producer: log.producer, redis, plugins });
  }

  const targets = [...(ingestion?.reloads ?? []), ...(capture === undefined ? [] : [capture.reload])];
  const status = (): object => ({ ...identity(), mode: config.server.mode });
  const control = { loaded, load, clock, closers, status, isWorker: post !== undefined };
  const { reloader, admin } = await openControl({ ...control, targets, log: telemetry.log, levelOf });
  post?.serve({ url: capture?.url ?? '', isReady: canCapture, metrics, log: telemetry.log, reloader });

  return {
    stores,
    reloader,
    urls: { capture: capture?.url ?? 'off', inspector: ingestion?.inspectorUrl ?? 'off', metrics: `${metricsUrl}/metrics`, admin },
    outcomes: () => new Map(accounts.read().outcomes.map(({ outcome, reason, count }) => [`${outcome} ${reason}`.trim(), count] as const)),
  };
}

async function demo(command: Extract<Command, { type: 'demo' }>): Promise<number> {
  const { config } = loadConfig(process.env, { overrides: command.overrides });
  if (command.fresh) rmSync(resolve(config.server.dataDir), { recursive: true, force: true });
  let team: DemoTeam | undefined;
  const prepare = async ({ postgres }: Stores): Promise<void> => void (team = await seedDemo(postgres, clock));
  const play = async ({ stores, urls, outcomes, lost, closers, reloader }: Running): Promise<number> => {
    if (stores === undefined || team === undefined || urls.capture === 'off')
      throw new Error('The demo captures and ingests: leave PLUGIN_SERVER_MODE and TROUPE_CAPTURE_ENABLED out.');
    const { clickhouse, postgres } = stores;
    if (clickhouse === undefined) throw new Error('The demo reads its rows from ClickHouse: run it with TROUPE_OUTPUT=clickhouse.');
    const write = (text: string): void => void process.stdout.write(text);
    const isTty = process.stdout.isTTY;
    const round = runDemoRound({ clock, clickhouse, postgres, team, captureUrl: urls.capture, outcomes, write, isTty });
    const stopped = stopSignal(process, hangUp(reloader));
    const result = await Promise.race([round, stopped.then(() => 'stopped' as const), lost]);
    if (result === 'stopped') return 130;
    print(bannerOf(urls));
    if (command.exit) return result ? 0 : complain('Not every count was right.', 1);
    const shopUrl = await openShop({ config: demoConfig(config), clock, closers, clickhouse, team, captureUrl: urls.capture });
    print(
      `open the shop   ${shopUrl}\nproject token   ${team.token}\n\nIt keeps running: shop there in a browser, or send your own events. Ctrl-C stops it.`,
    );
    await Promise.race([stopped, lost]);
    return result ? 0 : 1;
  };
  return serve(command, play, { prepare, adapt: demoConfig });
}

function migrate(command: Extract<Command, { type: 'migrate' }>): Promise<number> {
  return withClosers(async (closers) => {
    const { config } = loadConfig(process.env, { overrides: command.overrides });
    const summary: string[] = [];
    const onLost = (what: string, detail: string): void => void complain(`${what} ended: ${detail}`, 1);
    await assemble({ config, clock, random, closers, onLost, migrate: true, say: (line) => void summary.push(line) });
    return print(`The tables are as Troupe needs them.\n${summary.join('\n')}`);
  });
}

function bannerOf(urls: Running['urls']): string {
  return `\nsend events to  ${urls.capture}\ninspector       ${urls.inspector}\nmetrics         ${urls.metrics}${urls.admin === undefined ? '' : `\nadmin           ${urls.admin}`}\n`;
}

/** What the admin server says of the process. */
const identity = (): object => ({ version: version(), since: began });

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
