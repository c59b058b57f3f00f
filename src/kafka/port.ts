import type { TopicPartition } from '../domain/ids.ts';

/**
 * What Troupe needs of Kafka, in three narrow ports, so that a client can be replaced (docs/adr/0007).
 * Implementations: `consumer.ts` (kafkajs), `producer.ts` (@platformatic/kafka, the default), `producer-kafkajs.ts`,
 * `admin.ts`, and `src/embedded/log.ts`. One contract suite (test/contract/kafka-*.ts) holds them equal.
 */
export interface KafkaRecord {
  readonly offset: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>> | undefined;
  readonly timestampMs: number;
}

/** Records of one partition, in offset order, fetched under one generation. */
export interface RecordBatch extends TopicPartition {
  readonly generation: number;
  readonly records: readonly KafkaRecord[];
  /** The broker's end offset when fetched. */
  readonly highWatermark: number;
}

/** The partitions of one generation, with the group's committed offsets; undefined where it never committed. */
export interface Assignment {
  readonly generation: number;
  readonly memberId: string;
  /** With the committed offset of each; undefined where the group has none (then fetching starts at the beginning). */
  readonly partitions: readonly (TopicPartition & { readonly committed: number | undefined })[];
}

/**
 * Callbacks of a consumer. Order: assigned → batch* → revoked, then perhaps assigned again with a new generation.
 * No `batch` of a generation arrives before its `assigned` has resolved (the takeover happens in it), nor after its
 * `revoked` was called. Batches of one partition arrive one at a time and in order; of several, concurrently.
 */
export interface ConsumerHandlers {
  assigned(assignment: Assignment): Promise<void>;
  /** Resolves when the records were accepted (not settled): the adapter fetches no further of this partition before. */
  batch(batch: RecordBatch): Promise<void>;
  /**
   * Partitions of this generation are lost or being given up. Resolves when in-flight work had its bounded time. Commits
   * are still allowed until it resolves. May be called while `assigned` is still pending: the takeover then gives up.
   */
  revoked(generation: number): Promise<void>;
  /** The consumer cannot go on by itself; the process should end or the consumer be made anew. */
  crashed(error: Error): void;
}

/** A member of a consumer group. Started once, stopped once. */
export interface RecordConsumer {
  /** Joins the group. Resolves when subscribed; handlers are called from then on. */
  start(handlers: ConsumerHandlers): Promise<void>;
  /**
   * Commits watermarks (next offset to read) under a generation. Resolves 'committed', or 'stale' when that generation
   * is over (nothing was committed; the records come again). Throws when the coordinator cannot be reached.
   */
  commit(generation: number, watermarks: readonly (TopicPartition & { readonly offset: number })[]): Promise<'committed' | 'stale'>;
  /** Milliseconds since a heartbeat was sent that the broker confirmed, Infinity before the first one; zombies are bounded by it (delivery.md 3). */
  sinceHeartbeatMs(): number;
  /**
   * Milliseconds since the brokers last answered a fetch, also an empty one (HT-4); since `start` before the first, Infinity before that.
   * While there is nothing to fetch on purpose (no partitions, a takeover, all of them paused or waiting for their batch to be
   * accepted), the last confirmed heartbeat counts in its place.
   */
  sincePollMs(): number;
  /** Fetches nothing of these partitions until `resume` or the end of the generation, whichever comes first. */
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Stops fetching, calls `revoked`, leaves the group. Idempotent. */
  stop(): Promise<void>;
}

/** A record to be written. The key decides the partition, unless `partitionBy` does. */
export interface OutgoingRecord {
  readonly key: Buffer | null;
  /** Decides the partition in place of the key, and is not written: for records in an order that no reader should see a key of. */
  readonly partitionBy?: Buffer | undefined;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string | Buffer>> | undefined;
}

/** Writes records; any number of calls at a time. */
export interface RecordProducer {
  /**
   * Resolves when EVERY record is acknowledged by all in-sync replicas (acks=all; embedded: fdatasync). Records of one
   * key (of one `partitionBy`) keep their order over calls. Partition = murmur2(key) as the Java client; null key: round robin.
   * @throws ProduceError code 'too-large' | 'unknown-topic' | 'queue-full' | 'unavailable'.
   */
  send(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
  /** Bytes waiting or in flight; bounded, beyond it `send` rejects with 'queue-full'. */
  queuedBytes(): number;
  /** Waits for what was accepted, then closes. */
  close(): Promise<void>;
}

/** 'too-large' and 'unknown-topic' stay so; 'queue-full' and 'unavailable' pass. After 'unavailable' some of the records may have been written. */
export type ProduceErrorCode = 'too-large' | 'unknown-topic' | 'queue-full' | 'unavailable';
/** A call of `send` as a whole. */
export class ProduceError extends Error {
  readonly code: ProduceErrorCode;
  constructor(code: ProduceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ProduceError';
    this.code = code;
  }
}

/** Questions about topics and groups, for start, inspection and tests. */
export interface TopicAdmin {
  /** Creates the topics that are missing; an existing one is left as it is. */
  ensureTopics(topics: readonly { readonly topic: string; readonly partitions: number }[]): Promise<void>;
  /** Partition count of each existing topic among those named; missing ones are absent. */
  describeTopics(topics: readonly string[]): Promise<ReadonlyMap<string, number>>;
  endOffsets(topic: string): Promise<readonly { readonly partition: number; readonly offset: number }[]>;
  committedOffsets(groupId: string, topic: string): Promise<readonly { readonly partition: number; readonly offset: number | undefined }[]>;
  close(): Promise<void>;
}
