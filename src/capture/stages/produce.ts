import type { OutgoingRecord } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { Take } from '../batch.ts';
import type { CaptureTopics } from '../classify.ts';
import { contextOf, recordOf } from '../records.ts';
import { topicOf } from '../routed.ts';
import type { EventSink } from '../sink.ts';
import type { PreparedEvent } from './prepare.ts';

export interface ProduceOptions {
  readonly sink: EventSink;
  readonly topics: CaptureTopics;
  /** Largest Kafka value. One event above it refuses the request. */
  readonly eventBytes: number;
  /** How long the sink may take. */
  readonly produceMs: number;
}

/** The end of every chain: all records are built, then the sink gets them in one call. */
export function produce({ sink, topics, eventBytes, produceMs }: ProduceOptions): Take<PreparedEvent> {
  return async (batch) => {
    const context = contextOf(batch);
    const byTopic = new Map<string, OutgoingRecord[]>();
    for (const event of batch.events) {
      const record = recordOf(event, context);
      if (record.value.length > eventBytes) {
        if (batch.oversize === 'drop') {
          batch.drops.push({ uuid: event.uuid, cause: 'event_too_big' });
          state('capture-events-dropped', { cause: 'event_too_big', count: 1 });
          continue;
        }
        return { type: 'too-large', detail: `an event has ${record.value.length} bytes; the limit is ${eventBytes}` };
      }
      const topic = topicOf(event, topics);
      const records = byTopic.get(topic);
      if (records === undefined) byTopic.set(topic, [record]);
      else records.push(record);
    }
    const result = await sink.send(byTopic, produceMs);
    return result.type === 'acknowledged' ? { type: 'taken' } : result;
  };
}
