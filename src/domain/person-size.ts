import type { Json, PluginEvent } from './event.ts';
import { put } from './json.ts';
import { jsonbBytes } from './jsonb-size.ts';
import { isInListA } from './person-properties.ts';
import { propertiesText } from './properties-text.ts';
import { warning, type IngestionWarning } from './warnings.ts';

/** Z-3: what the column `posthog_person.properties` may hold, in bytes of jsonb. */
export const MAX_PERSON_BYTES = 655_360;
/** Z-3: a person that has to be made smaller is made this small, so that it is not made smaller again with its next event. */
export const TRIMMED_PERSON_BYTES = 524_288;
/** No JSON text grows more than this in jsonb: a digit and its comma are 12 bytes there. */
const MAX_BYTES_PER_CHARACTER = 6;

/**
 * Whether a person with these properties is too large to be stored. The text is made for the row anyway, and nearly every person is
 * so small that its length alone is the answer.
 */
export function isTooLarge(properties: Readonly<Json>): boolean {
  return propertiesText(properties).length * MAX_BYTES_PER_CHARACTER + 8 > MAX_PERSON_BYTES && jsonbBytes(properties) > MAX_PERSON_BYTES;
}

const EMPTY_BYTES = jsonbBytes({});

/** What Troupe itself writes, and by what people are known to those who look for them. */
function isProtected(key: string): boolean {
  return ['$creator_event_uuid', 'email', 'name'].includes(key) || isInListA(key);
}

/**
 * Z-3: a copy that fits, for a person that has to be stored whatever it holds. The largest properties go first, because that costs the
 * fewest; protected ones only if the person would not fit without.
 */
export function trimmed(properties: Readonly<Json>): Json {
  // Each by itself, less what an object takes without it, and with the most that its place may cost in padding.
  const sizes = Object.keys(properties).map((key) => {
    return { key, bytes: jsonbBytes({ [key]: properties[key] }) - EMPTY_BYTES + 3, isLast: isProtected(key) };
  });
  const gone = new Set<string>();
  let bytes = sizes.reduce((sum, one) => sum + one.bytes, EMPTY_BYTES);
  for (const { key, bytes: freed, isLast } of sizes.sort((a, b) => Number(a.isLast) - Number(b.isLast) || b.bytes - a.bytes)) {
    if (bytes <= (isLast ? MAX_PERSON_BYTES : TRIMMED_PERSON_BYTES)) continue;
    gone.add(key);
    bytes -= freed;
  }
  const kept: Json = {};
  for (const key in properties) if (!gone.has(key)) put(kept, key, properties[key]);
  return kept;
}

/** Z-3: what the team is told of an event whose update was too much for its person. */
export function sizeWarning(event: PluginEvent, personId: string, limited: 'refused' | 'trimmed'): IngestionWarning {
  return warning('person_properties_size_violation', {
    eventUuid: event.uuid,
    distinctId: event.distinct_id,
    personId,
    message:
      limited === 'refused'
        ? `With this event's changes the person would hold more than ${MAX_PERSON_BYTES} bytes of properties. They were not stored.`
        : `The person held more than ${MAX_PERSON_BYTES} bytes of properties. Its largest ones were removed.`,
  });
}
