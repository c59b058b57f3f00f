/**
 * The stage of the benchmarks that need the real servers: one Kafka broker, PostgreSQL and the ClickHouse engine on this
 * machine, with tables, teams, topics and known persons; Troupe in processes of its own.
 *
 * CPU of a server is that of its whole process tree, from /proc. Producing is not in any figure: Troupe is stopped while
 * its work is written (`withBacklog`), so that what is measured is a process that never waits for the producer.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClickHouse } from '../../src/clickhouse/client.ts';
import { ensureClickHouseSchema } from '../../src/clickhouse/migrate.ts';
import { startEmbeddedClickHouse } from '../../src/embedded/clickhouse.ts';
import { outputTopics } from '../../src/domain/output-topics.ts';
import { partitionOfKey } from '../../src/domain/murmur2.ts';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { OutgoingRecord } from '../../src/kafka/port.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { startKafka } from '../services/kafka.ts';
import { freePorts } from '../services/ports.ts';
import { startPostgres } from '../services/postgres.ts';
import { childrenOf, mainThreadCpuUs, ownCpuUs, treeCpuUs } from './cpu.ts';
import { knownProperties, recordOf, tokenOf } from './mix.ts';

const TEAMS = 5;
const PARTITIONS = 4;
const SEED_CHUNK = 10_000;
/** Between two looks for rows that have become visible. */
const LOOK_MS = 20;
const root = join(import.meta.dirname, '../..');
/** As `npm start` gives them to node (scripts/bootstrap.mjs). */
const SERVICE_FLAGS = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { config: { serviceFlags: string[] } }).config
  .serviceFlags;

/** CPU microseconds since start. */
export interface Cpu {
  /** All Troupe processes that were asked about. */
  readonly node: number;
  readonly main: number;
  readonly postgres: number;
  readonly engine: number;
  readonly broker: number;
  /** Statements that PostgreSQL has executed, BEGIN and COMMIT included. Not a time. */
  readonly statements: number;
}

export interface TroupeProcess {
  readonly pid: number;
  /** Resolves when `/_ready` says so: joined, taken over, consuming. */
  ready(): Promise<void>;
  end(): Promise<void>;
}

export type StageOutput = 'clickhouse' | 'kafka';

export interface TroupeOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly execArgs?: readonly string[];
  /** Another checkout, to compare with. */
  readonly root?: string;
}

