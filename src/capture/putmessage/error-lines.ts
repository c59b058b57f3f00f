import type { OutgoingRecord } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Spilled } from '../sink.ts';

/**
 * The error log of the collector that `/putmessage` stands in for (spec/capture.md 16.2, rows 6, 8): one line for a failed batch, by which
 * operators recovered messages by hand. Here the spill has them, and the line tells that it does. A batch is what failed of one topic for one kind
 * of reason within a second, 200 messages at most.
 */
export interface ErrorLines {
  note(topic: string, record: OutgoingRecord, why: Spilled): void;
}

export interface ErrorLinesOptions {
  readonly clock: Clock;
  /** Write keys and messages into the line. They are what clients sent. */
  readonly withMessages: boolean;
}

const BATCH_COUNT = 200;
const LINGER_MS = 1_000;
/** Refusals that will be the same next time; everything else passes. */
const LASTING = new Set(['unknown-topic', 'too-large']);

interface Batch {
  readonly topic: string;
  readonly isRetryable: boolean;
  /** Key, message, key, message, … */
  readonly queue: string[];
  count: number;
}

export function createErrorLines({ clock, withMessages }: ErrorLinesOptions): ErrorLines {
  const batches = new Map<string, Batch>();
  let linger: Timer | undefined;

  function tell(key: string, { topic, isRetryable, queue, count }: Batch): void {
    batches.delete(key);
    state('putmessage-batch-failed', { topic, entries: 2 * count, isRetryable, json: JSON.stringify(queue) });
  }
  function flush(): void {
    linger?.cancel();
    linger = undefined;
    for (const [key, batch] of batches) tell(key, batch);
  }

  return {
    note(topic, record, { code }) {
      const isRetryable = !LASTING.has(code);
      const key = `${topic}/${isRetryable}`;
      let batch = batches.get(key);
      if (batch === undefined) batches.set(key, (batch = { topic, isRetryable, queue: [], count: 0 }));
      batch.count++;
      if (withMessages) batch.queue.push(record.key?.toString() ?? '', record.value.toString());
      if (batch.count >= BATCH_COUNT) tell(key, batch);
      else linger ??= clock.after(LINGER_MS, flush);
    },
  };
}
