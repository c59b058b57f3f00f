/**
 * Where rows go, in one place: which actor stores them, and what a new owner of a partition must know before it reads.
 * Everything else of the tree tells a row writer, and does not know which one it is (docs/adr/0018).
 */
import { createClickHouseWriter } from '../actors/clickhouse-writer/index.ts';
import { createKafkaWriter } from '../actors/kafka-writer/index.ts';
import type { DeadLetterMessage } from '../actors/dead-letter/messages.ts';
import type { Warning } from '../actors/redis-buffer/messages.ts';
import type { RowWriterMessage } from '../actors/row-writer/messages.ts';
import { ClickHouseError, type ClickHouse, type OffsetRange } from '../src/clickhouse/port.ts';
import type { TopicPartition } from '../src/domain/ids.ts';
import { insertPrefix } from '../src/domain/insert-id.ts';
import type { OutputTopics } from '../src/domain/output-topics.ts';
import { ProduceError, type RecordProducer } from '../src/kafka/port.ts';
import type { Clock } from '../src/runtime/clock.ts';
import type { ActorRef, AnyRef } from '../src/runtime/ref.ts';
import type { ActorSystem, ParentRef } from '../src/runtime/system.ts';
import { WRITER_STRATEGY } from './budgets.ts';
import type { TreeSettings } from './settings.ts';

/** What a takeover asks of Kafka, whichever output it is. */
interface Bounded {
  /** One past the newest record of an input partition. @throws ProduceError 'unavailable' when no broker answers */
  readonly endOffset: (partition: TopicPartition) => Promise<number>;
}

/** Rows go into ClickHouse's tables. */
export interface ClickHouseOutput extends Bounded {
  readonly type: 'clickhouse';
  readonly clickhouse: ClickHouse;
}

/** Rows go to PostHog's output topics, for Kafka-engine tables to read (spec/ingestion.md section 4). */
export interface KafkaOutput extends Bounded {
  readonly type: 'kafka';
  /** Of its own: what capture sends must not fill its queue. */
  readonly producer: RecordProducer;
  readonly topics: OutputTopics;
}

export type Output = ClickHouseOutput | KafkaOutput;

/** What is known of a partition that was just gained. */
export interface TakenOver {
  /** Offsets at or above the watermark whose rows are there: settled before anything is read. */
  readonly stored: readonly OffsetRange[];
  /** No former owner has worked on this offset or one above it. */
  readonly replayedBelow: number;
}

export interface RowWriterParts {
  readonly system: ActorSystem;
  readonly parent: ParentRef;
  readonly clock: Clock;
  readonly settings: TreeSettings;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly warn: (warning: Warning) => void;
  readonly mayWrite: (topic: string, partition: number, generation: number) => boolean;
  readonly onEscalate: (ref: AnyRef, error: unknown) => void;
}

export function startRowWriter(output: Output, parts: RowWriterParts): ActorRef<RowWriterMessage> {
  const { system, parent, clock, settings, deadLetter, warn, mayWrite, onEscalate } = parts;
  const shared = { clock, deadLetter, warn, mayWrite, strategy: WRITER_STRATEGY };
  const mailboxCapacityCount = settings.writerMailboxCount;
  if (output.type === 'clickhouse') {
    const options = { ...settings.clickhouseWriter, mailboxCapacityCount };
    const spec = createClickHouseWriter({ ...shared, clickhouse: output.clickhouse, options });
    return system.spawn(spec, 'clickhouse-writer', parent, onEscalate);
  }
  const { producer, topics } = output;
  const options = { ...settings.kafkaWriter, mailboxCapacityCount };
  return system.spawn(createKafkaWriter({ ...shared, producer, topics, options }), 'kafka-writer', parent, onEscalate);
}

/**
 * Asks what a new owner must know. May be called again until it resolves or `isOutputAway` says that waiting is no use.
 * @param watermark the group's committed offset
 */
export function takeOver(output: Output, partition: TopicPartition, watermark: number, gapCount: number): Promise<TakenOver> {
  return output.type === 'clickhouse' ? askWhatIsStored(output, partition, watermark, gapCount) : askWhereItEnds(output, partition);
}

async function askWhatIsStored(
  { clickhouse, endOffset }: ClickHouseOutput,
  partition: TopicPartition,
  watermark: number,
  gapCount: number,
): Promise<TakenOver> {
  await clickhouse.killInserts(insertPrefix(partition));
  const stored = await clickhouse.storedOffsets(partition, watermark);
  // A former owner went no further than its own watermark plus the gap. That watermark was above the committed one when commits
  // were due or had failed, but not above the last row it stored (but for a run of records that make none). Nor can it have read what
  // came after its end: it writes nothing any more (its heartbeat is older than the margin, or it has left), so what it did is of before.
  const reach = Math.max(watermark, stored.at(-1)?.to ?? 0) + gapCount;
  return { stored, replayedBelow: Math.min(reach, await endOffset(partition)) };
}

/**
 * Nobody can be asked what was produced: everything from the watermark on is done again, and its rows collapse by their uuid. Whoever had
 * the partition before cannot have read further than it reaches now.
 */
async function askWhereItEnds({ endOffset }: KafkaOutput, partition: TopicPartition): Promise<TakenOver> {
  return { stored: [], replayedBelow: await endOffset(partition) };
}

/** True for failures of {@link takeOver} that time alone can cure: to route without having asked would show rows twice. */
export function isOutputAway(error: unknown): boolean {
  if (error instanceof ClickHouseError) return error.kind !== 'misconfigured';
  return error instanceof ProduceError && error.code === 'unavailable';
}
