import { partitionOfKey } from '../domain/murmur2.ts';
import { messageOf } from '../domain/strings.ts';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import type { KafkaConnection } from './connection.ts';
import { createLanes, sizeOf } from './lanes.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from './port.ts';

/**
 * What both producers share: everything but the client. Chooses partitions, refuses what cannot be sent before it is
 * mixed with what can, bounds the queue, and hands the rest to the lanes (lanes.ts).
 *
 * P1  A call is refused as a whole ('too-large', 'queue-full', 'unknown-topic') or taken as a whole.
 * P2  Calls for one key reach their lane in the order they were made, also while the topic is looked up.
 * P3  The partition count of a topic is looked up at its first use and again every `topicRefreshMs`, in the background.
 *     When a topic grows its keys move, for every Kafka producer: order of a key holds before and after, not across.
 */
export interface KafkaProducerOptions {
  readonly connection: KafkaConnection;
  readonly clock: Clock;
  /** Largest record, with key and headers. Default 1,000,000: below the broker's default `message.max.bytes` of 1,048,588. */
  readonly maxMessageBytes?: number;
  /** Largest request of a lane before compression; not above the broker's limit for one batch. Default 900,000. */
  readonly maxBatchBytes?: number;
  /** Default 2,000. */
  readonly maxBatchCount?: number;
  /** How long the first record of an idle lane waits for company. Default 2; 0 merges only what comes in the same turn. */
  readonly lingerMs?: number;
  /** Bound of what waits or is in flight. Default 64 MiB. */
  readonly maxQueuedBytes?: number;
  /** From `send` to acknowledgement, or the call rejects with 'unavailable'. Default 30,000. */
  readonly sendTimeoutMs?: number;
  /** Default 60,000. */
  readonly topicRefreshMs?: number;
  readonly compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
}

/** What a Kafka client has to do for {@link createLaneProducer}. */
export interface ProducerClient {
  /** As LanesOptions.send: one partition; never gives up while a broker may still answer. */
  send(topic: string, partition: number, records: readonly OutgoingRecord[]): Promise<void>;
  /** The partition count, or undefined for a topic that does not exist. Rejects when no broker answered: it is asked again. */
  countPartitions(topic: string): Promise<number | undefined>;
  /** Ends the client at once; sends that are still on their way reject. */
  close(): Promise<void>;
}

interface Topic {
  partitions: number;
  /** Monotonic ms after which the count is looked up again. */
  refreshAt: number;
  refreshing: boolean;
  nextWithoutKey: number;
}

const LOOKUP_RETRY_MS = 200;
/** A topic that was just made is not known to every broker at once: only after so long a missing one is called unknown. */
const NEW_TOPIC_MS = 1_000;

