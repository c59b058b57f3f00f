import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ClickHouseOutput, KafkaOutput, Output } from '../supervisors/output.ts';
import { createClickHouse } from './clickhouse/client.ts';
import { ensureClickHouseSchema } from './clickhouse/migrate.ts';
import type { ClickHouse } from './clickhouse/port.ts';
import type { Closers } from './closers.ts';
import { isVerified } from './config/rules.ts';
import { pemOf } from './config/pem.ts';
import type { Config } from './config/schema.ts';
import { clickHouseTarget, kafkaTarget, postgresTarget } from './contact-targets.ts';
import { contact, explained } from './contact.ts';
import { outputTopics } from './domain/output-topics.ts';
import { startEmbeddedClickHouse } from './embedded/clickhouse.ts';
import { openEmbeddedLog } from './embedded/log.ts';
import { keepEmbeddedPostgres } from './embedded/postgres-kept.ts';
import { createKafkaAdmin } from './kafka/admin.ts';
import { createKafkaConsumer } from './kafka/consumer.ts';
import { tryKafka } from './kafka/first-contact.ts';
import { ProduceError, type RecordConsumer, type RecordProducer, type TopicAdmin } from './kafka/port.ts';
import { createPostgresClient, type PostgresClient } from './postgres/client.ts';
import { ensureSchema } from './postgres/migrate.ts';
import { kafkaConnection, kafkaProducer, requireTopics } from './open-kafka.ts';
import { openStateStore } from './open-state-store.ts';
import type { StateStore } from './redis/port.ts';
import type { Clock, Random } from './runtime/clock.ts';
import { requireVersion } from './server-versions.ts';

/**
 * The outside systems, each real where an address is configured and embedded where not. Every part that is opened pushes its
 * closer, so that a failure half-way closes what is open.
 */
export interface Parts {
  readonly producer: RecordProducer;
  readonly createConsumer: () => RecordConsumer;
  readonly admin: TopicAdmin;
  readonly postgres: PostgresClient;
  /** Undefined with output kafka: it is not contacted at all. */
  readonly clickhouse: ClickHouse | undefined;
  readonly output: Output;
  readonly stateStore: StateStore;
  /** One line per system: what it is and where. */
  readonly summary: readonly string[];
}

export interface AssembleDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: Random;
  readonly closers: Closers;
  /** An embedded server ended without being asked: the process cannot go on. */
  readonly onLost: (what: string, detail: string) => void;
  /** Add to existing tables of PostgreSQL and ClickHouse what they lack (`--migrate`); otherwise it is an error that names the statement. */
  readonly migrate: boolean;
}

export interface Topics {
  readonly input: string;
  readonly historical: string;
  readonly warnings: string;
  readonly heatmaps: string;
  readonly exceptions: string;
  readonly overflow: string;
  readonly deadLetter: string;
  /** Consumed by the router group. */
  readonly consumed: readonly string[];
}

/** Rule 1.1: behind every topic name in the test environment. */
const suffixOf = ({ server }: Config): string => (/^test/i.test(server.environment) ? '_test' : '');

/** Topic names of spec/ingestion.md 1.1. One group reads all that capture fills. */
export function topicsOf(config: Config): Topics {
  const { kafka } = config;
  const suffix = suffixOf(config);
  const named = (name: string): string => `${kafka.prefix}${name}${suffix}`;
  const input = named(kafka.topic);
  const historical = named('events_plugin_ingestion_historical');
  const exceptions = named('exceptions_ingestion');
  const warnings = named('client_iwarnings_ingestion');
  const heatmaps = named('heatmaps_ingestion');
  return {
    input,
    historical,
    warnings,
    exceptions,
    heatmaps,
    overflow: named(kafka.overflowTopic),
    deadLetter: named(kafka.deadLetterTopic),
    consumed: [input, historical, exceptions, warnings, heatmaps],
  };
}

export async function assemble(deps: AssembleDeps): Promise<Parts> {
  const { config } = deps;
  mkdirSync(resolve(config.server.dataDir), { recursive: true });
  const summary: string[] = [];
  const log = await openLog(deps, summary);
  const postgres = await openPostgres(deps, summary);
  const output = config.output.kind === 'kafka' ? await openKafkaOutput(deps, log.admin, summary) : await openClickHouse(deps, summary);
  const stateStore = await openStateStore(deps, summary);
  return { ...log, postgres, output, clickhouse: output.type === 'clickhouse' ? output.clickhouse : undefined, stateStore, summary };
}

