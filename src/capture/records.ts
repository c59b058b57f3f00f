import type { TraceContext } from '../domain/event.ts';
import { own } from '../domain/json.ts';
import { replaceNul } from '../domain/strings.ts';
import { parseDateMs, parseIsoMs } from '../domain/time.ts';
import { formatTraceparent } from '../domain/trace.ts';
import { uuidV7 } from '../domain/uuid.ts';
import type { OutgoingRecord } from '../kafka/port.ts';
import type { Random } from '../runtime/clock.ts';
import { done, INVALID_COOKIELESS, NO_DISTINCT_ID, NO_EVENT_NAME, oversize, refuse, unparsable, type Attempt } from './answers.ts';
import { mayBeHistorical, topicOf, type CaptureTopics } from './classify.ts';
import type { RawEvent, RawRequest } from './shapes.ts';

/** What all events of a request share. */
export interface RequestContext {
  readonly token: string;
  readonly ip: string;
  /** When the server received the request. */
  readonly nowMs: number;
  /** The query's `_` or `sent_at`; the batch's own `sent_at` goes before it. */
  readonly sentAtQuery: string | undefined;
  /** Of a sampled request: the span that its records continue. */
  readonly trace: TraceContext | undefined;
}

export interface RecordOptions {
  readonly topics: CaptureTopics;
  /** Largest Kafka value. One event above it refuses the request. */
  readonly eventBytes: number;
  readonly random: Random;
}

/** The records of a request by topic, in the order of its events. */
export type RecordsByTopic = ReadonlyMap<string, readonly OutgoingRecord[]>;

const MAX_DISTINCT_ID_CHARACTERS = 200;
const YEAR_2020_MS = Date.UTC(2020, 0);
/** What RFC 3339 can write: years 0 to 9999. */
const MIN_TIMESTAMP_MS = -62_167_219_200_000;
const MAX_TIMESTAMP_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const MAX_AHEAD_MS = 23 * 60 * 60 * 1000;

/**
 * Builds the Kafka records of a request (spec/capture.md 6). All or nothing: the first event that is refused refuses all.
 *
 * Left out of the envelope on purpose: the computed `timestamp`. Ingestion computes it from `data`, `sent_at` and `now`
 * (rules TS-1..TS-8); an already corrected one in the envelope would go over the client's (K-20) and be corrected twice.
 * It is in the headers.
 */
export function recordsOf(request: RawRequest, context: RequestContext, options: RecordOptions): Attempt<RecordsByTopic> {
  const sentAtMs = sentAtOf(request.sentAt, context.sentAtQuery);
  const shared: SharedFields = {
    ...context,
    now: new Date(context.nowMs).toISOString(),
    sentAtMs,
    sentAt: sentAtMs === undefined ? undefined : new Date(sentAtMs).toISOString(),
    historical: request.historicalMigration,
    traceparent: context.trace === undefined ? undefined : formatTraceparent(context.trace),
  };
  const byTopic = new Map<string, OutgoingRecord[]>();
  for (const event of request.events) {
    const built = recordOf(event, shared, options);
    if (!built.ok) return built;
    const topic = topicOf(options.topics, event.event, shared.historical);
    const records = byTopic.get(topic);
    if (records === undefined) byTopic.set(topic, [built.value]);
    else records.push(built.value);
  }
  return done(byTopic);
}

interface SharedFields extends RequestContext {
  readonly now: string;
  readonly sentAtMs: number | undefined;
  readonly sentAt: string | undefined;
  readonly historical: boolean;
  readonly traceparent: string | undefined;
}

