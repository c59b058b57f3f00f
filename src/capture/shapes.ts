import type { Json } from '../domain/event.ts';
import { isJsonObject } from '../domain/json.ts';
import { isUuid } from '../domain/uuid.ts';
import { done, EMPTY_BATCH, NO_VARIANT, NOT_AN_EVENT, refuse, type Attempt } from './answers.ts';
import { isKeptNumber, readJson } from './json-text.ts';

/** An event as the client sent it, its fields checked and its aliases resolved (spec/capture.md 4.2). Other fields are gone. */
export interface RawEvent {
  readonly event: string;
  readonly token: string | undefined;
  /** Any JSON; undefined when there was none at the top level. */
  readonly distinctId: unknown;
  /** Lower case, with hyphens; undefined when the client left it to us. */
  readonly uuid: string | undefined;
  readonly properties: Json;
  readonly timestamp: string | undefined;
  readonly offset: number | undefined;
  readonly set: Json | undefined;
  readonly setOnce: Json | undefined;
}

export interface RawRequest {
  readonly events: readonly RawEvent[];
  /** How the token is found (5.1): the batch's own, or those of the events. */
  readonly token: { readonly from: 'batch'; readonly value: string } | { readonly from: 'events' };
  readonly historicalMigration: boolean;
  readonly sentAt: string | undefined;
}

/**
 * Parses a payload: an array of events, a batch, one event, or an engage update, tried in this order (4.1). One
 * malformed event refuses the request, as upstream does: SDKs do not repeat a 400, so half of a request must not count.
 */
export function parseRequest(text: string, mayEngage: boolean): Attempt<RawRequest> {
  const read = readJson(text);
  if (!read.ok) return read;
  const parsed = read.value;
  if (Array.isArray(parsed)) return ofEvents(parsed, { token: { from: 'events' }, historicalMigration: false, sentAt: undefined });
  if (!isObject(parsed)) return refuse(NO_VARIANT);
  return readBatch(parsed) ?? readSingle(parsed, mayEngage);
}

/**
 * Parses what `/s` takes: one snapshot or an array of them, no batch (6.7). When they were sent is what the first one says.
 */
export function parseSnapshots(text: string): Attempt<RawRequest> {
  const read = readJson(text);
  if (!read.ok) return read;
  const snapshots: readonly unknown[] = Array.isArray(read.value) ? read.value : [read.value];
  const [first] = snapshots;
  const sentAt = isObject(first) ? textOf(first['sent_at']) : undefined;
  return ofEvents(snapshots, { token: { from: 'events' }, historicalMigration: false, sentAt });
}

/** Undefined when the object is no batch: no token, or a field of another type than a batch has. */
function readBatch(fields: Json): Attempt<RawRequest> | undefined {
  const { batch, historical_migration: historical = null, sent_at: sentAt = null } = fields;
  const token = textOf(fields['token']) ?? textOf(fields['api_key']);
  if (!Array.isArray(batch) || token === undefined) return undefined;
  if (historical !== null && typeof historical !== 'boolean') return undefined;
  if (sentAt !== null && typeof sentAt !== 'string') return undefined;
  return ofEvents(batch, { token: { from: 'batch', value: token }, historicalMigration: historical === true, sentAt: sentAt ?? undefined });
}

function readSingle(fields: Json, mayEngage: boolean): Attempt<RawRequest> {
  const context = { token: { from: 'events' } as const, historicalMigration: false, sentAt: undefined };
  if (typeof fields['event'] === 'string') return ofEvents([fields], context);
  const engage = readEvent({ ...fields, event: '$identify' });
  if (engage === undefined) return refuse(NO_VARIANT);
  if (!mayEngage) return refuse(NOT_AN_EVENT);
  return done({ ...context, events: [engage] });
}

function ofEvents(values: readonly unknown[], context: Omit<RawRequest, 'events'>): Attempt<RawRequest> {
  const events: RawEvent[] = [];
  for (const value of values) {
    const event = readEvent(value);
    if (event === undefined) return refuse(NO_VARIANT);
    events.push(event);
  }
  return events.length === 0 ? refuse(EMPTY_BATCH) : done({ ...context, events });
}

/** Undefined when a field has a type that no SDK gives it. */
function readEvent(value: unknown): RawEvent | undefined {
  if (!isObject(value)) return undefined;
  const { event, properties = {}, timestamp = null, offset = null, $set: set = null, $set_once: setOnce = null } = value;
  if (typeof event !== 'string' || !isObject(properties)) return undefined;
  if (timestamp !== null && typeof timestamp !== 'string') return undefined;
  if (offset !== null && !Number.isSafeInteger(offset)) return undefined;
  if (set !== null && !isObject(set)) return undefined;
  if (setOnce !== null && !isObject(setOnce)) return undefined;
  // Two names for one id are two ids; upstream refuses too. Two names for the token are harmless: the first one counts.
  const { distinct_id: plain, $distinct_id: dollar } = value;
  if (plain !== undefined && dollar !== undefined) return undefined;
  const token = value['token'] ?? value['$token'] ?? value['api_key'] ?? undefined;
  if (token !== undefined && typeof token !== 'string') return undefined;
  const uuid = readUuid(value['uuid']);
  if (uuid === undefined) return undefined;
  return {
    event,
    token,
    distinctId: plain ?? dollar,
    uuid: uuid === '' ? undefined : uuid,
    properties,
    timestamp: timestamp ?? undefined,
    offset: (offset as number | null) ?? undefined,
    set: set ?? undefined,
    setOnce: setOnce ?? undefined,
  };
}

/** The other ways to write one that upstream takes: bare, in braces, as a URN. */
const ODD_UUID = /^(?:urn:uuid:|\{)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;
/** '' when none was given, undefined when it is none. */
function readUuid(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return '';
  if (isUuid(value)) return value.toLowerCase();
  return typeof value === 'string' && ODD_UUID.test(value) ? value.toLowerCase().replace(ODD_UUID, '$1-$2-$3-$4-$5') : undefined;
}

/** A JSON object; not a number that is kept as it was written. */
export function isObject(value: unknown): value is Json {
  return isJsonObject(value) && !isKeptNumber(value);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
