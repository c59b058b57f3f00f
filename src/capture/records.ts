import { formatTraceparent } from '../domain/trace.ts';
import type { OutgoingRecord } from '../kafka/port.ts';
import type { Batch } from './batch.ts';
import type { PreparedEvent } from './stages/prepare.ts';
import type { RawEvent } from './shapes.ts';

/** The records of a request by topic, in the order of its events. */
export type RecordsByTopic = ReadonlyMap<string, readonly OutgoingRecord[]>;

/** What the records of one request share. */
export interface RecordContext {
  readonly token: string;
  /** When the request arrived, as RFC 3339. */
  readonly now: string;
  readonly sentAt: string | undefined;
  readonly traceparent: string | undefined;
}

export function contextOf({ token, sentAtMs, exchange }: Batch<unknown>): RecordContext {
  const { receivedMs, account } = exchange;
  return {
    token,
    now: isoOfNow(receivedMs),
    sentAt: sentAtMs === undefined ? undefined : new Date(sentAtMs).toISOString(),
    traceparent: account.trace === undefined ? undefined : formatTraceparent(account.trace),
  };
}

/** Requests of the same millisecond share its text: what `toISOString` costs is seen in a busy process. */
let lastMs = Number.NaN;
let lastIso = '';
function isoOfNow(ms: number): string {
  if (ms !== lastMs) {
    lastIso = new Date(ms).toISOString();
    lastMs = ms;
  }
  return lastIso;
}

/**
 * The Kafka record of an event (spec/capture.md 6.6).
 *
 * Left out of the envelope on purpose: the computed `timestamp`. Ingestion computes it from `data`, `sent_at` and `now`
 * (rules TS-1..TS-8); an already corrected one in the envelope would go over the client's (K-20) and be corrected twice.
 * It is in the headers.
 */
export function recordOf(event: PreparedEvent, context: RecordContext): OutgoingRecord {
  const { uuid, distinctId, ip, historical } = event;
  const name = event.raw.event.toWellFormed();
  const value = envelopeOf({ uuid, distinctId, ip, data: dataOf(event.raw), name, cookieless: event.cookieless, historical }, context);
  const headers: Record<string, string> = {
    token: context.token,
    distinct_id: distinctId,
    timestamp: String(event.timestampMs),
    event: name,
    uuid,
    now: context.now,
  };
  if (historical) headers['historical_migration'] = 'true';
  if (context.traceparent !== undefined) headers['traceparent'] = context.traceparent;
  if (event.extraHeaders !== undefined) Object.assign(headers, event.extraHeaders);
  return { key: event.isKeyless ? null : Buffer.from(event.key), value, headers };
}

/** What is in every envelope, of events and of recordings. */
export interface Enveloped {
  readonly uuid: string;
  readonly distinctId: string;
  readonly ip: string;
  /** JSON text. */
  readonly data: string;
  readonly name: string;
  readonly cookieless: boolean;
  readonly historical: boolean;
}

/** The value of a record. */
export function envelopeOf({ uuid, distinctId, ip, data, name, cookieless, historical }: Enveloped, context: RecordContext): Buffer {
  return Buffer.from(
    JSON.stringify({
      uuid,
      distinct_id: distinctId,
      ip,
      data,
      now: context.now,
      sent_at: context.sentAt,
      token: context.token,
      event: name,
      is_cookieless_mode: cookieless ? true : undefined,
      historical_migration: historical ? true : undefined,
    }),
  );
}

/**
 * The event as ingestion reads it: canonical names, and only what the client sent. `uuid` is there always, null when it
 * came without. Lone surrogates, which strict readers refuse, become U+FFFD.
 */
function dataOf(event: RawEvent): string {
  return wellFormedJson(
    JSON.stringify({
      token: event.token,
      distinct_id: event.distinctId,
      uuid: event.uuid ?? null,
      event: event.event,
      properties: event.properties,
      timestamp: event.timestamp,
      offset: event.offset,
      $set: event.set,
      $set_once: event.setOnce,
    }),
  );
}

/** JSON.stringify writes `\udxxx` for a lone surrogate only; a backslash of the text itself is written as two. */
export function wellFormedJson(text: string): string {
  return text.includes('\\ud') ? text.replace(JSON_ESCAPE, (escape) => (escape.length === 6 ? '\uFFFD' : escape)) : text;
}
const JSON_ESCAPE = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g;