function recordOf(event: RawEvent, shared: SharedFields, { eventBytes, random }: RecordOptions): Attempt<OutgoingRecord> {
  if (event.event === '') return refuse(NO_EVENT_NAME);
  const cookieless = own(event.properties, '$cookieless_mode');
  if (cookieless !== undefined && typeof cookieless !== 'boolean') return refuse(INVALID_COOKIELESS);
  const data = dataOf(event);
  if (data === undefined) return refuse(unparsable('recursion limit exceeded'));
  const distinctId = distinctIdOf(event);
  if (distinctId === undefined) return refuse(NO_DISTINCT_ID);
  const timestampMs = timestampOf(event, shared);
  const uuid = event.uuid ?? uuidV7({ nowMs: timestampMs, random: randomBytes(random) });
  const ip = Object.hasOwn(event.properties, 'capture_internal') ? '127.0.0.1' : shared.ip;
  const historical = shared.historical && mayBeHistorical(event.event);
  const name = event.event.toWellFormed();
  const value = Buffer.from(
    JSON.stringify({
      uuid,
      distinct_id: distinctId,
      ip,
      data,
      now: shared.now,
      sent_at: shared.sentAt,
      token: shared.token,
      event: name,
      is_cookieless_mode: cookieless === true ? true : undefined,
      historical_migration: historical ? true : undefined,
    }),
  );
  if (value.length > eventBytes) return refuse(oversize(`an event has ${value.length} bytes; the limit is ${eventBytes}`));
  const headers: Record<string, string> = {
    token: shared.token,
    distinct_id: distinctId,
    timestamp: String(timestampMs),
    event: name,
    uuid,
    now: shared.now,
  };
  if (historical) headers['historical_migration'] = 'true';
  if (shared.traceparent !== undefined) headers['traceparent'] = shared.traceparent;
  return done({ key: Buffer.from(`${shared.token}:${cookieless === true ? ip : distinctId}`), value, headers });
}

/**
 * The event as ingestion reads it: canonical names, and only what the client sent. `uuid` is there always, null when it
 * came without. Undefined when it nests deeper than the stack. Lone surrogates, which strict readers refuse, become U+FFFD.
 */
function dataOf(event: RawEvent): string | undefined {
  let text: string;
  try {
    text = JSON.stringify({
      token: event.token,
      distinct_id: event.distinctId,
      uuid: event.uuid ?? null,
      event: event.event,
      properties: event.properties,
      timestamp: event.timestamp,
      offset: event.offset,
      $set: event.set,
      $set_once: event.setOnce,
    });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  // JSON.stringify writes `\udxxx` for a lone surrogate only; a backslash of the text itself is written as two.
  return text.includes('\\ud') ? text.replace(JSON_ESCAPE, (escape) => (escape.length === 6 ? '\uFFFD' : escape)) : text;
}
const JSON_ESCAPE = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g;

/** 6.1: at the top level, else in the properties; anything but a string as its JSON. Undefined when there is none, or only blanks. */
function distinctIdOf(event: RawEvent): string | undefined {
  const raw = event.distinctId ?? own(event.properties, 'distinct_id') ?? undefined;
  if (raw === undefined) return undefined;
  const text = replaceNul(typeof raw === 'string' ? raw : JSON.stringify(raw)).toWellFormed();
  if (text.trim() === '') return undefined;
  // Characters are counted, not UTF-16 units; a text of so few units cannot have more characters.
  return text.length <= MAX_DISTINCT_ID_CHARACTERS ? text : [...text].slice(0, MAX_DISTINCT_ID_CHARACTERS).join('');
}

/** 6.3. The query's value counts as milliseconds, and only when it lands after 2020: old clients sent seconds there. */
function sentAtOf(inBatch: string | undefined, inQuery: string | undefined): number | undefined {
  const fromBatch = inBatch === undefined ? Number.NaN : parseIsoMs(inBatch);
  if (isWritable(fromBatch)) return fromBatch;
  const fromQuery = inQuery === undefined || !/^\d+$/.test(inQuery) ? Number.NaN : Number(inQuery);
  return fromQuery >= YEAR_2020_MS && isWritable(fromQuery) ? fromQuery : undefined;
}

/** 6.3: when the event happened, on the server's clock; for the record's header and the uuid's time. */
function timestampOf(event: RawEvent, { nowMs, sentAtMs }: SharedFields): number {
  let ms = nowMs;
  if (event.offset !== undefined) ms = nowMs - event.offset;
  else if (event.timestamp !== undefined) {
    const parsed = parseDateMs(event.timestamp);
    const skewMs = sentAtMs === undefined || own(event.properties, '$ignore_sent_at') === true ? 0 : sentAtMs - nowMs;
    if (!Number.isNaN(parsed)) ms = parsed - skewMs;
  }
  if (ms > nowMs + MAX_AHEAD_MS) return nowMs;
  return isWritable(ms) ? ms : 0;
}

function isWritable(ms: number): boolean {
  return ms >= MIN_TIMESTAMP_MS && ms <= MAX_TIMESTAMP_MS;
}

function randomBytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: 10 }, () => Math.floor(random.next() * 256));
}
