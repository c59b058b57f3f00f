import type { OutputTopics } from '../../src/domain/output-topics.ts';
import type { RecordProducer } from '../../src/kafka/port.ts';
import type { RowWriterDeps, RowWriterOptions } from '../row-writer/options.ts';

export interface KafkaWriterDeps extends RowWriterDeps {
  /** Of its own: what capture sends must not fill its queue. */
  readonly producer: RecordProducer;
  readonly topics: OutputTopics;
  readonly options: KafkaWriterOptions;
}

/** A flight takes no more event rows and bytes than make it take off; `maxBytes` is below what the producer's queue holds. */
export interface KafkaWriterOptions extends RowWriterOptions {
  /**
   * Key and value of the largest record that is tried; it must fit into the producer's own limit.
   * @defaultValue 999,000: with its overhead below the producer's 1,000,000, as the broker's default limit asks
   */
  readonly maxRecordBytes?: number;
}
