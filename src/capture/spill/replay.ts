import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { SpillDisk } from './disk.ts';
import type { SpilledRecord } from './record.ts';
import { readSegment } from './segment.ts';

/**
 * Role: one sealed segment goes to Kafka, with key, headers and value as they came.
 *
 * P1 Records are sent in the order of the segment, the next batch after the acknowledgement of the one before: a key keeps its order.
 * P2 The file is removed only after the acknowledgement of every record in it. A crash in between sends all of it again: at least once.
 * P3 What can never be sent (too large for the broker now) or read (damage) is not thrown away: the file is kept, under another name.
 */
export interface ReplayOptions {
  readonly disk: SpillDisk;
  readonly producer: RecordProducer;
  /** True when the process ends: nothing more is sent. */
  readonly isStopped: () => boolean;
}

export type ReplayResult =
  | { readonly type: 'done'; readonly records: number }
  /** Another process has it now. */
  | { readonly type: 'gone' }
  /** Kafka, or the disk, does not answer: later again. */
  | { readonly type: 'failed'; readonly error: Error };

const BATCH_BYTES = 1 << 20;
const BATCH_COUNT = 1_000;

/** `keptPath` is where the file goes by P3. */
export async function replaySegment(path: string, keptPath: string, options: ReplayOptions): Promise<ReplayResult> {
  const { disk } = options;
  try {
    const bytes = await disk.read(path);
    const { records, state: content, lostBytes } = readSegment(bytes);
    let refused = 0;
    for (const batch of batchesOf(records)) {
      if (options.isStopped()) return { type: 'failed', error: new Error('the process ends') };
      await disk.sizeBytes(path); // its absence is `gone`
      refused += await sendBatch(batch, options.producer);
    }
    if (content === 'damaged' || refused > 0) {
      if (!(await disk.rename(path, keptPath))) return { type: 'gone' };
      state('spill-segment-kept', { path: keptPath, reason: content === 'damaged' ? 'damaged' : 'too-large', lostBytes, refused });
    } else {
      await disk.remove(path);
      if (lostBytes > 0) {
        const fields = { path, lostBytes };
        state('log-written', { level: 'warn', message: 'A spilled segment ended unfinished; nobody was told of that end.', fields });
      }
    }
    return { type: 'done', records: records.length };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESTALE') return { type: 'gone' };
    return { type: 'failed', error: error instanceof Error ? error : new Error(String(error)) };
  }
}

/** Resolves to how many records Kafka will never take. @throws ProduceError that passes. */
async function sendBatch(batch: readonly SpilledRecord[], producer: RecordProducer): Promise<number> {
  const [first] = batch;
  if (first === undefined) return 0;
  try {
    await producer.send(first.topic, batch.map(outgoing));
  } catch (error) {
    if (!(error instanceof ProduceError) || error.code !== 'too-large') throw error;
    if (batch.length === 1) return 1;
    const middle = batch.length >> 1;
    return (await sendBatch(batch.slice(0, middle), producer)) + (await sendBatch(batch.slice(middle), producer));
  }
  state('spill-replayed', { topic: first.topic, records: batch.length });
  return 0;
}

function outgoing({ key, partitionBy, value, headers }: SpilledRecord): OutgoingRecord {
  return { key, value, ...(partitionBy === undefined ? {} : { partitionBy }), ...(headers === undefined ? {} : { headers }) };
}

/** Runs of one topic, as large as one request of the producer may be. */
function* batchesOf(records: readonly SpilledRecord[]): Generator<readonly SpilledRecord[]> {
  let batch: SpilledRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    const size = record.value.length + (record.key?.length ?? 0);
    const isFull = batch.length >= BATCH_COUNT || bytes + size > BATCH_BYTES || batch[0]?.topic !== record.topic;
    if (batch.length > 0 && isFull) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(record);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
