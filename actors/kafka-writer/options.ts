import type { OutputTopics } from '../../src/domain/output-topics.ts';
import type { RecordProducer } from '../../src/kafka/port.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { Warning } from '../redis-buffer/messages.ts';

export interface KafkaWriterDeps {
  /** Of its own: what capture sends must not fill its queue. */
  readonly producer: RecordProducer;
  readonly topics: OutputTopics;
  readonly clock: Clock;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  /** Tells a team about its own data (O-4); best effort. */
  readonly warn: (warning: Warning) => void;
  /** False when the last heartbeat of the partition's owner is older than the margin, or the generation is over. */
  readonly maySend: (topic: string, partition: number, generation: number) => boolean;
  readonly options: KafkaWriterOptions;
  readonly strategy: Strategy;
}

export interface KafkaWriterOptions {
  /** A flight takes off when so many event rows wait, so many bytes, or a row this old; and takes no more than that with it. */
  readonly maxRowsCount: number;
  /** Below what the producer's queue holds. */
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly mailboxCapacityCount: number;
  /**
   * Key and value of the largest record that is tried; it must fit into the producer's own limit.
   * @defaultValue 999,000: with its overhead below the producer's 1,000,000, as the broker's default limit asks
   */
  readonly maxRecordBytes?: number;
  /** How long a stop may go on trying to send what is left. @defaultValue 10,000 ms */
  readonly stopFlushMs?: number;
}
