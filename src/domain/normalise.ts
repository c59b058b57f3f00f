import type { Json, PluginEvent } from './event.ts';
import { asJsonObject, isJsonObject, putAll } from './json.ts';
import { INITIAL_NAME } from './person-properties.ts';
import { cleanDistinctId } from './strings.ts';

/**
 * Rules N-1..N-6 and A-1..A-5, in place. Runs once after parsing, and again only if a plugin changed the event: on its
 * own result it changes nothing (the tests hold it to that), and that second run costs 0.7 us (docs/measured.md).
 *
 * In place means: `properties.$set` and `$set_once` are objects of their own afterwards, never the top-level ones,
 * which win again on the second run (N-3). Values that cannot be a set of properties (texts, lists) are passed over.
 * Personless events get no automatic `$set`: PP-3 would take it off again. They are those with `$process_person_profile: false`, and after
 * plugins those of the `mode` that was decided before.
 */
export function normalise(event: PluginEvent, mode?: 'full' | 'personless'): void {
  event.distinct_id = cleanDistinctId(event.distinct_id);
  const properties = (event.properties = asJsonObject(event.properties) ?? {});

  if (event.$set) mergeInto(properties, '$set', event.$set);
  if (event.$set_once) mergeInto(properties, '$set_once', event.$set_once);

  if (!properties['$ip'] && typeof event.ip === 'string' && event.ip !== '') properties['$ip'] = event.ip;
  event.ip = null;

  if (event.event !== '$snapshot' && event.event !== '$performance_event') {
    const osName = properties['$os_name'];
    if (osName) properties['$os'] ??= osName;
    const isPersonless = mode === undefined ? properties['$process_person_profile'] === false : mode === 'personless';
    if (!isPersonless) addPersonProperties(properties, osName);
  }
  if (event.sent_at) properties['$sent_at'] = event.sent_at;
}

/** N-3: the top-level object's keys win. */
function mergeInto(properties: Json, name: '$set' | '$set_once', topLevel: unknown): void {
  if (!isJsonObject(topLevel)) return;
  putAll(setOf(properties, name), topLevel);
}

/** The object under `$set` or `$set_once`, made when there is none. */
function setOf(properties: Json, name: '$set' | '$set_once'): Json {
  const existing = properties[name];
  if (isJsonObject(existing)) return existing;
  const made: Json = {};
  properties[name] = made;
  return made;
}

/** 2.2: copies the properties of list A to `$set` and `$set_once`; what is there explicitly wins. */
function addPersonProperties(properties: Json, osName: unknown): void {
  let set: Json | undefined;
  let setOnce: Json | undefined;
  for (const key in properties) {
    const initial = INITIAL_NAME.get(key);
    if (initial === undefined) continue;
    const value = properties[key];
    if (value === undefined || (osName && key === '$os_name')) continue;
    set ??= setOf(properties, '$set');
    setOnce ??= setOf(properties, '$set_once');
    if (set[key] === undefined) set[key] = value;
    if (setOnce[initial] === undefined) setOnce[initial] = value;
  }
  if (osName && set !== undefined && setOnce !== undefined) aliasOsName(set, setOnce, osName);
}

/** `$os_name` stands in for a missing `$os` and never becomes a person property itself. */
function aliasOsName(set: Json, setOnce: Json, osName: unknown): void {
  set['$os'] ??= osName;
  setOnce['$initial_os'] ??= osName;
  if (set['$os_name'] !== undefined) delete set['$os_name'];
  if (setOnce['$initial_os_name'] !== undefined) delete setOnce['$initial_os_name'];
}

const SETTING_EVENTS: ReadonlySet<unknown> = new Set([
  '$set',
  '$identify',
  '$create_alias',
  '$merge_dangerously',
  '$groupidentify',
  '$feature_interaction',
  '$feature_enrollment_update',
  'survey dismissed',
  'survey sent',
]);

/** K-23: `$set`, `$set_once` or `$unset` on an event that is not about a person. Ask before {@link normalise}. */
export function setsOutsidePersonEvents(event: PluginEvent): boolean {
  const { properties } = event;
  const sets = properties['$set'] !== undefined || properties['$set_once'] !== undefined || properties['$unset'] !== undefined;
  return sets && !SETTING_EVENTS.has(event.event);
}
