/**
 * What one event costs from Kafka to a durable row: CPU microseconds of each process, on real Kafka, PostgreSQL and the
 * ClickHouse engine, beside the bare loop (bare-loop.ts) in the same run.
 *
 *     node test/bench/pipeline.bench.ts [--events 100000] [--warmup 40000] [--known 10000] [--profile]
 *
 * CPU of a server is that of its whole process tree over the measured part, producing not included. Not
 * measured: the network, TLS, plugins. Two cores shared with the servers: trust CPU per event, not events/s.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createClickHouse } from '../../src/clickhouse/client.ts';
import { ensureClickHouseSchema } from '../../src/clickhouse/migrate.ts';
import { startEmbeddedClickHouse } from '../../src/embedded/clickhouse.ts';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import type { PostgresClient } from '../../src/postgres/client.ts';
import { personUuid } from '../../src/domain/uuid.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { startKafka } from '../services/kafka.ts';
import { startPostgres } from '../services/postgres.ts';
import { freePorts } from '../services/ports.ts';
import { childrenOf, mainThreadCpuUs, ownCpuUs, rssMb, treeCpuUs } from './cpu.ts';
import { knownProperties, recordOf, tokenOf, type MixOptions } from './mix.ts';

const TEAMS = 5;
const PARTITIONS = 4;
const root = join(import.meta.dirname, '../..');

export interface PipelineResult {
  readonly events: number;
  readonly nodeUs: number;
  /** Of `nodeUs`, the main thread's. */
  readonly mainThreadUs: number;
  readonly postgresUs: number;
  readonly engineUs: number;
  readonly brokerUs: number;
  readonly eventsPerSecond: number;
  readonly rssMb: number;
  readonly bareNodeUs: number;
  readonly bareEngineUs: number;
  readonly bareEventsPerSecond: number;
}

export async function runPipeline(options: {
  readonly events: number;
  readonly warmup: number;
  readonly known: number;
  readonly profile?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}): Promise<PipelineResult> {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-bench-'));
  const kafka = await startKafka();
  const [broker] = childrenOf(process.pid);
  if (broker === undefined) throw new Error('the broker is a child of this process');
  const postgres = await startPostgres('embedded');
  const engine = await startEmbeddedClickHouse({ dataDir: join(dir, 'clickhouse'), clock: systemClock });
  const address = new URL(engine.url);
  const clickhouse = createClickHouse({
    url: address.origin,
    user: address.username,
    password: address.password,
    database: 'default',
    clock: systemClock,
  });
  const client = postgres.client();
  const connection = { brokers: kafka.brokers(), clientId: 'bench' };
  const admin = createKafkaAdmin({ connection, clock: systemClock });
  const producer = createKafkaProducer({ connection, clock: systemClock, maxQueuedBytes: 256 << 20 });
  const children: ChildProcess[] = [];
  try {
    await ensureClickHouseSchema(clickhouse, { database: 'default', migrate: false });
    await ensureSchema(client, { create: 'missing-tables' });
    for (let team = 0; team < TEAMS; team++) await seedTeam(client, { token: tokenOf(team) });
    await seedKnown(client, options.known);
    const topics = [
      'events_plugin_ingestion',
      'events_plugin_ingestion_historical',
      'exceptions_ingestion',
      'client_iwarnings_ingestion',
      'heatmaps_ingestion',
      'events_plugin_ingestion_dlq',
    ];
    await admin.ensureTopics(topics.map((topic, index) => ({ topic, partitions: index === 0 ? PARTITIONS : 1 })));

    const mix: MixOptions = { teams: TEAMS, knownPersons: options.known, run: 'a' };
    const produce = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += 1_000) {
        await producer.send(
          'events_plugin_ingestion',
          Array.from({ length: Math.min(1_000, to - at) }, (_, index) => recordOf(at + index, mix)),
        );
      }
    };
    const [httpPort, inspectPort] = await freePorts(2);
    const troupe = spawn(process.execPath, [...(options.profile ? ['--cpu-prof', `--cpu-prof-dir=${dir}`] : []), 'src/main.ts', 'run'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        TZ: 'UTC',
        LOG_LEVEL: 'warn',
        KAFKA_HOSTS: kafka.brokers().join(','),
        DATABASE_URL: postgres.connectionString.replace('@/', '@localhost/'),
        CLICKHOUSE_HOST: address.origin,
        CLICKHOUSE_USER: address.username,
        CLICKHOUSE_PASSWORD: address.password,
        TROUPE_DATA_DIR: join(dir, 'troupe'),
        TROUPE_CAPTURE_ENABLED: 'false',
        HTTP_SERVER_PORT: String(httpPort),
        TROUPE_INSPECT_PORT: String(inspectPort),
        ...options.env,
      },
    });
    children.push(troupe);
    const pid = troupe.pid ?? 0;
    const stored = async (): Promise<number> =>
      Number((await clickhouse.query<{ n: string }>('SELECT count() AS n FROM events'))[0]?.n ?? 0);
    const cpu = (): { node: number; main: number; postgres: number; engine: number; broker: number } => ({
      node: ownCpuUs(pid),
      main: mainThreadCpuUs(pid),
      postgres: treeCpuUs(postgres.pid),
      engine: treeCpuUs(engine.pid),
      broker: treeCpuUs(broker),
    });

    await produce(0, options.warmup);
    await until(async () => (await stored()) >= options.warmup, 180_000, 'the warm-up to be stored');
    // Stopped while its work is produced: what is measured is a process that has a backlog, as the bare loop has.
    process.kill(pid, 'SIGSTOP');
    await produce(options.warmup, options.warmup + options.events);
    const before = cpu();
    const startedMs = performance.now();
    process.kill(pid, 'SIGCONT');
    await until(async () => (await stored()) >= options.warmup + options.events, 300_000, 'all events to be stored');
    const elapsedS = (performance.now() - startedMs) / 1000;
    const after = cpu();
    const memory = rssMb(pid);
    await end(troupe);
    if (options.profile) console.log(`CPU profile in ${dir}`);

    // The baseline, over the same records, into an empty table of the same shape.
    await clickhouse.command('TRUNCATE TABLE events');
    const bare = spawn(process.execPath, ['test/bench/bare-loop.ts'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        TZ: 'UTC',
        KAFKA_HOSTS: kafka.brokers().join(','),
        CLICKHOUSE_URL: engine.url,
        GROUP_ID: 'bare',
        TOPIC: 'events_plugin_ingestion',
      },
    });
    children.push(bare);
    await until(async () => (await stored()) >= options.warmup, 180_000, 'the bare loop to warm up');
    const bareBefore = { rows: await stored(), node: ownCpuUs(bare.pid ?? 0), engine: treeCpuUs(engine.pid), ms: performance.now() };
    await until(async () => (await stored()) >= options.warmup + options.events, 180_000, 'the bare loop to end');
    const bareRows = options.warmup + options.events - bareBefore.rows;
    const bareNodeUs = (ownCpuUs(bare.pid ?? 0) - bareBefore.node) / bareRows;
    const bareEngineUs = (treeCpuUs(engine.pid) - bareBefore.engine) / bareRows;
    const bareEventsPerSecond = bareRows / ((performance.now() - bareBefore.ms) / 1000);
    await end(bare);

    const per = (a: number, b: number): number => (b - a) / options.events;
    return {
      events: options.events,
      nodeUs: per(before.node, after.node),
      mainThreadUs: per(before.main, after.main),
      postgresUs: per(before.postgres, after.postgres),
      engineUs: per(before.engine, after.engine),
      brokerUs: per(before.broker, after.broker),
      eventsPerSecond: options.events / elapsedS,
      rssMb: memory,
      bareNodeUs,
      bareEngineUs,
      bareEventsPerSecond,
    };
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
    await producer.close();
    await admin.close();
    await clickhouse.close();
    await engine.stop();
    await postgres.stop();
    await kafka.stop();
    if (!options.profile) rmSync(dir, { recursive: true, force: true });
  }
}

