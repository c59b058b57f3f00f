import { own } from './json.ts';
import { toJsonText, toText } from './strings.ts';
import { clampStoredMs, MAX_DATE_MS, parseDateMs, parseIsoMs } from './time.ts';
import { warning, type IngestionWarning } from './warnings.ts';
import type { PluginEvent } from './event.ts';

/** When an event happened, and what is to be said about it (TS-9: said once, where the row is made). */
export interface ResolvedTimestamp {
  /** Epoch ms, inside what ClickHouse holds. */
  readonly timestampMs: number;
  /** The server's time when the event came in, epoch ms. */
  readonly nowMs: number;
  readonly warnings: readonly IngestionWarning[];
}

const NO_WARNINGS: readonly IngestionWarning[] = Object.freeze([]);

/** TS-7: more than this ahead of `now` is a broken clock. */
const MAX_AHEAD_MS = 23 * 60 * 60 * 1000;

/**
 * TS-1..TS-8. The server's `now`, corrected by how long before sending the client says it happened; or the client's own
 * `timestamp` where no usable `sent_at` allows a correction; or `now` less `offset` ms.
 * `wallClockMs` stands in for a timestamp nobody can read (TS-8). For such a `now` stands `recordMs`, Kafka's time of the record: it is
 * right in a backlog too, the same when the record comes again, and the future stays bounded.
 * Beyond the rules: an `offset` that is no finite number warns and is ignored (PostHog dead-letters the event), and the
 * result is clamped to 1900..2299, the range of ClickHouse's column.
 */
export function resolveTimestamp(event: PluginEvent, wallClockMs: number, recordMs = wallClockMs): ResolvedTimestamp {
  const warnings: IngestionWarning[] = [];
  const invalid = (field: string, value: unknown): void => {
    const text = value === undefined || value === null ? '' : typeof value === 'object' ? toJsonText(value) : toText(value);
    const reason = `the input "${text.slice(0, 200)}" can't be parsed as ISO 8601`;
    warnings.push(warning('ignored_invalid_timestamp', { eventUuid: event.uuid, field, value: text, reason }));
  };

  let nowMs = typeof event.now === 'string' ? parseIsoMs(event.now) : Number.NaN;
  if (Number.isNaN(nowMs)) {
    invalid('now', event.now);
    nowMs = recordMs > 0 ? recordMs : wallClockMs; // old producers write none
  }
  let ms = computeMs(event, nowMs, invalid);
  if (ms - nowMs > MAX_AHEAD_MS) {
    warnings.push(futureWarning(event, ms));
    ms = nowMs;
  } else if (!(Math.abs(ms) <= MAX_DATE_MS)) {
    invalid('timestamp', event.timestamp);
    ms = wallClockMs;
  }
  return { timestampMs: clampStoredMs(ms), nowMs, warnings: warnings.length === 0 ? NO_WARNINGS : warnings };
}

/** TS-2..TS-6. NaN when `timestamp` is unreadable and nothing overrides it. */
function computeMs(event: PluginEvent, nowMs: number, invalid: (field: string, value: unknown) => void): number {
  const { timestamp, offset } = event;
  let ms = nowMs;
  const sentAtMs = usableSentAtMs(event, invalid); // an unreadable one is told of, whether it is needed or not
  if (timestamp) {
    const timestampMs = parseDateMs(timestamp);
    if (sentAtMs === undefined || Number.isNaN(timestampMs)) return timestampMs; // TS-4: offset is ignored then
    ms = nowMs + (timestampMs - sentAtMs);
  }
  if (!offset) return ms;
  const offsetMs = typeof offset === 'number' || (typeof offset === 'string' && offset.trim() !== '') ? Number(offset) : Number.NaN;
  if (Number.isFinite(offsetMs)) return nowMs - offsetMs; // TS-5
  invalid('offset', offset);
  return ms;
}

/** TS-2: undefined when absent, switched off, or unreadable (then with a warning). */
function usableSentAtMs(event: PluginEvent, invalid: (field: string, value: unknown) => void): number | undefined {
  const sentAt: unknown = event.sent_at;
  if (!sentAt || own(event.properties, '$ignore_sent_at')) return undefined;
  const ms = typeof sentAt === 'string' ? parseIsoMs(sentAt) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  invalid('sent_at', sentAt);
  return undefined;
}

function futureWarning(event: PluginEvent, ms: number): IngestionWarning {
  return warning('event_timestamp_in_future', {
    timestamp: textOr(event.timestamp),
    sentAt: textOr(event.sent_at),
    offset: textOr(event.offset),
    now: textOr(event.now),
    result: Math.abs(ms) <= MAX_DATE_MS ? new Date(ms).toISOString() : String(ms),
    eventUuid: event.uuid,
    eventName: textOr(event.event),
  });
}

function textOr(value: unknown): string | number {
  if (value === undefined || value === null) return '';
  return typeof value === 'number' ? value : toText(value);
}