export function createLaneProducer(client: ProducerClient, options: KafkaProducerOptions): RecordProducer {
  const { clock } = options;
  const maxMessageBytes = options.maxMessageBytes ?? 1_000_000;
  const maxQueuedBytes = options.maxQueuedBytes ?? 64 * 1024 * 1024;
  const sendTimeoutMs = options.sendTimeoutMs ?? 30_000;
  const topicRefreshMs = options.topicRefreshMs ?? 60_000;
  const lanes = createLanes({
    clock,
    sendTimeoutMs,
    maxBatchBytes: options.maxBatchBytes ?? 900_000,
    maxBatchCount: options.maxBatchCount ?? 2_000,
    lingerMs: options.lingerMs ?? 2,
    async send(topic, partition, records) {
      const startedAt = clock.monotonic();
      await client.send(topic, partition, records);
      state('kafka-produced', { topic, records: records.length, durationMs: clock.monotonic() - startedAt });
    },
  });
  const topics = new Map<string, Topic>();
  const lookups = new Map<string, Promise<Topic>>();
  let lookingUpBytes = 0;
  let lookingUpCount = 0;
  let closing: Promise<void> | undefined;

  async function lookUp(name: string): Promise<Topic> {
    const startedAt = clock.monotonic();
    const deadline = startedAt + sendTimeoutMs;
    for (;;) {
      let cause: unknown;
      try {
        const partitions = await client.countPartitions(name);
        if (partitions !== undefined) {
          const topic = { partitions, refreshAt: clock.monotonic() + topicRefreshMs, refreshing: false, nextWithoutKey: 0 };
          topics.set(name, topic);
          return topic;
        }
      } catch (error) {
        cause = error;
      }
      if (cause === undefined && clock.monotonic() - startedAt >= Math.min(NEW_TOPIC_MS, sendTimeoutMs)) {
        throw new ProduceError('unknown-topic', `Kafka has no topic '${name}'.`);
      }
      if (cause !== undefined && clock.monotonic() + LOOKUP_RETRY_MS >= deadline) {
        throw new ProduceError('unavailable', `No Kafka broker told about topic '${name}' within ${sendTimeoutMs} ms.`, { cause });
      }
      await new Promise<void>((resolve) => void clock.after(LOOKUP_RETRY_MS, resolve));
    }
  }

  /** P3: a failure keeps the old count; sends to a topic that is gone fail by themselves. */
  async function refresh(name: string, topic: Topic): Promise<void> {
    topic.refreshing = true;
    try {
      const partitions = await client.countPartitions(name);
      if (partitions === undefined) topics.delete(name);
      else topic.partitions = partitions;
    } catch (error) {
      const fields = { topic: name, error: messageOf(error) };
      state('log-written', { level: 'warn', message: 'The partition count of a topic could not be refreshed.', fields });
    }
    topic.refreshAt = clock.monotonic() + topicRefreshMs;
    topic.refreshing = false;
  }

  function handOver(name: string, topic: Topic, records: readonly OutgoingRecord[]): Promise<void> {
    if (!topic.refreshing && clock.monotonic() >= topic.refreshAt) void refresh(name, topic);
    const partitionFor = ({ key, partitionBy }: OutgoingRecord): number => {
      const by = partitionBy ?? key;
      return (by === null ? topic.nextWithoutKey++ : partitionOfKey(by, topic.partitions)) % topic.partitions;
    };
    const [first] = records;
    if (first === undefined) return Promise.resolve();
    if (records.length === 1) return lanes.push(name, partitionFor(first), records);
    const byPartition = Map.groupBy(records, partitionFor);
    // Every part is waited for, so that no caller tries again while another part is still on its way.
    return Promise.allSettled([...byPartition].map(([partition, part]) => lanes.push(name, partition, part))).then((results) => {
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    });
  }

  const queuedBytes = (): number => lanes.queuedBytes() + lookingUpBytes;

  async function afterLookup(name: string, records: readonly OutgoingRecord[], bytes: number): Promise<void> {
    let lookup = lookups.get(name);
    if (lookup === undefined) {
      lookup = lookUp(name).finally(() => lookups.delete(name));
      lookups.set(name, lookup);
    }
    lookingUpBytes += bytes;
    lookingUpCount++;
    let handed: Promise<void>;
    try {
      handed = handOver(name, await lookup, records);
    } finally {
      lookingUpBytes -= bytes;
      lookingUpCount--;
    }
    return handed;
  }

  return {
    send(name, records) {
      if (closing !== undefined) return Promise.reject(new ProduceError('unavailable', 'The producer is closed.'));
      let bytes = 0;
      for (const record of records) {
        const size = sizeOf(record);
        if (size > maxMessageBytes) {
          return Promise.reject(
            new ProduceError('too-large', `A record of ${size} bytes for topic '${name}' is above the limit of ${maxMessageBytes}.`),
          );
        }
        bytes += size;
      }
      if (queuedBytes() + bytes > maxQueuedBytes) {
        return Promise.reject(new ProduceError('queue-full', `The producer's queue holds ${queuedBytes()} of ${maxQueuedBytes} bytes.`));
      }
      const topic = topics.get(name);
      // P2: while calls wait for the lookup, later ones wait behind them.
      return topic !== undefined && !lookups.has(name) ? handOver(name, topic, records) : afterLookup(name, records, bytes);
    },

    queuedBytes,

    close() {
      closing ??= (async () => {
        while (lookingUpCount > 0) await Promise.allSettled([...lookups.values()]);
        await lanes.drained();
        await client.close();
      })();
      return closing;
    },
  };
}
