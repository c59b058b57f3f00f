import type { Json } from '../../domain/event.ts';
import { own } from '../../domain/json.ts';
import type { OutgoingRecord } from '../../kafka/port.ts';
import type { Batch, Take } from '../batch.ts';
import { contextOf, envelopeOf, wellFormedJson } from '../records.ts';
import { topicOf } from '../routed.ts';
import type { PreparedRecording } from './prepare-recording.ts';
import type { ProduceOptions } from './produce.ts';

/** Name of a recording, where events have theirs: in its record, and for rules that ask for names. */
export const RECORDING_EVENT = '$snapshot_items';

/** The end of a recording's way (spec/capture.md 6.7): one record under its session id. */
export function produceRecording({ sink, topics, eventBytes, produceMs }: ProduceOptions): Take<PreparedRecording> {
  return async (batch) => {
    const [recording] = batch.events;
    if (recording === undefined) return { type: 'taken' }; // a stage has left it out
    const record = recordOf(recording, batch);
    const { length } = record.value;
    if (length > eventBytes) return { type: 'too-large', detail: `the recording has ${length} bytes; the limit is ${eventBytes}` };
    const result = await sink.send(new Map([[topicOf(recording, topics), [record]]]), produceMs);
    return result.type === 'acknowledged' ? { type: 'taken' } : result;
  };
}

function recordOf(recording: PreparedRecording, batch: Batch<unknown>): OutgoingRecord {
  const { uuid, distinctId, sessionId, properties, timestampMs, cookieless, items, extraHeaders } = recording;
  const context = contextOf(batch);
  const data: Json = {
    event: RECORDING_EVENT,
    properties: {
      distinct_id: distinctId,
      $session_id: sessionId,
      $window_id: own(properties, '$window_id') ?? sessionId,
      $snapshot_source: own(properties, '$snapshot_source') ?? 'web',
      $snapshot_items: items,
      $lib: own(properties, '$lib') ?? libOf(batch.exchange.request.headers['user-agent']),
    },
  };
  const value = envelopeOf(
    { uuid, distinctId, ip: batch.ip, data: wellFormedJson(JSON.stringify(data)), name: RECORDING_EVENT, cookieless, historical: false },
    context,
  );
  const headers = {
    token: batch.token,
    distinct_id: distinctId,
    session_id: sessionId,
    timestamp: String(timestampMs),
    event: RECORDING_EVENT,
    uuid,
    now: context.now,
    ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
    ...extraHeaders,
  };
  return { key: Buffer.from(sessionId), value, headers };
}

/** Who recorded, when the snapshot does not say: PostHog's own SDKs name themselves in front of the slash. */
function libOf(userAgent: string | undefined): string {
  const [name = ''] = (userAgent ?? '').split('/', 1);
  return name.includes('posthog') ? name : 'web';
}
