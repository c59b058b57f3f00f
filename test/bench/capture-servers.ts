/**
 * The servers that capture.bench.ts compares, all in front of the same broker, each with topics of its own:
 *
 *     troupe                `node src/main.ts` as `npm start` runs it, capture alone; all else is its default
 *     troupe-kafkajs        the same with the other producer
 *     putmessage[-early]    `/putmessage` of a Troupe: waiting, and answering before Kafka
 *     loop-…                capture-loop.ts
 *     collector-…           the three locations of collector/nginx.conf
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { startTroupe } from '../services/troupe.ts';
import { startCollector } from './collector/start.ts';
import { treeThreadsCpuUs } from './cpu.ts';
import { messageOf } from './message-of.ts';
import { end } from './stage.ts';

export type TargetName =
  | 'troupe'
  | 'troupe-kafkajs'
  | 'putmessage'
  | 'putmessage-early'
  | 'loop-platformatic'
  | 'loop-kafkajs'
  | 'collector-early'
  | 'collector-waiting'
  | 'collector-each';

/** A place that takes events. */
export interface Target {
  readonly name: TargetName;
  readonly port: number;
  /** For requests of one event and of several. */
  readonly paths: { readonly one: string; readonly many: string };
  readonly headers: Readonly<Record<string, string>>;
  readonly topic: string;
  /** Kafka may never get what was answered 200. */
  readonly mayLose: boolean;
  /** CPU of the server so far, all its processes and threads, microseconds. */
  cpuUs(): number;
}

export interface Servers {
  readonly targets: readonly Target[];
  /** @throws Error when a Troupe spilled: its figures are not those of the happy path. */
  check(): Promise<void>;
  end(): Promise<void>;
}

export interface ServersOptions {
  readonly brokers: readonly string[];
  readonly admin: TopicAdmin;
  readonly wanted: ReadonlySet<TargetName>;
  /** How long the loops by hand merge: as Troupe's producer does by default. */
  readonly lingerMs: number;
  /** Where the CPU profiles of the Troupes and the loops go, each under its name. */
  readonly profileDir: string | undefined;
}

const PARTITIONS = 4;
/** As `npm start` gives them to node; the loops by hand get them too. */
const { serviceFlags } = (
  JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as { config: { serviceFlags: string[] } }
).config;

/** Starts what is needed for the targets that are wanted. */
export async function startServers(options: ServersOptions): Promise<Servers> {
  const { brokers, admin, wanted, lingerMs, profileDir } = options;
  const targets: Target[] = [];
  const checks: (() => Promise<void>)[] = [];
  const ends: (() => Promise<unknown>)[] = [];
  const isWanted = (...names: readonly TargetName[]): boolean => names.some((name) => wanted.has(name));
  const add = (target: Target): void => void (wanted.has(target.name) && targets.push(target));

  const profiling = (name: TargetName): readonly string[] =>
    profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-name=${name}.cpuprofile`, `--cpu-prof-dir=${profileDir}`];

  async function makeTopics(...topics: readonly string[]): Promise<void> {
    await admin.ensureTopics(topics.map((topic) => ({ topic, partitions: PARTITIONS })));
  }

  async function troupe(name: 'troupe' | 'troupe-kafkajs' | 'putmessage-early', env: Readonly<Record<string, string>>): Promise<void> {
    const prefix = `${name}-`;
    const topic = `${prefix}events_plugin_ingestion`;
    const messages = `${prefix}messages`;
    await makeTopics(topic, messages);
    const started = await startTroupe({
      execArgv: [...serviceFlags, ...profiling(name)],
      env: {
        PLUGIN_SERVER_MODE: 'capture',
        KAFKA_HOSTS: brokers.join(','),
        KAFKA_PREFIX: prefix,
        TROUPE_PUTMESSAGE_TOPICS: messages,
        ...env,
      },
    });
    ends.push(() => started.stop());
    checks.push(async () => {
      const spilled = await started.metric('spill_written_total');
      if (spilled > 0) throw new Error(`${name}: ${spilled} events went over the disk`);
    });
    const common = { port: Number(new URL(started.urls.capture).port), cpuUs: () => treeThreadsCpuUs(started.pid) };
    const events = { ...common, paths: { one: '/i/v0/e/', many: '/batch/' }, headers: {}, topic, mayLose: false };
    const paths = { one: '/putmessage', many: '/putmessage' };
    const putmessage = { ...common, paths, headers: { topic: messages }, topic: messages, mayLose: false };
    if (name === 'putmessage-early') add({ ...putmessage, name });
    else add({ ...events, name });
    if (name === 'troupe') add({ ...putmessage, name: 'putmessage' });
  }

  async function loop(client: 'kafkajs' | 'platformatic'): Promise<void> {
    const name = `loop-${client}` as const;
    await makeTopics(name);
    const child = fork(join(import.meta.dirname, 'capture-loop.ts'), {
      stdio: 'inherit',
      execArgv: [...serviceFlags, ...profiling(name), '--disable-warning=TimeoutNegativeWarning'], // kafkajs: a timer for the past
      env: { ...process.env, TZ: 'UTC', CLIENT: client, TOPIC: name, KAFKA_HOSTS: brokers.join(','), LINGER_MS: String(lingerMs) },
    });
    ends.push(() => end(child));
    const { port } = await messageOf<{ port: number }>(child);
    const cpuUs = (): number => treeThreadsCpuUs(child.pid ?? 0);
    add({ name, port, paths: { one: '/', many: '/' }, headers: {}, topic: name, mayLose: false, cpuUs });
  }

  async function collector(): Promise<void> {
    const started = await startCollector({ brokers });
    ends.push(() => started.stop());
    const cpuUs = (): number => treeThreadsCpuUs(started.pid);
    const places = [
      ['collector-early', '/putmessage', true],
      ['collector-waiting', '/waiting', false],
      ['collector-each', '/batch', true],
    ] as const;
    await makeTopics(...places.map(([name]) => name));
    for (const [name, path, mayLose] of places) {
      add({ name, port: started.port, paths: { one: path, many: path }, headers: { topic: name }, topic: name, mayLose, cpuUs });
    }
  }

  const servers: Servers = {
    targets,
    async check() {
      for (const check of checks) await check();
    },
    async end() {
      await Promise.all(ends.map((stop) => stop()));
    },
  };
  try {
    if (isWanted('troupe', 'putmessage')) await troupe('troupe', {});
    if (isWanted('troupe-kafkajs')) await troupe('troupe-kafkajs', { TROUPE_KAFKA_PRODUCER: 'kafkajs' });
    if (isWanted('putmessage-early')) await troupe('putmessage-early', { TROUPE_PUTMESSAGE_ACK: 'none' });
    if (isWanted('loop-platformatic')) await loop('platformatic');
    if (isWanted('loop-kafkajs')) await loop('kafkajs');
    if (isWanted('collector-early', 'collector-waiting', 'collector-each')) await collector();
  } catch (error) {
    await servers.end();
    throw error;
  }
  return servers;
}