async function seedKnown(client: PostgresClient, known: number): Promise<void> {
  const teams = await client.run<{ id: string; token: string }>(
    { name: 'bench-teams', text: 'SELECT id::text AS id, api_token AS token FROM posthog_team' },
    [],
  );
  const idOf = new Map(teams.map((team) => [team.token, Number(team.id)]));
  for (let from = 0; from < known; from += 5_000) {
    const persons = Array.from({ length: Math.min(5_000, known - from) }, (_, index) => {
      const person = from + index;
      const team = idOf.get(tokenOf(person % TEAMS)) ?? 0;
      return { team, uuid: personUuid(team, `known-${person}`), distinct_id: `known-${person}`, properties: knownProperties(person) };
    });
    await client.run(
      {
        name: 'bench-seed',
        text: `WITH input AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS x(team int, uuid uuid, distinct_id text, properties jsonb)),
               made AS (INSERT INTO posthog_person (created_at, properties, team_id, is_identified, uuid, version) SELECT now(), properties, team, false, uuid, 0 FROM input RETURNING id, uuid)
               INSERT INTO posthog_persondistinctid (distinct_id, person_id, team_id, version) SELECT i.distinct_id, m.id, i.team, 0 FROM input i JOIN made m USING (uuid)`,
      },
      [JSON.stringify(persons)],
    );
  }
  await client.script('bench-analyze', 'ANALYZE posthog_person; ANALYZE posthog_persondistinctid;');
}

async function until(condition: () => Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), 30_000).unref();
  });
}

export function printPipeline(name: string, result: PipelineResult): void {
  const us = (value: number): string => value.toFixed(1).padStart(7);
  console.log(`\n${name}: ${result.events} events, CPU microseconds per event`);
  console.log(
    `  ${'Troupe (node)'.padEnd(24)}${us(result.nodeUs)}   bare loop ${us(result.bareNodeUs)}   share of the bare loop's events per CPU second ${(result.bareNodeUs / result.nodeUs).toFixed(2)}`,
  );
  console.log(`  ${'  of it the main thread'.padEnd(24)}${us(result.mainThreadUs)}`);
  console.log(`  ${'PostgreSQL'.padEnd(24)}${us(result.postgresUs)}`);
  console.log(`  ${'ClickHouse engine'.padEnd(24)}${us(result.engineUs)}   bare loop ${us(result.bareEngineUs)}`);
  console.log(`  ${'Kafka broker'.padEnd(24)}${us(result.brokerUs)}`);
  console.log(
    `  events/s ${Math.round(result.eventsPerSecond)} (bare loop ${Math.round(result.bareEventsPerSecond)}), memory ${result.rssMb} MB`,
  );
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      events: { type: 'string', default: '100000' },
      warmup: { type: 'string', default: '40000' },
      known: { type: 'string', default: '10000' },
      profile: { type: 'boolean', default: false },
    },
  });
  printPipeline(
    `pipeline, ${values.known} known persons`,
    await runPipeline({
      events: Number(values.events),
      warmup: Number(values.warmup),
      known: Number(values.known),
      profile: values.profile,
    }),
  );
  process.exit(0);
}
