import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { AssembleDeps } from './assemble-deps.ts';
import { openEmbeddedLog } from '../embedded/log.ts';
import { createKafkaAdmin } from '../kafka/admin.ts';
import { createKafkaConsumer } from '../kafka/consumer.ts';
import type { RecordConsumer, RecordProducer, TopicAdmin } from '../kafka/port.ts';
import { statingProducer } from '../kafka/stating-producer.ts';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { sleep } from '../runtime/patience.ts';
import { meetKafka } from './meet-kafka.ts';
import { kafkaConnection, kafkaProducer } from './open-kafka.ts';
import { topicsOf, type IntakeIdentity } from './topics.ts';

/** Kafka, or the log that stands in for it. */
export interface Log {
  readonly producer: RecordProducer;
  readonly admin: TopicAdmin;
  /** A consumer of one topic in one group, not yet started. */
  readonly createConsumer: (of: Pick<IntakeIdentity, 'topic' | 'groupId'>) => RecordConsumer;
}

type LogDeps = Pick<AssembleDeps, 'config' | 'clock' | 'closers' | 'say'>;

/** Opens Kafka where KAFKA_HOSTS names it, else the embedded log, with every topic that this process reads or writes (K-1). */
export function openLog(deps: LogDeps): Promise<Log> {
  return deps.config.kafka.hosts.length === 0 ? openEmbedded(deps) : openKafka(deps);
}

async function openEmbedded({ config, clock, closers, say }: LogDeps): Promise<Log> {
  const dir = join(resolve(config.server.dataDir), 'log');
  mkdirSync(dir, { recursive: true });
  const log = await openEmbeddedLog({ dir, clock });
  closers.push('the embedded log', () => log.close());
  const admin = log.admin();
  const partitions = config.embedded.partitionsCount;
  // All of them, whatever the mode: the directory outlives it.
  await admin.ensureTopics(Object.values<string>({ ...topicsOf(config) }).map((topic) => ({ topic, partitions })));
  say(`log         embedded, ${dir}`);
  return {
    producer: statingProducer(log.producer()),
    admin,
    createConsumer: ({ topic, groupId }) => log.consumer({ groupId, topics: [topic] }),
  };
}

async function openKafka({ config, clock, closers, say }: LogDeps): Promise<Log> {
  const { kafka } = config;
  const connection = kafkaConnection(config);
  const at = kafka.hosts.join(', ');
  const admin = createKafkaAdmin({ connection, clock, topicCreationTimeoutMs: kafka.topicCreationTimeoutMs });
  closers.push('the Kafka admin client', () => admin.close());
  await meetKafka({ config, clock, closers, say }, connection, admin);
  const producer = kafkaProducer({ config, clock }, connection, { lingerMs: kafka.producerLingerMs, compression: kafka.compression });
  closers.push('the Kafka producer', () => closeInTime(producer, { clock, limitMs: config.shutdown.closeMs }));
  say(`log         Kafka at ${at}`);
  const { ordinal, replicas } = config.server;
  return {
    producer,
    admin,
    createConsumer: ({ topic, groupId }) =>
      createKafkaConsumer({
        connection,
        groupId,
        topics: [topic],
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

/**
 * While Kafka is away the producer's queue does not drain, and need not: whoever sent was told long ago that its records are stored elsewhere (the spill) or not
 * at all, and a process that waits for longer than it is given is killed.
 */
async function closeInTime(
  producer: RecordProducer,
  { clock, limitMs }: { readonly clock: Clock; readonly limitMs: number },
): Promise<void> {
  const how = await Promise.race([producer.close().then(() => 'drained' as const), sleep(clock, limitMs).then(() => 'late' as const)]);
  if (how === 'late') {
    const fields = { queuedBytes: producer.queuedBytes(), limitMs };
    state('log-written', { level: 'warn', message: 'The Kafka producer was closed before Kafka took what was queued.', fields });
  }
}