export interface Stage {
  /** For files of a run; removed at the end unless it is kept. */
  readonly dir: string;
  readonly knownPersons: () => number;
  /** Adds known persons until there are so many or the time is over. Resolves to how many there are. */
  seed(toCount: number, limitMs?: number): Promise<number>;
  /** Writes the next events of the mix. `change` may add headers. Resolves when all are acknowledged. */
  produce(count: number, change?: (record: OutgoingRecord, index: number) => OutgoingRecord): Promise<void>;
  /** Starts `node src/main.ts run` on the stage, as `npm start` does. */
  troupe(options?: TroupeOptions): Promise<TroupeProcess>;
  /** Starts another script of this folder, told by environment variables where everything is. */
  script(file: string): ChildProcess;
  /** Looks for rows in another place from now on, and counts those of what is produced from now on. */
  countIn(output: StageOutput): Promise<void>;
  /** Rows of events, where they are looked for: at first in the table. */
  stored(): Promise<number>;
  /** Resolves when all that was produced is stored; throws when more rows than that are. */
  allStored(): Promise<void>;
  /** Produces while the processes are stopped, lets them go, and resolves when everything is stored. */
  withBacklog(
    processes: readonly TroupeProcess[],
    count: number,
    change?: (record: OutgoingRecord, index: number) => OutgoingRecord,
  ): Promise<Measured>;
  /** Asks PostgreSQL anything. */
  sql(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  cpu(processes: readonly { readonly pid: number }[]): Promise<Cpu>;
  /**
   * Writes `count` events of the mix evenly over `seconds` and resolves to how long each took from being handed to the producer
   * until a query found its row, ascending, ms. Looks every {@link LOOK_MS}, so a figure may be too high by that.
   */
  paced(count: number, seconds: number): Promise<readonly number[]>;
  truncateEvents(): Promise<void>;
  close(options?: { readonly keepDir?: boolean }): Promise<void>;
}

/** CPU microseconds (and statements) for each event, and the pace. */
export interface Measured extends Cpu {
  readonly events: number;
  readonly eventsPerSecond: number;
}

/** What one of `count` events cost between two readings, `seconds` apart. */
export function perEvent(count: number, seconds: number, before: Cpu, after: Cpu): Measured {
  const per = (name: keyof Cpu): number => (after[name] - before[name]) / count;
  return {
    events: count,
    eventsPerSecond: count / seconds,
    node: per('node'),
    main: per('main'),
    postgres: per('postgres'),
    engine: per('engine'),
    broker: per('broker'),
    statements: per('statements'),
  };
}

export async function startStage(options: { readonly known: number }): Promise<Stage> {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-bench-'));
  const kafka = await startKafka();
  const [broker] = childrenOf(process.pid);
  if (broker === undefined) throw new Error('the broker is a child of this process');
  const postgres = await startPostgres('embedded', { shared_preload_libraries: 'pg_stat_statements' });
  const engine = await startEmbeddedClickHouse({ dataDir: join(dir, 'clickhouse'), clock: systemClock });
  const address = new URL(engine.url);
  const access = { user: address.username, password: address.password };
  const clickhouse = createClickHouse({ url: address.origin, ...access, database: 'default', clock: systemClock });
  const client = postgres.client();
  const connection = { brokers: kafka.brokers(), clientId: 'bench' };
  const admin = createKafkaAdmin({ connection, clock: systemClock });
  const producer = createKafkaProducer({ connection, clock: systemClock, maxQueuedBytes: 256 << 20 });
  const children: ChildProcess[] = [];
  const teamIds: number[] = [];
  let known = 0;
  let produced = 0;
  let output: StageOutput = 'clickhouse';
  /** Events and rows that are not counted, because they were there before the table was emptied or the output was changed. */
  let producedBefore = 0;
  let rowsBefore = 0;

  /** Event rows in the output's own place: `events`, or PostHog's topic of them. */
  async function rowsIn(output: StageOutput): Promise<number> {
    if (output === 'kafka') {
      const ends = await admin.endOffsets(outputTopics({ prefix: '' }).events);
      return ends.reduce((sum, { offset }) => sum + offset, 0);
    }
    const [row] = await clickhouse.query<{ n: string }>('SELECT count() AS n FROM events');
    return Number(row?.n ?? 0);
  }

  /** Of the input topic's partitions, in their order. */
  async function storedByPartition(): Promise<number[]> {
    const counts = new Array<number>(PARTITIONS).fill(0);
    const sql = "SELECT _partition AS p, count() AS n FROM events WHERE _topic = 'events_plugin_ingestion' GROUP BY p";
    for (const { p, n } of await clickhouse.query<{ p: string; n: string }>(sql)) counts[Number(p)] = Number(n);
    return counts;
  }

  /** All that clients have had executed so far, except for this question, and without the server's own look-ups for foreign keys. */
  async function statements(): Promise<number> {
    const text =
      "SELECT COALESCE(sum(calls), 0)::float8 AS n FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE 'SELECT % FROM ONLY % FOR KEY SHARE%'";
    const [row] = await client.run<{ n: number }>({ name: 'bench-statements', text }, []);
    return row?.n ?? 0;
  }

  const stored = async (): Promise<number> => (await rowsIn(output)) - rowsBefore;

  const stage: Stage = {
    dir,
    knownPersons: () => known,

    async seed(toCount, limitMs = Number.POSITIVE_INFINITY) {
      const deadline = performance.now() + limitMs;
      const template = JSON.stringify(knownProperties('@@'));
      while (known < toCount && performance.now() < deadline) {
        const to = Math.min(toCount, known + SEED_CHUNK);
        await client.run({ name: 'bench-seed', text: SEED }, [template, `{${teamIds.join(',')}}`, known, to - 1]);
        known = to;
      }
      // By hand and now, so that autovacuum has no reason to do it while something is measured.
      for (const table of ['posthog_person', 'posthog_persondistinctid']) {
        await client.run({ name: `bench-vacuum-${table}`, text: `VACUUM (ANALYZE) ${table}` }, []);
      }
      return known;
    },

    async produce(count, change = (record) => record) {
      const mix = { teams: TEAMS, knownPersons: known, run: 'a' };
      const end = produced + count;
      while (produced < end) {
        const from = produced;
        const records = Array.from({ length: Math.min(1_000, end - from) }, (_, at) => change(recordOf(from + at, mix), from + at));
        await producer.send('events_plugin_ingestion', records);
        produced += records.length;
      }
    },

    async troupe({ env = {}, execArgs = [], root: cwd = root } = {}) {
      const [httpPort, inspectPort] = await freePorts(2);
      const child = spawn(process.execPath, [...SERVICE_FLAGS, ...execArgs, 'src/main.ts', 'run'], {
        cwd,
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          TZ: 'UTC',
          LOG_LEVEL: 'warn',
          KAFKA_HOSTS: kafka.brokers().join(','),
          DATABASE_URL: postgres.connectionString.replace('@/', '@localhost/'),
          CLICKHOUSE_HOST: address.origin,
          CLICKHOUSE_USER: access.user,
          CLICKHOUSE_PASSWORD: access.password,
          TROUPE_DATA_DIR: join(dir, `troupe-${children.length}`),
          TROUPE_CAPTURE_ENABLED: 'false',
          HTTP_SERVER_PORT: String(httpPort),
          TROUPE_INSPECT_PORT: String(inspectPort),
          ...env,
        },
      });
      children.push(child);
      const isReady = async (): Promise<boolean> => {
        if (child.exitCode !== null) throw new Error(`Troupe ended with code ${child.exitCode}`);
        const response = await fetch(`http://127.0.0.1:${httpPort}/_ready`).catch(() => undefined); // it does not listen yet
        await response?.arrayBuffer();
        return response?.ok === true;
      };
      return { pid: child.pid ?? 0, ready: () => until(isReady, 60_000, 'Troupe to be ready'), end: () => end(child) };
    },

    script(file) {
      const child = spawn(process.execPath, [join(import.meta.dirname, file)], {
        cwd: root,
        stdio: ['ignore', 'ignore', 'inherit'],
        env: {
          ...process.env,
          TZ: 'UTC',
          KAFKA_HOSTS: kafka.brokers().join(','),
          CLICKHOUSE_URL: engine.url,
          GROUP_ID: file,
          TOPIC: 'events_plugin_ingestion',
        },
      });
      children.push(child);
      return child;
    },

    stored,

    async countIn(place) {
      output = place;
      producedBefore = produced;
      rowsBefore = await rowsIn(place);
    },

    async allStored() {
      const expected = produced - producedBefore;
      await until(async () => (await stored()) >= expected, 300_000, `${expected} rows to be stored`);
      const rows = await stored();
      if (rows !== expected) throw new Error(`${rows} rows are stored of ${expected} events: the benchmark measures something wrong`);
    },

    async withBacklog(processes, count, change) {
      for (const { pid } of processes) process.kill(pid, 'SIGSTOP');
      await stage.produce(count, change);
      const before = await stage.cpu(processes);
      const startedMs = performance.now();
      for (const { pid } of processes) process.kill(pid, 'SIGCONT');
      await stage.allStored();
      const seconds = (performance.now() - startedMs) / 1000;
      const after = await stage.cpu(processes);
      return perEvent(count, seconds, before, after);
    },

    async paced(count, seconds) {
      const mix = { teams: TEAMS, knownPersons: known, run: 'a' };
      const handedMs = Array.from({ length: PARTITIONS }, (): number[] => []);
      const seen = (await storedByPartition()).map(Number);
      const first = seen.map((rows) => rows);
      const latencies: number[] = [];
      const startedMs = performance.now();
      let sent = 0;
      const writing = (async () => {
        while (sent < count) {
          const due = Math.min(count, Math.ceil(((performance.now() - startedMs) / (seconds * 1000)) * count));
          if (due > sent) {
            const records = Array.from({ length: due - sent }, (_, at) => recordOf(produced + at, mix));
            const nowMs = performance.now();
            for (const { key } of records) handedMs[partitionOfKey(key ?? Buffer.alloc(0), PARTITIONS)]?.push(nowMs);
            produced += records.length;
            sent = due;
            await producer.send('events_plugin_ingestion', records);
          }
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      })();
      while (latencies.length < count) {
        const rows = await storedByPartition();
        const nowMs = performance.now();
        rows.forEach((have, partition) => {
          // In each partition rows become visible nearly in the order of their offsets: the n-th row stands for the n-th record.
          for (let at = (seen[partition] ?? 0) - (first[partition] ?? 0); at < have - (first[partition] ?? 0); at++)
            latencies.push(nowMs - (handedMs[partition]?.[at] ?? nowMs));
          seen[partition] = have;
        });
        if (nowMs - startedMs > seconds * 1000 + 60_000) throw new Error(`${latencies.length} of ${count} paced events became visible`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
      await writing;
      return latencies.sort((a, b) => a - b);
    },

    sql: (text) => client.run({ name: `bench-${text.length}`, text }, []),

    cpu: async (processes) => ({
      statements: await statements(),
      node: processes.reduce((sum, { pid }) => sum + ownCpuUs(pid), 0),
      main: processes.reduce((sum, { pid }) => sum + mainThreadCpuUs(pid), 0),
      postgres: treeCpuUs(postgres.pid),
      engine: treeCpuUs(engine.pid),
      broker: treeCpuUs(broker),
    }),

    async truncateEvents() {
      await clickhouse.command('TRUNCATE TABLE events');
      producedBefore = produced;
      rowsBefore = 0;
    },

    async close({ keepDir = false } = {}) {
      await Promise.all(children.map(end));
      await producer.close();
      await admin.close();
      await clickhouse.close();
      await engine.stop();
      await postgres.stop();
      await kafka.stop();
      if (!keepDir) rmSync(dir, { recursive: true, force: true });
    },
  };

  try {
    await ensureClickHouseSchema(clickhouse, { database: 'default', migrate: false });
    await client.script('bench-statements', 'CREATE EXTENSION pg_stat_statements');
    await ensureSchema(client, { migrate: false });
    for (let team = 0; team < TEAMS; team++) teamIds.push(Number(await seedTeam(client, { token: tokenOf(team) })));
    await admin.ensureTopics(
      [
        'events_plugin_ingestion',
        'events_plugin_ingestion_historical',
        'exceptions_ingestion',
        'client_iwarnings_ingestion',
        'heatmaps_ingestion',
        'events_plugin_ingestion_dlq',
      ].map((topic, index) => ({ topic, partitions: index === 0 ? PARTITIONS : 1 })),
    );
    await stage.seed(options.known);
    return stage;
  } catch (error) {
    await stage.close();
    throw error;
  }
}

/** Persons and their ids, made by the server itself: a million of them take a minute, not ten. */
const SEED = `
  WITH made AS (
    INSERT INTO posthog_person (created_at, properties, team_id, is_identified, uuid, version)
    SELECT now(), replace($1::text, '@@', n::text)::jsonb, ($2::int[])[1 + n % ${TEAMS}], false, gen_random_uuid(), 0
    FROM generate_series($3::int, $4::int) AS n
    RETURNING id, team_id, split_part(properties->>'email', '@', 1) AS distinct_id)
  INSERT INTO posthog_persondistinctid (distinct_id, person_id, team_id, version) SELECT distinct_id, id, team_id, 0 FROM made`;

export async function until(condition: () => Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** SIGTERM, and SIGKILL when that has no effect for 30 s. Resolves when the process is gone. */
export function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGCONT');
    child.kill('SIGTERM');
  });
}