// ── Kafka, or the embedded log ─────────────────────────────────────────────────────────────────────────────────────────

async function openLog(deps: AssembleDeps, summary: string[]): Promise<Pick<Parts, 'producer' | 'createConsumer' | 'admin'>> {
  const { config, clock, closers } = deps;
  const { kafka } = config;
  const topics = topicsOf(config);
  const groupId = `${kafka.prefix}${kafka.groupId}`;
  if (kafka.hosts.length === 0) {
    const dir = join(resolve(config.server.dataDir), 'log');
    const log = await openEmbeddedLog({ dir, clock });
    closers.push('the embedded log', () => log.close());
    const admin = log.admin();
    const partitions = config.embedded.partitionsCount;
    const names = [...topics.consumed, topics.overflow, topics.deadLetter];
    await admin.ensureTopics(names.map((topic) => ({ topic, partitions })));
    summary.push(`log         embedded, ${dir}`);
    return { producer: log.producer(), createConsumer: () => log.consumer({ groupId, topics: topics.consumed }), admin };
  }
  const connection = kafkaConnection(config);
  const at = kafka.hosts.join(', ');
  const target = kafkaTarget(config);
  await contact(target, { clock, limitMs: config.server.contactTimeoutMs }, () => tryKafka(connection));
  const admin = createKafkaAdmin({ connection, clock, topicCreationTimeoutMs: kafka.topicCreationTimeoutMs });
  closers.push('the Kafka admin client', () => admin.close());
  const { contactTimeoutMs } = config.server;
  const patience = { clock, limitMs: contactTimeoutMs + kafka.topicCreationTimeoutMs };
  await contact(target, patience, () => requireTopics(admin, [...topics.consumed, topics.deadLetter]));
  const producer = kafkaProducer(deps, connection, { lingerMs: kafka.producerLingerMs });
  closers.push('the Kafka producer', () => producer.close());
  summary.push(`log         Kafka at ${at}, group ${groupId}`);
  const { ordinal, replicas } = config.server;
  return {
    producer,
    admin,
    createConsumer: () =>
      createKafkaConsumer({
        connection,
        groupId,
        topics: topics.consumed,
        clock,
        place: ordinal === undefined || replicas === undefined ? undefined : { ordinal, replicas },
        sessionTimeoutMs: kafka.sessionTimeoutMs,
        ...(kafka.rebalanceTimeoutMs === undefined ? {} : { rebalanceTimeoutMs: kafka.rebalanceTimeoutMs }),
        heartbeatIntervalMs: kafka.heartbeatIntervalMs,
        maxWaitMs: kafka.maxWaitMs,
        firstRetryMs: kafka.errorBackoffMs,
        rack: kafka.rack,
        metadataRefreshMs: kafka.metadataRefreshMs,
        maxBatchBytes: kafka.maxBytesPerPartition,
        maxFetchBytes: kafka.maxBytes,
        partitionsConsumedConcurrently: 16,
      }),
  };
}

/** Output kafka: a producer of its own, and the topics of section 4, which are made like all others (K-1). */
async function openKafkaOutput(deps: AssembleDeps, admin: TopicAdmin, summary: string[]): Promise<KafkaOutput> {
  const { config, clock, closers } = deps;
  const { kafka, output, server } = config;
  const topics = outputTopics({
    prefix: kafka.prefix,
    suffix: suffixOf(config),
    events: output.eventsTopic,
    heatmaps: output.heatmapsTopic,
  });
  const patience = { clock, limitMs: server.contactTimeoutMs + kafka.topicCreationTimeoutMs };
  await contact(kafkaTarget(config), patience, () => requireTopics(admin, Object.values(topics)));
  // The writer gathers rows for longer than any linger: what it sends need not wait again.
  const producer = kafkaProducer(deps, kafkaConnection(config), { lingerMs: 0, compression: output.compression });
  closers.push('the Kafka producer of the output', () => producer.close());
  summary.push(`output      Kafka, topic ${topics.events} and its companions; ClickHouse is not contacted`);
  return {
    type: 'kafka',
    producer,
    topics,
    async endOffset({ topic, partition }) {
      const ends = await admin.endOffsets(topic).catch((cause: unknown) => {
        throw new ProduceError('unavailable', `No broker told where topic '${topic}' ends.`, { cause });
      });
      const end = ends.find((one) => one.partition === partition);
      if (end === undefined) throw new ProduceError('unavailable', `No broker knows of partition ${partition} of topic '${topic}'.`);
      return end.offset;
    },
  };
}

