import { failed, type ParseFailure } from './envelope.ts';
import type { Envelope, Json, PluginEvent } from './event.ts';
import { isJsonObject, isTooDeep, MAX_DEPTH } from './json.ts';
import { messageOf } from './strings.ts';

export type EventResult = { readonly ok: true; readonly event: PluginEvent } | ParseFailure;

/** A text shorter than this cannot nest deeper than MAX_DEPTH: each level costs two characters. Most events are. */
const SHALLOW_LENGTH = 2 * MAX_DEPTH;

/**
 * K-20: the event is the inner object with every envelope field except `data` written on top; a field present with
 * null overwrites too. Call {@link normalise} next (K-22).
 *
 * `teamId` is the team found for the record; without one the envelope's own number stands, or 0.
 * Refused, with a reason: `data` that is no JSON object, a missing event name, `properties` that are no object, and
 * nesting beyond MAX_DEPTH. Numbers beyond a double become Infinity and are stored as null, as PostHog does.
 */
export function parseEvent(envelope: Envelope, teamId?: number): EventResult {
  let event: unknown;
  try {
    event = JSON.parse(envelope.data);
  } catch (error) {
    return failed('failed_parse_message', `data is not JSON: ${messageOf(error)}`);
  }
  if (!isJsonObject(event)) return failed('failed_parse_event', 'data is not a JSON object');
  if (envelope.data.length >= SHALLOW_LENGTH && isTooDeep(event)) {
    return failed('failed_parse_event', `data nests deeper than ${MAX_DEPTH} levels`);
  }

  writeOver(event, envelope.fields);
  event['distinct_id'] = envelope.distinctId;
  event['team_id'] = teamId ?? envelope.teamId ?? 0;
  if (event['event'] === undefined) return failed('failed_parse_event', 'the event has no name');
  const properties = event['properties'];
  if (properties === undefined || properties === null) event['properties'] = {};
  else if (!isJsonObject(properties)) return failed('failed_parse_event', 'properties are not an object');
  return { ok: true, event: event as PluginEvent };
}

function writeOver(event: Json, fields: Json): void {
  for (const key in fields) {
    if (key !== 'data' && key !== '__proto__') event[key] = fields[key];
  }
}
