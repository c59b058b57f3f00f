import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { KafkaConnection } from '../../src/kafka/connection.ts';
import type { RecordProducer, TopicAdmin } from '../../src/kafka/port.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import type { PostgresClient } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService, type Availability } from './availability.ts';
import { probeClickHouse, startClickHouse, type TestClickHouse } from './clickhouse.ts';
import { probeKafka, startKafka, type KafkaCluster } from './kafka.ts';
import { freePort } from './ports.ts';
import { probePostgres, startPostgres, type PostgresKind, type TestPostgres } from './postgres.ts';
import { probeRedis, startRedis, type TestRedis } from './redis.ts';

/** Topics as Troupe names them without a prefix. */
export const TOPIC = 'events_plugin_ingestion';
export const DEAD_LETTERS = 'events_plugin_ingestion_dlq';
export const GROUP = 'clickhouse-ingestion';
export const PARTITIONS = 4;

/** Every input topic with the group that reads it (spec/ingestion.md 1.1). */
export const INPUTS: readonly { readonly topic: string; readonly group: string }[] = [
  { topic: TOPIC, group: GROUP },
  { topic: 'events_plugin_ingestion_overflow', group: 'clickhouse-ingestion-overflow' },
  { topic: 'events_plugin_ingestion_historical', group: 'clickhouse-ingestion-historical' },
  { topic: 'exceptions_ingestion', group: 'exceptions_ingestion' },
  { topic: 'heatmaps_ingestion', group: 'heatmaps_ingestion' },
  { topic: 'client_iwarnings_ingestion', group: 'client_iwarnings_ingestion' },
];
const MAIN = INPUTS.slice(0, 1);

/** Everything that Troupe talks to, real, of one test file alone, with empty tables and topics. */
export interface Surroundings {
  readonly kafka: KafkaCluster;
  readonly postgres: TestPostgres;
  readonly clickhouse: TestClickHouse;
  readonly redis: TestRedis;
  /** Variables that lead a Troupe here. */
  readonly env: Readonly<Record<string, string>>;
  readonly admin: TopicAdmin;
  readonly producer: RecordProducer;
  readonly sql: PostgresClient;
  readonly rows: ClickHouse;
  stop(): Promise<void>;
}

/** Which real servers this machine has; the first missing one is the reason. */
export async function requireSurroundings(): Promise<Availability> {
  const services = [
    ['kafka', probeKafka],
    ['postgres', () => postgresKind()],
    ['clickhouse', probeClickHouse],
    ['redis', probeRedis],
  ] as const;
  for (const [name, probe] of services) {
    const found = await requireService(name, probe);
    if (!found.available) return found;
  }
  return { available: true };
}

/** Debian's server where there is one, as most operators run an older major than ours. */
export async function postgresKind(): Promise<PostgresKind> {
  try {
    await probePostgres('debian');
    return 'debian';
  } catch {
    await probePostgres('embedded');
    return 'embedded';
  }
}

/**
 * Short patience, so that a killed process is missed after 6 s and not after 30: the zombie arithmetic of the settings
 * (margin + insert < session) allows no less.
 */
const IMPATIENT = {
  KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS: '6000',
  KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS: '6000',
  TROUPE_KAFKA_HEARTBEAT_INTERVAL_MS: '300',
  TROUPE_KAFKA_HEARTBEAT_MARGIN_MS: '900',
  TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS: '5000',
};

export async function startSurroundings(options: { readonly brokers?: number } = {}): Promise<Surroundings> {
  const ends: (() => Promise<unknown>)[] = [];
  const kept = async <T>(starting: Promise<T>, end: (started: T) => Promise<unknown>): Promise<T> => {
    const started = await starting;
    ends.push(() => end(started));
    return started;
  };
  const stop = async (): Promise<void> => {
    for (const end of ends.reverse()) await end();
  };
  try {
    const kafka = await kept(startKafka({ nodes: options.brokers ?? 1 }), (it) => it.stop());
    const postgres = await kept(startPostgres(await postgresKind()), (it) => it.stop());
    const clickhouse = await kept(startClickHouse(), (it) => it.stop());
    const redis = await kept(startRedis({ port: await freePort() }), (it) => it.stop());
    const connection: KafkaConnection = { brokers: kafka.brokers(), clientId: 'test' };
    const admin = createKafkaAdmin({ connection, clock: systemClock });
    ends.push(() => admin.close());
    const producer = createKafkaProducer({ connection, clock: systemClock, maxQueuedBytes: 256 * 1024 * 1024, sendTimeoutMs: 300_000 });
    ends.push(() => producer.close());
    const rows = clickhouse.client();
    const sql = postgres.client();
    await admin.ensureTopics([
      { topic: TOPIC, partitions: PARTITIONS },
      { topic: DEAD_LETTERS, partitions: 1 },
    ]);
    await ensureSchema(sql, { migrate: false });
    return {
      kafka,
      postgres,
      clickhouse,
      redis,
      env: {
        KAFKA_HOSTS: kafka.brokers().join(','),
        DATABASE_URL: postgres.connectionString.replace('@/', '@localhost/'),
        CLICKHOUSE_HOST: clickhouse.url,
        CLICKHOUSE_USER: clickhouse.user,
        CLICKHOUSE_PASSWORD: clickhouse.password,
        REDIS_URL: redis.url,
        ...IMPATIENT,
      },
      admin,
      producer,
      sql,
      rows,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Waits until `holds` is true, asking 10 times a second. A question that throws is a no. @throws Error naming `what` and the last error. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  let last: unknown;
  for (;;) {
    try {
      if (await holds()) return;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Records of the input topics in Kafka, and how many of them are below their committed watermarks. */
export async function progressOf(
  { admin }: Surroundings,
  inputs: typeof INPUTS = MAIN,
): Promise<{ readonly end: number; readonly committed: number }> {
  const sum = (offsets: readonly { readonly offset: number | undefined }[]): number =>
    offsets.reduce((total, { offset = 0 }) => total + offset, 0);
  const each = await Promise.all(
    inputs.map(async ({ topic, group }) => ({
      end: sum(await admin.endOffsets(topic)),
      committed: sum(await admin.committedOffsets(group, topic)),
    })),
  );
  return {
    end: each.reduce((total, { end }) => total + end, 0),
    committed: each.reduce((total, { committed }) => total + committed, 0),
  };
}

/** Waits until everything in the input topics is committed; in the main one alone unless others are named. */
export async function drained(surroundings: Surroundings, limitMs: number, inputs: typeof INPUTS = MAIN): Promise<void> {
  let seen = { end: 0, committed: 0 };
  await until(
    async () => {
      seen = await progressOf(surroundings, inputs);
      return seen.committed === seen.end;
    },
    'everything in the input topics is committed',
    limitMs,
  ).catch((error: unknown) => {
    throw new Error(`${seen.committed} of ${seen.end} records are committed`, { cause: error });
  });
}
