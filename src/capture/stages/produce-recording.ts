import type { Json } from '../../domain/event.ts';
import { isJsonObject, own } from '../../domain/json.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import type { OutgoingRecord } from '../../kafka/port.ts';
import type { Random } from '../../runtime/clock.ts';
import { done, INVALID_COOKIELESS, INVALID_SESSION, NO_DISTINCT_ID, NO_SESSION_ID, NO_SNAPSHOT, refuse, type Attempt } from '../answers.ts';
import type { Batch, Take } from '../batch.ts';
import { randomBytes } from '../random-bytes.ts';
import { contextOf, wellFormedJson } from '../records.ts';
import type { RawEvent } from '../shapes.ts';
import { timestampOf } from '../timestamp.ts';
import { distinctIdOf } from './prepare.ts';
import type { ProduceOptions } from './produce.ts';

const EVENT = '$snapshot_items';
const SESSION_ID = /^[A-Za-z0-9-]{1,70}$/;

/**
 * The end of a recording's way (spec/capture.md 6.7): all snapshots of the request become one record under its session id.
 * Whose they are and of which session is what the first one says; of the others only the items count.
 */
export function produceRecording({
  sink,
  topics,
  eventBytes,
  produceMs,
  random,
}: ProduceOptions & { readonly random: Random }): Take<RawEvent> {
  return async (batch) => {
    const record = recordOf(batch, random);
    if (!record.ok) return { type: 'refused', answer: record.answer };
    const { length } = record.value.value;
    if (length > eventBytes) return { type: 'too-large', detail: `the recording has ${length} bytes; the limit is ${eventBytes}` };
    const result = await sink.send(new Map([[topics.recordings, [record.value]]]), produceMs);
    return result.type === 'acknowledged' ? { type: 'taken' } : result;
  };
}

function recordOf(batch: Batch<RawEvent>, random: Random): Attempt<OutgoingRecord> {
  const [first] = batch.events;
  if (first === undefined) return refuse(NO_SNAPSHOT);
  const { properties } = first;
  const distinctId = distinctIdOf(first.distinctId, properties);
  if (distinctId === undefined) return refuse(NO_DISTINCT_ID);
  const sessionId = own(properties, '$session_id') ?? undefined;
  if (sessionId === undefined) return refuse(NO_SESSION_ID);
  if (typeof sessionId !== 'string' || !SESSION_ID.test(sessionId)) return refuse(INVALID_SESSION);
  const cookieless = own(properties, '$cookieless_mode') ?? false;
  if (typeof cookieless !== 'boolean') return refuse(INVALID_COOKIELESS);
  const items = itemsOf(batch.events);
  if (items === undefined) return refuse(NO_SNAPSHOT);

  const { receivedMs, request } = batch.exchange;
  const context = contextOf(batch);
  const timestampMs = timestampOf(first, receivedMs, batch.sentAtMs);
  const uuid = first.uuid ?? uuidV7({ nowMs: timestampMs, random: randomBytes(random) });
  const data: Json = {
    event: EVENT,
    properties: {
      distinct_id: distinctId,
      $session_id: sessionId,
      $window_id: own(properties, '$window_id') ?? sessionId,
      $snapshot_source: own(properties, '$snapshot_source') ?? 'web',
      $snapshot_items: items,
      $lib: own(properties, '$lib') ?? libOf(request.headers['user-agent']),
    },
  };
  const value = Buffer.from(
    JSON.stringify({
      uuid,
      distinct_id: distinctId,
      ip: batch.ip,
      data: wellFormedJson(JSON.stringify(data)),
      now: context.now,
      sent_at: context.sentAt,
      token: batch.token,
      event: EVENT,
      is_cookieless_mode: cookieless ? true : undefined,
    }),
  );
  const headers = {
    token: batch.token,
    distinct_id: distinctId,
    session_id: sessionId,
    timestamp: String(timestampMs),
    event: EVENT,
    uuid,
    now: context.now,
    ...(context.traceparent === undefined ? {} : { traceparent: context.traceparent }),
  };
  return done({ key: Buffer.from(sessionId), value, headers });
}

/** The items of all snapshots, in their order; undefined when one has none. Their strings are bytes to others: they are only carried. */
function itemsOf(snapshots: readonly RawEvent[]): readonly unknown[] | undefined {
  const items: unknown[] = [];
  for (const { properties } of snapshots) {
    const data = own(properties, '$snapshot_data');
    if (Array.isArray(data)) for (const item of data as readonly unknown[]) items.push(item);
    else if (isJsonObject(data)) items.push(data);
    else return undefined;
  }
  return items;
}

/** Who recorded, when the snapshot does not say: PostHog's own SDKs name themselves in front of the slash. */
function libOf(userAgent: string | undefined): string {
  const [name = ''] = (userAgent ?? '').split('/', 1);
  return name.includes('posthog') ? name : 'web';
}
