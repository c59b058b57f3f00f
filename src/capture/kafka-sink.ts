import type { OutgoingRecord, RecordProducer } from '../kafka/port.ts';
import { state, type Facts } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { withinMs } from '../runtime/patience.ts';
import type { RecordsByTopic } from './records.ts';
import type { EventSink, SinkResult } from './sink.ts';

/**
 * The sink that is Kafka: `acknowledged` when all in-sync replicas have every record. One call of the producer per topic,
 * all of them at once; records of a topic keep their order, and so does a key.
 */
export function createKafkaSink({ producer, clock }: { readonly producer: RecordProducer; readonly clock: Clock }): EventSink {
  return {
    async send(records, limitMs) {
      if (records.size === 0) return { type: 'acknowledged' };
      const failed = new Map<string, Error>();
      const open = new Set(records.keys());
      const begunMs = clock.monotonic();
      const told = (topic: string, ofTopic: readonly OutgoingRecord[], outcome: Outcome): void => {
        let bytes = 0;
        for (const { value } of ofTopic) bytes += value.length;
        state('capture-records-sent', { topic, records: ofTopic.length, bytes, durationMs: clock.monotonic() - begunMs, outcome });
      };
      const sends = [...records].map(([topic, ofTopic]) =>
        producer.send(topic, ofTopic).then(
          () => {
            open.delete(topic);
            told(topic, ofTopic, 'acknowledged');
          },
          (error: unknown) => {
            const known = error instanceof Error ? error : new Error(String(error));
            failed.set(topic, known);
            told(topic, ofTopic, isTooLarge(known) ? 'too-large' : 'refused');
          },
        ),
      );
      await withinMs(clock, limitMs, Promise.all(sends));
      for (const topic of open) if (!failed.has(topic)) told(topic, records.get(topic) ?? [], 'late');
      return resultOf(records, { open, failed, limitMs });
    },
  };
}

type Outcome = Facts['capture-records-sent']['outcome'];

interface Ended {
  /** Topics without an acknowledgement. */
  readonly open: ReadonlySet<string>;
  /** Those of them that the producer refused; the others are late. */
  readonly failed: ReadonlyMap<string, Error>;
  readonly limitMs: number;
}

function resultOf(records: RecordsByTopic, { open, failed, limitMs }: Ended): SinkResult {
  if (open.size === 0) return { type: 'acknowledged' };
  for (const error of failed.values()) if (isTooLarge(error)) return { type: 'too-large', detail: error.message };
  const missing = new Map<string, readonly OutgoingRecord[]>();
  for (const [topic, ofTopic] of records) if (open.has(topic)) missing.set(topic, ofTopic);
  const [error = new Error(`no acknowledgement within ${limitMs} ms`)] = failed.values();
  return { type: 'unavailable', missing, error };
}

const isTooLarge = (error: Error): boolean => (error as { readonly code?: unknown }).code === 'too-large';
