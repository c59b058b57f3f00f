import type { Json, PluginEvent } from './event.ts';
import { asJsonObject } from './json.ts';
import { MAX_DISTINCT_ID_LENGTH, replaceNul, toText } from './strings.ts';
import { warning, type IngestionWarning } from './warnings.ts';

/** posthog_grouptypemapping.group_type and posthog_group.group_key are varchar(400), like distinct ids. */
const MAX_NAME_LENGTH = MAX_DISTINCT_ID_LENGTH;
/** A team has five group types; an event that names more than this is not asking for groups. Bounds the look-ups of one event. */
const MAX_TYPES_PER_EVENT = 100;

/**
 * The group types that have to be resolved to an index for this event (G-1, G-3), without repeats. Types that the
 * table cannot hold are left out and thereby ignored, as a sixth type is (G-2).
 */
export function groupTypesOf(event: PluginEvent): readonly string[] {
  const groups = asJsonObject(event.properties['$groups']);
  const identified = event.event === '$groupidentify' ? identifiedTypeOf(event) : undefined;
  if (groups === undefined && identified === undefined) return NONE;
  const types = new Set<string>();
  if (identified !== undefined) types.add(identified);
  for (const type in groups) {
    if (types.size >= MAX_TYPES_PER_EVENT) break;
    if (isGroupType(type)) types.add(type);
  }
  return [...types];
}
const NONE: readonly string[] = [];

/** Whether {@link groupTypesOf} is worth asking: nearly no event names a group. */
export function namesGroups({ event, properties }: PluginEvent): boolean {
  return event === '$groupidentify' || asJsonObject(properties)?.['$groups'] !== undefined;
}

function isGroupType(type: string): boolean {
  return type !== '' && type.length <= MAX_NAME_LENGTH && !type.includes('\0') && type.isWellFormed();
}

/** G-1 (full mode only): `$group_<index>` for each known type of `$groups`, the key as it was sent. */
export function assignGroups(event: PluginEvent, indexes: ReadonlyMap<string, number | undefined>): void {
  const groups = asJsonObject(event.properties['$groups']);
  if (groups === undefined) return;
  for (const type in groups) {
    const index = indexes.get(type);
    if (index !== undefined) event.properties[`$group_${index}`] = groups[type];
  }
}

/** What a `$groupidentify` event wants of its group (G-3, G-5). */
export type GroupIdentify =
  | { readonly type: 'upsert'; readonly groupType: string; readonly groupKey: string; readonly set: Readonly<Json> }
  | { readonly type: 'refused'; readonly warning: IngestionWarning };

/** Undefined when there is nothing to upsert: another event, or `$group_type` or `$group_key` missing. */
export function groupIdentifyOf(event: PluginEvent): GroupIdentify | undefined {
  if (event.event !== '$groupidentify') return undefined;
  const { properties } = event;
  const groupType = identifiedTypeOf(event);
  if (groupType === undefined || !properties['$group_type'] || !properties['$group_key']) return undefined;
  const groupKey = replaceNul(toText(properties['$group_key']));
  if (groupKey.length > MAX_NAME_LENGTH) {
    return { type: 'refused', warning: warning('group_key_too_long', { eventUuid: event.uuid, groupType, groupKey }) };
  }
  return { type: 'upsert', groupType, groupKey, set: asJsonObject(properties['$group_set']) ?? {} };
}

/** G-3: a type counts when it comes with a key, or, even without one, with a `$group_set`. */
function identifiedTypeOf(event: PluginEvent): string | undefined {
  const { properties } = event;
  const type = properties['$group_type'] ?? undefined;
  const hasSet = properties['$group_set'] !== undefined && properties['$group_set'] !== null;
  if (type === undefined || (!hasSet && !properties['$group_key'])) return undefined;
  const text = toText(type);
  return isGroupType(text) ? text : undefined;
}
