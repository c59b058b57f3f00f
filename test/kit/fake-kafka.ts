/**
 * Kafka in memory: partitioned logs, one coordinator per group, consumers and producers that reach it over a {@link Link}.
 * Holds the contract suite of the real ones (test/contract/kafka-fake.test.ts).
 *
 * Invariants
 * K1 A log only grows; an offset is given once.
 * K2 A partition has one owner in a generation, and a commit counts only under the generation in force.
 */
import type { TopicPartition } from '../../src/domain/ids.ts';
import { partitionOfKey } from '../../src/domain/murmur2.ts';
import { ProduceError } from '../../src/kafka/port.ts';
import type { KafkaRecord, OutgoingRecord, RecordConsumer, RecordProducer, TopicAdmin } from '../../src/kafka/port.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { createFakeConsumer, type FakeConsumerOptions } from './fake-kafka-consumer.ts';
import { createFakeGroup, type FakeGroup } from './fake-kafka-group.ts';
import { STRAIGHT, type Link } from './link.ts';

export interface FakeKafkaOptions {
  /** The brokers' clock: sessions end by it. */
  readonly clock: Clock;
  readonly sessionTimeoutMs?: number;
  /** How long a rebalance waits for members that do not join anew. */
  readonly rebalanceTimeoutMs?: number;
}

export interface FakeProducerOptions {
  readonly link?: Link;
  readonly maxQueuedBytes?: number;
  readonly maxMessageBytes?: number;
}

export interface FakeKafka {
  createTopic(topic: string, partitions: number): void;
  /** Appends past all links, as other producers do. Returns the record's place. */
  append(
    topic: string,
    record: { readonly key: Buffer | null; readonly value: Buffer | null },
    headers?: Readonly<Record<string, Buffer>>,
  ): TopicPartition & { readonly offset: number };
  log(of: TopicPartition): readonly KafkaRecord[];
  partitionsOf(topic: string): readonly TopicPartition[];
  group(groupId: string): FakeGroup;
  consumer(options: Omit<FakeConsumerOptions, 'brokers' | 'group'> & { readonly groupId: string }): RecordConsumer;
  producer(options?: FakeProducerOptions): RecordProducer;
  admin(): TopicAdmin;
}

/** What consumers need of the brokers. */
export interface FakeBrokers {
  readonly log: (of: TopicPartition) => readonly KafkaRecord[];
  readonly partitionsOf: (topic: string) => readonly TopicPartition[];
  /** Calls back once, at the next append to the partition. */
  readonly onAppend: (of: TopicPartition, run: () => void) => void;
}

type Appended = Pick<OutgoingRecord, 'key' | 'partitionBy'> & { readonly value: Buffer | null };

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export function createFakeKafka(options: FakeKafkaOptions): FakeKafka {
  const { clock, sessionTimeoutMs = 10_000, rebalanceTimeoutMs = 10_000 } = options;
  const topics = new Map<string, TopicPartition[]>();
  const logs = new Map<string, KafkaRecord[]>();
  const waiting = new Map<string, (() => void)[]>();
  const groups = new Map<string, FakeGroup>();
  let roundRobin = 0;

  const brokers: FakeBrokers = {
    log: (of) => logs.get(keyOf(of)) ?? [],
    partitionsOf: (topic) => topics.get(topic) ?? [],
    onAppend(of, run) {
      const runs = waiting.get(keyOf(of));
      if (runs === undefined) waiting.set(keyOf(of), [run]);
      else runs.push(run);
    },
  };

  function append(topic: string, { key, value, partitionBy }: Appended, headers?: KafkaRecord['headers']) {
    const partitions = brokers.partitionsOf(topic);
    const by = partitionBy ?? key;
    const place = partitions[by === null ? roundRobin++ % partitions.length : partitionOfKey(by, partitions.length)];
    const log = place === undefined ? undefined : logs.get(keyOf(place));
    if (place === undefined || log === undefined) throw new ProduceError('unknown-topic', `there is no topic ${topic}`);
    const offset = log.length;
    log.push({ offset, key, value, headers: headers ?? {}, timestampMs: clock.now() });
    const runs = waiting.get(keyOf(place)) ?? [];
    waiting.delete(keyOf(place));
    for (const run of runs) run();
    return { ...place, offset };
  }

  function group(groupId: string): FakeGroup {
    let found = groups.get(groupId);
    if (found === undefined) {
      found = createFakeGroup({ clock, sessionTimeoutMs, rebalanceTimeoutMs, partitionsOf: brokers.partitionsOf });
      groups.set(groupId, found);
    }
    return found;
  }

  function createTopic(topic: string, partitions: number): void {
    if (topics.has(topic)) return;
    const made = Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
    topics.set(topic, made);
    for (const one of made) logs.set(keyOf(one), []);
  }

  return {
    createTopic,
    append,
    log: brokers.log,
    partitionsOf: brokers.partitionsOf,
    group,
    consumer: ({ groupId, ...rest }) =>
      createFakeConsumer({ ...rest, brokers, group: group(groupId), sessionTimeoutMs, rebalanceTimeoutMs }),
    producer: (producerOptions = {}) => createFakeProducer(append, producerOptions),
    admin: () => ({
      ensureTopics: async (wanted) => wanted.forEach(({ topic, partitions }) => createTopic(topic, partitions)), // eslint-disable-line @typescript-eslint/require-await
      describeTopics: (names) =>
        Promise.resolve(new Map(names.flatMap((name) => (topics.has(name) ? [[name, brokers.partitionsOf(name).length] as const] : [])))),
      endOffsets: (topic) =>
        Promise.resolve(brokers.partitionsOf(topic).map((of) => ({ partition: of.partition, offset: brokers.log(of).length }))),
      committedOffsets: (groupId, topic) =>
        Promise.resolve(brokers.partitionsOf(topic).map((of) => ({ partition: of.partition, offset: group(groupId).committed(of) }))),
      close: () => Promise.resolve(),
    }),
  };
}

/** Sends go out one after the other, so a key keeps its order; a failed one may have been appended all the same. */
function createFakeProducer(
  append: (topic: string, record: Appended, headers?: KafkaRecord['headers']) => unknown,
  { link = STRAIGHT, maxQueuedBytes = Infinity, maxMessageBytes = 1_000_000 }: FakeProducerOptions,
): RecordProducer {
  let queuedBytes = 0;
  let last: Promise<unknown> = Promise.resolve();

  function send(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    const bytes = records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + value.length, 0);
    if (records.some(({ value }) => value.length > maxMessageBytes))
      return Promise.reject(new ProduceError('too-large', 'a record is too large'));
    if (queuedBytes > 0 && queuedBytes + bytes > maxQueuedBytes) return Promise.reject(new ProduceError('queue-full', 'the queue is full'));
    queuedBytes += bytes;
    const away = (): Error => new ProduceError('unavailable', 'the brokers cannot be reached');
    const sent = last.then(() =>
      link.call('produce', () => void records.forEach((record) => append(topic, record, buffersOf(record.headers))), { away, lost: away }),
    );
    last = sent.catch(() => undefined); // its caller gets the rejection; the next send is not held up by it
    return sent.finally(() => (queuedBytes -= bytes));
  }

  return {
    send,
    queuedBytes: () => queuedBytes,
    async close() {
      await last;
    },
  };
}

function buffersOf(headers: OutgoingRecord['headers']): Record<string, Buffer> {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, Buffer.from(value)]));
}
