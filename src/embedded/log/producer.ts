import { partitionOfKey } from '../../domain/murmur2.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import { encodeFrame, recordBytes } from './frame.ts';
import type { PartitionLog } from './partition.ts';

export interface ProducerOptions {
  /** The topic's partitions by number; undefined when there is no such topic. */
  readonly partitionsOf: (topic: string) => readonly PartitionLog[] | undefined;
  /** The largest record: key, value and headers together. */
  readonly maxRecordBytes: number;
  /** Accepted and not yet durable; beyond it `send` answers 'queue-full'. */
  readonly maxQueuedBytes: number;
  readonly clock: Clock;
}

/** Frames are kept near this size, so that a reader's batch stays near its own limit. */
const FRAME_BYTES = 1 << 20;

/** A frame being filled for one partition. */
interface Draft {
  records: OutgoingRecord[];
  bytes: number;
}

/**
 * Role: turns records into frames, one lane per partition. All or nothing is checked before anything is written: a
 * call that is refused as 'too-large', 'unknown-topic' or 'queue-full' left no record behind. A call that fails as
 * 'unavailable' may have stored those of other partitions (at least once, as with Kafka).
 */
export function createProducer(options: ProducerOptions): RecordProducer {
  const { partitionsOf, maxRecordBytes, maxQueuedBytes, clock } = options;
  let queuedBytes = 0;
  let turn = 0;
  let closed = false;
  const sending = new Set<Promise<void>>();

  async function append(topic: string, records: readonly OutgoingRecord[]): Promise<void> {
    if (closed) throw new ProduceError('unavailable', 'the producer is closed');
    const partitions = partitionsOf(topic);
    if (partitions === undefined || partitions.length === 0) {
      throw new ProduceError('unknown-topic', `the embedded log has no topic ${topic}`);
    }
    const drafts = partitions.map((): Draft[] => []);
    let bytes = 0;
    for (const record of records) {
      const size = recordBytes(record);
      if (size > maxRecordBytes)
        throw new ProduceError('too-large', `a record for ${topic} has ${size} bytes; the limit is ${maxRecordBytes}`);
      bytes += size;
      const by = record.partitionBy ?? record.key;
      const partition = by === null ? turn++ % partitions.length : partitionOfKey(by, partitions.length);
      const draft = draftFor(drafts[partition] ?? [], size);
      draft.records.push(record);
      draft.bytes += size;
    }
    if (queuedBytes > 0 && queuedBytes + bytes > maxQueuedBytes) {
      throw new ProduceError('queue-full', `${queuedBytes} bytes wait for the disk; the limit is ${maxQueuedBytes}`);
    }
    queuedBytes += bytes;
    const begun = clock.monotonic();
    try {
      const appends: Promise<void>[] = [];
      for (const [index, log] of partitions.entries()) {
        for (const draft of drafts[index] ?? []) appends.push(log.append(encodeFrame(draft.records, draft.bytes), draft.records.length));
      }
      const failed = (await Promise.allSettled(appends)).find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    } finally {
      queuedBytes -= bytes;
    }
    state('kafka-produced', { topic, records: records.length, durationMs: clock.monotonic() - begun });
  }

  return {
    send(topic, records) {
      const sent = append(topic, records);
      const tracked = sent.then(
        () => undefined,
        () => undefined,
      );
      sending.add(tracked);
      void tracked.then(() => sending.delete(tracked));
      return sent;
    },
    queuedBytes: () => queuedBytes,
    async close() {
      closed = true;
      await Promise.all(sending);
    },
  };
}

function draftFor(drafts: Draft[], recordSize: number): Draft {
  const last = drafts.at(-1);
  if (last !== undefined && last.bytes + recordSize <= FRAME_BYTES) return last;
  const begun: Draft = { records: [], bytes: 0 };
  drafts.push(begun);
  return begun;
}
