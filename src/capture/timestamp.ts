import { own } from '../domain/json.ts';
import { parseDateMs } from '../domain/time.ts';
import type { RawEvent } from './shapes.ts';

const YEAR_2020_MS = Date.UTC(2020, 0);
/** What RFC 3339 can write: years 0 to 9999. */
const MIN_TIMESTAMP_MS = -62_167_219_200_000;
const MAX_TIMESTAMP_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
const MAX_AHEAD_MS = 23 * 60 * 60 * 1000;

/**
 * When the client sent the request (spec/capture.md 6.3): as the body says, else as the query's `_` does. That counts as
 * milliseconds, and only when it lands after 2020: old clients sent seconds there.
 */
export function sentAtOf(inBody: string | undefined, query: URLSearchParams | undefined): number | undefined {
  const fromBody = inBody === undefined ? Number.NaN : parseDateMs(inBody); // leniently: it is written anew, so that ingestion can read it (TS-2)
  if (isWritable(fromBody)) return fromBody;
  const inQuery = query?.get('_') ?? query?.get('sent_at') ?? '';
  const fromQuery = /^\d+$/.test(inQuery) ? Number(inQuery) : Number.NaN;
  return fromQuery >= YEAR_2020_MS && isWritable(fromQuery) ? fromQuery : undefined;
}

/** 6.3: when the event happened, on the server's clock; for the record's header and the uuid's time. */
export function timestampOf(
  event: Pick<RawEvent, 'offset' | 'timestamp' | 'properties'>,
  nowMs: number,
  sentAtMs: number | undefined,
): number {
  let ms = nowMs;
  if (event.offset !== undefined) ms = nowMs - event.offset;
  else if (event.timestamp !== undefined) {
    const parsed = parseTimestampMs(event.timestamp);
    const skewMs = sentAtMs === undefined || own(event.properties, '$ignore_sent_at') === true ? 0 : sentAtMs - nowMs;
    if (!Number.isNaN(parsed)) ms = parsed - skewMs;
  }
  if (ms > nowMs + MAX_AHEAD_MS) return nowMs;
  return isWritable(ms) ? ms : 0;
}

/** What {@link parseDateMs} reads, and what upstream's parser reads besides: seconds or ms since 1970, and an offset of hours alone. */
function parseTimestampMs(text: string): number {
  const ms = parseDateMs(text);
  if (!Number.isNaN(ms)) return ms;
  if (/^\d{9,10}$/.test(text)) return Number(text) * 1_000;
  if (/^\d{12,13}$/.test(text)) return Number(text);
  return /:\d\d(?:\.\d+)?[+-]\d\d$/.test(text) ? parseDateMs(`${text}:00`) : Number.NaN;
}

function isWritable(ms: number): boolean {
  return ms >= MIN_TIMESTAMP_MS && ms <= MAX_TIMESTAMP_MS;
}
