import type { Json } from '../../domain/event.ts';
import { own, put } from '../../domain/json.ts';
import { isUuid } from '../../domain/uuid.ts';
import { done, EMPTY_BATCH, refuse, unparsable, type Attempt } from '../answers.ts';
import type { Drop, V1DropCause } from '../batch.ts';
import { readJson } from '../json-text.ts';
import { isObject, type RawEvent } from '../shapes.ts';
import type { V1Headers } from './headers.ts';
import { parseRfc3339Ms } from './rfc3339.ts';

/** A v1 request whose events look as v0's do: what v1 moved out of the properties is back in them. */
export interface V1Request {
  readonly historicalMigration: boolean;
  readonly events: readonly RawEvent[];
  /** Events that can never be stored: the others of the request are. */
  readonly drops: readonly Drop[];
}

const MAX_CHARACTERS = 200;
/** v1's names of options, and the property that each one was. */
const OPTIONS = [
  ['cookieless_mode', '$cookieless_mode', 'boolean'],
  ['disable_skew_correction', '$ignore_sent_at', 'boolean'],
  ['process_person_profile', '$process_person_profile', 'boolean'],
  ['product_tour_id', '$product_tour_id', 'string'],
] as const;

/** Parses a payload (spec/capture.md 12). What is wrong with the request refuses it; what is wrong with an event leaves out that event. */
export function parseV1(text: string, headers: Pick<V1Headers, 'lib' | 'libVersion'>): Attempt<V1Request> {
  const read = readJson(text);
  if (!read.ok) return read;
  const body = read.value;
  if (!isObject(body)) return refuse(unparsable('the body is no object'));
  const { batch, created_at: createdAt, historical_migration: historical = null, capture_internal: internal = null } = body;
  if (!Array.isArray(batch)) return refuse(unparsable('batch is missing or no array'));
  if (Number.isNaN(parseRfc3339Ms(createdAt))) return refuse(unparsable('created_at is missing or no RFC 3339 date'));
  if (historical !== null && typeof historical !== 'boolean') return refuse(unparsable('historical_migration is no boolean'));
  if (internal !== null && typeof internal !== 'boolean') return refuse(unparsable('capture_internal is no boolean'));
  if (batch.length === 0) return refuse(EMPTY_BATCH);

  const events: RawEvent[] = [];
  const drops: Drop[] = [];
  const seen = new Set<string>();
  for (const value of batch as readonly unknown[]) {
    const uuid = isObject(value) ? value['uuid'] : undefined;
    if (!isObject(value) || !isUuid(uuid)) return refuse(unparsable('an event has no valid uuid'));
    if (seen.has(uuid.toLowerCase())) return refuse(unparsable('two events have one uuid'));
    seen.add(uuid.toLowerCase());
    const event = readEvent(value, uuid, { ...headers, isInternal: internal === true });
    if (typeof event === 'object') events.push(event);
    else drops.push({ uuid, cause: event });
  }
  return done({ historicalMigration: historical === true, events, drops });
}

interface Shared extends Pick<V1Headers, 'lib' | 'libVersion'> {
  readonly isInternal: boolean;
}

function readEvent(value: Json, uuid: string, shared: Shared): RawEvent | V1DropCause {
  const { event, distinct_id: distinctId, timestamp, properties: given = {} } = value;
  if (typeof event !== 'string' || event === '') return 'no_event_name';
  if (isLong(event)) return 'event_name_too_long';
  if (typeof distinctId !== 'string' || distinctId.trim() === '') return 'no_distinct_id';
  if (isLong(distinctId)) return 'distinct_id_too_long';
  if (typeof timestamp !== 'string' || Number.isNaN(parseRfc3339Ms(timestamp))) return 'invalid_timestamp';
  if (given !== null && !isObject(given)) return 'invalid_properties';
  const properties: Json = { ...given };
  if (!restore(value, properties, shared)) return 'invalid_options';
  return { event, token: undefined, distinctId, uuid, properties, timestamp, offset: undefined, set: undefined, setOnce: undefined };
}

/** Puts back what v1 moved out of the properties. False when one of it is not what it may be. */
function restore(event: Json, properties: Json, { lib, libVersion, isInternal }: Shared): boolean {
  for (const [field, property] of [
    ['session_id', '$session_id'],
    ['window_id', '$window_id'],
  ] as const) {
    const value = own(event, field) ?? undefined;
    if (value === undefined) continue;
    if (typeof value !== 'string') return false;
    put(properties, property, value);
  }
  const options = own(event, 'options') ?? {};
  if (!isObject(options)) return false;
  for (const [option, property, type] of OPTIONS) {
    const value = own(options, option) ?? undefined;
    if (value === undefined) continue;
    if (typeof value !== type) return false;
    put(properties, property, value);
  }
  put(properties, '$lib', lib);
  put(properties, '$lib_version', libVersion);
  if (isInternal) put(properties, 'capture_internal', true);
  return true;
}

/** Characters are counted, not UTF-16 units. */
const isLong = (text: string): boolean => text.length > MAX_CHARACTERS && [...text].length > MAX_CHARACTERS;