// ── PostgreSQL ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const MIGRATION_ANSWER_MS = 24 * 60 * 60 * 1000;

async function openPostgres(deps: AssembleDeps, summary: string[]): Promise<PostgresClient> {
  const { config, clock, random, closers } = deps;
  let connectionString = config.postgres.url;
  const target = postgresTarget(connectionString);
  if (connectionString === undefined) {
    const dataDir = join(resolve(config.server.dataDir), 'postgres');
    const server = await keepEmbeddedPostgres({ dataDir, clock });
    closers.push('the embedded PostgreSQL', () => server.stop());
    connectionString = server.connectionString;
    summary.push(`PostgreSQL  embedded, ${dataDir}`);
  } else {
    summary.push(target.what.replace(' ', '  '));
  }
  const client = createPostgresClient({
    connectionString,
    connectionsCount: config.postgres.poolCount,
    // An index over a large table takes as long as it takes.
    ...(deps.migrate ? { answerTimeoutMs: MIGRATION_ANSWER_MS } : {}),
    ca: pemOf(config.postgres.ca),
    isVerified: isVerified(config, 'postgres'),
    clock,
    random,
  });
  closers.push('the PostgreSQL pool', () => client.close());
  await contact(target, { clock, limitMs: config.server.contactTimeoutMs }, async () => {
    const [server] = await client.run<{ version: string }>(
      { name: 'version', text: `SELECT current_setting('server_version') AS version` },
      [],
    );
    requireVersion('PostgreSQL', server?.version ?? '');
  });
  await explained(target, async () => {
    // The embedded database is nobody else's: a newer Troupe adds to it what it needs.
    summary.push(...(await ensureSchema(client, { migrate: deps.migrate || config.postgres.url === undefined })));
  });
  return client;
}

// ── ClickHouse ─────────────────────────────────────────────────────────────────────────────────────────────────────────

async function openClickHouse(deps: AssembleDeps, summary: string[]): Promise<ClickHouseOutput> {
  const { config, clock, closers } = deps;
  const { clickhouse: settings } = config;
  let url: string;
  let { user, password = '' } = settings;
  if (settings.host === undefined) {
    const dataDir = join(resolve(config.server.dataDir), 'clickhouse');
    const server = await startEmbeddedClickHouse({ dataDir, clock });
    closers.push('the embedded ClickHouse', () => server.stop());
    void server.exited.then((exit) => {
      if (!exit.asked) deps.onLost('the embedded ClickHouse', exit.lastWords);
    });
    const address = new URL(server.url);
    user = address.username;
    password = address.password;
    url = address.origin;
    summary.push(`ClickHouse  embedded, ${dataDir}`);
  } else {
    url = clickHouseUrl(settings.host, settings.secure);
    summary.push(`ClickHouse  at ${url}`);
  }
  const client = createClickHouse({
    url,
    database: settings.database,
    user,
    password,
    clock,
    insertTimeoutMs: settings.insertTimeoutMs,
    ca: pemOf(settings.ca),
    isVerified: isVerified(config, 'clickhouse'),
  });
  closers.push('the ClickHouse client', () => client.close());
  const target = clickHouseTarget({ url, user, database: settings.database });
  await contact(target, { clock, limitMs: config.server.contactTimeoutMs }, async () => {
    const [server] = await client.query<{ version: string }>('SELECT version() AS version');
    requireVersion('ClickHouse', server?.version ?? '');
  });
  // The embedded database is nobody else's: a newer Troupe adds to it what it needs.
  const migrate = deps.migrate || settings.host === undefined;
  summary.push(...(await explained(target, () => ensureClickHouseSchema(client, { database: settings.database, migrate }))));
  return { type: 'clickhouse', clickhouse: client };
}

/** `host`, `host:port` or a whole address. */
function clickHouseUrl(host: string, secure: boolean): string {
  if (/^https?:\/\//.test(host)) return host;
  const scheme = secure ? 'https' : 'http';
  return /:\d+$/.test(host) ? `${scheme}://${host}` : `${scheme}://${host}:${secure ? 8443 : 8123}`;
}
