import type { TopicPartition } from '../../src/domain/ids.ts';
import type {
  Assignment,
  ConsumerHandlers,
  KafkaRecord,
  RecordBatch,
  RecordConsumer,
  RecordProducer,
  TopicAdmin,
} from '../../src/kafka/port.ts';

/**
 * One implementation of the Kafka ports, as the contract suite sees it. Two consumers of one `groupId` share a group;
 * the suite stops every consumer and closes every producer it asked for.
 */
export interface RecordLogUnderTest {
  readonly admin: TopicAdmin;
  /** A new producer. `maxQueuedBytes` bounds its queue, `maxMessageBytes` one record. */
  createProducer(options?: { readonly maxQueuedBytes?: number; readonly maxMessageBytes?: number }): RecordProducer;
  /** A new consumer, not started. `maxBatchBytes` bounds what one fetch may bring of one partition. */
  createConsumer(options: {
    readonly groupId: string;
    readonly topics: readonly string[];
    readonly maxBatchBytes?: number;
  }): RecordConsumer;
  /** Appends a record without a value, which no producer port can make; absent where the log cannot hold one. */
  appendTombstone?(topic: string, key: Buffer): Promise<void>;
  /** Ends what `make` started. Consumers and producers are gone by then. */
  close(): Promise<void>;
}

/** What an implementation leaves out. Each omission is a test that does not run, and says so. */
export interface RecordLogTraits {
  /** Several consumers of one group share its partitions. */
  readonly sharedGroups: boolean;
}

/** Waits until `holds` is true. Rejects, naming `what`, after `limitMs`. */
export async function until(holds: () => boolean | Promise<boolean>, what: string, limitMs = 30_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A record with the partition it came from. */
export interface ReadRecord extends KafkaRecord, TopicPartition {
  readonly generation: number;
}

/** Everything a consumer told its handlers, in order, with hooks to hold it back. */
export interface Witness {
  readonly handlers: ConsumerHandlers;
  readonly assignments: readonly Assignment[];
  readonly batches: readonly RecordBatch[];
  readonly records: readonly ReadRecord[];
  readonly revoked: readonly number[];
  readonly crashes: readonly Error[];
  /** Handler calls as `assigned 3`, `batch 3 topic/0`, `revoked 3`; `assigned 3 done` and `revoked 3 done` when they resolve. */
  readonly log: readonly string[];
  /** What the handlers wait for before they resolve. */
  hold: {
    assigned?: (assignment: Assignment) => Promise<void>;
    batch?: (batch: RecordBatch) => Promise<void>;
    revoked?: (generation: number) => Promise<void>;
  };
}

export function createWitness(): Witness {
  const assignments: Assignment[] = [];
  const batches: RecordBatch[] = [];
  const records: ReadRecord[] = [];
  const revoked: number[] = [];
  const crashes: Error[] = [];
  const log: string[] = [];
  const witness: Witness = {
    assignments,
    batches,
    records,
    revoked,
    crashes,
    log,
    hold: {},
    handlers: {
      async assigned(assignment) {
        log.push(`assigned ${assignment.generation}`);
        assignments.push(assignment);
        await witness.hold.assigned?.(assignment);
        log.push(`assigned ${assignment.generation} done`);
      },
      async batch(batch) {
        log.push(`batch ${batch.generation} ${batch.topic}/${batch.partition}`);
        batches.push(batch);
        for (const record of batch.records) {
          records.push({ ...record, topic: batch.topic, partition: batch.partition, generation: batch.generation });
        }
        await witness.hold.batch?.(batch);
      },
      async revoked(generation) {
        log.push(`revoked ${generation}`);
        revoked.push(generation);
        await witness.hold.revoked?.(generation);
        log.push(`revoked ${generation} done`);
      },
      crashed(error) {
        crashes.push(error);
      },
    },
  };
  return witness;
}

/** A promise and the function that resolves it. */
export function createGate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}

/** The partitions of the newest assignment, as `topic/partition`. */
export function owned(witness: Witness): readonly string[] {
  return (witness.assignments.at(-1)?.partitions ?? []).map(({ topic, partition }) => `${topic}/${partition}`).sort();
}
