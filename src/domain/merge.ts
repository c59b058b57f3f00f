import type { PluginEvent } from './event.ts';
import { putAll } from './json.ts';
import { foldPerson, type Folded, type PersonUpdate } from './person-fold.ts';
import { isTooLarge, trimmed } from './person-size.ts';
import type { Person } from './person.ts';
import { cleanDistinctId, MAX_DISTINCT_ID_LENGTH } from './strings.ts';
import { warning, type IngestionWarning } from './warnings.ts';

/** The two ids a merge event names (3.5): `other` is merged INTO `into`, whatever the event is called. */
export interface MergeIds {
  readonly into: string;
  readonly other: string;
}

/** The ids of a merge event; undefined when the event asks for no merge. */
export function mergeIdsOf(event: PluginEvent): MergeIds | undefined {
  const { properties } = event;
  switch (event.event) {
    case '$create_alias':
    case '$merge_dangerously':
      return properties['alias'] ? { into: event.distinct_id, other: cleanDistinctId(properties['alias']) } : undefined;
    case '$identify':
      // present is enough: null reads as 'null', which is illegal and says so
      return properties['$anon_distinct_id'] === undefined
        ? undefined
        : { into: event.distinct_id, other: cleanDistinctId(properties['$anon_distinct_id']) };
    default:
      return undefined;
  }
}

/** 3.6, in any case of letters. */
const ILLEGAL_ANY_CASE = [
  'anonymous',
  'guest',
  'distinctid',
  'distinct_id',
  'id',
  'not_authenticated',
  'email',
  'undefined',
  'true',
  'false',
];
/** 3.6, exactly so. */
const ILLEGAL_EXACTLY = ['[object Object]', 'NaN', 'None', 'none', 'null', '0', 'undefined'];

const withQuotes = (ids: readonly string[]): ReadonlySet<string> => new Set(ids.flatMap((id) => [id, `'${id}'`, `"${id}"`]));
const illegalAnyCase = withQuotes(ILLEGAL_ANY_CASE);
const illegalExactly = withQuotes(ILLEGAL_EXACTLY);

/**
 * 3.6: ids that stand for "nobody in particular"; merging on one would weld strangers together. Not trimmed before the
 * comparison: ' null' is legal. Longer than a mapping holds is illegal too: the alternative is a refused statement.
 */
export function isIllegalDistinctId(id: string): boolean {
  return id.trim() === '' || illegalExactly.has(id) || illegalAnyCase.has(id.toLowerCase()) || id.length > MAX_DISTINCT_ID_LENGTH;
}

/** A warning of rule 3.5, always sent. */
export type MergeWarning = IngestionWarning & {
  readonly type: 'cannot_merge_with_illegal_distinct_id' | 'cannot_merge_already_identified';
};

/** What a merge event does. The event's own `$set` and the like are applied to the person afterwards in every case. */
export type MergeDecision =
  /** Both ids are one: a plain event. */
  | { readonly type: 'none' }
  /** A plain event, with a warning. Does not identify. */
  | { readonly type: 'illegal'; readonly warning: MergeWarning }
  /** Both ids have this person: identify it. */
  | { readonly type: 'already-same'; readonly person: Person }
  /** One person exists: it gets the other id too, and is identified. */
  | { readonly type: 'add-distinct-id'; readonly to: Person; readonly distinctId: string }
  /** Nobody exists: one identified person is created with both ids; {@link mappingsOfBoth} has the versions. */
  | { readonly type: 'create-with-both'; readonly into: string; readonly other: string }
  /** `other` is somebody already. `into` is identified all the same (sharp edge 14). */
  | { readonly type: 'refused'; readonly into: Person; readonly warning: MergeWarning }
  | { readonly type: 'merge'; readonly into: Person; readonly from: Person };

/** The table of rule 3.5, top to bottom. `intoPerson` being identified never blocks; only `otherPerson` does. */
export function decideMerge(merge: {
  readonly eventName: string;
  readonly eventUuid: string;
  readonly into: string;
  readonly other: string;
  readonly intoPerson: Person | undefined;
  readonly otherPerson: Person | undefined;
}): MergeDecision {
  const { into, other, intoPerson, otherPerson, eventUuid } = merge;
  if (other === into) return { type: 'none' };
  if (isIllegalDistinctId(into)) return illegal({ illegalDistinctId: into, otherDistinctId: other, eventUuid });
  if (isIllegalDistinctId(other)) return illegal({ illegalDistinctId: other, otherDistinctId: into, eventUuid });

  if (intoPerson === undefined) {
    return otherPerson === undefined
      ? { type: 'create-with-both', into, other }
      : { type: 'add-distinct-id', to: otherPerson, distinctId: into };
  }
  if (otherPerson === undefined) return { type: 'add-distinct-id', to: intoPerson, distinctId: other };
  if (isSamePerson(intoPerson, otherPerson)) return { type: 'already-same', person: intoPerson };
  if (otherPerson.isIdentified && merge.eventName !== '$merge_dangerously') {
    const details = { sourcePersonDistinctId: other, targetPersonDistinctId: into, eventUuid };
    return { type: 'refused', into: intoPerson, warning: mergeWarning('cannot_merge_already_identified', details) };
  }
  return { type: 'merge', into: intoPerson, from: otherPerson };
}

function illegal(details: Readonly<Record<string, unknown>>): MergeDecision {
  return { type: 'illegal', warning: mergeWarning('cannot_merge_with_illegal_distinct_id', details) };
}

function mergeWarning(type: MergeWarning['type'], details: Readonly<Record<string, unknown>>): MergeWarning {
  return warning(type, details) as MergeWarning;
}

/** posthog_person.uuid is not unique (sharp edge 17), and two persons that are not stored yet share the row id '0'. */
function isSamePerson(a: Person, b: Person): boolean {
  return a.rowId === b.rowId && a.id === b.id;
}

/** M-2: the id a new person's uuid comes from, and its mappings with their versions, `into` first. */
export function mappingsOfBoth(ids: {
  readonly into: string;
  readonly other: string;
  readonly intoExisted: boolean;
  readonly otherExisted: boolean;
}): { readonly uuidFrom: string; readonly distinctIds: readonly { readonly distinctId: string; readonly version: 0 | 1 }[] } {
  const { into, other, intoExisted, otherExisted } = ids;
  return {
    // an id used personless before has rows under its own uuid already: take that one and they need no override
    uuidFrom: otherExisted && !intoExisted ? other : into,
    distinctIds: [
      { distinctId: into, version: 0 },
      { distinctId: other, version: intoExisted && otherExisted ? 1 : 0 },
    ],
  };
}

/** What two persons become, before and after the update of the event that makes them one. */
export interface Merged {
  readonly survivor: Person;
  readonly folded: Folded;
}

/** M-3 (a): the earlier birth, its own properties over the other's, then the event's update. Z-3: what is too much of both is trimmed. */
export function mergedState(into: Person, from: Person, update: PersonUpdate): Merged {
  const both = { ...from.properties };
  putAll(both, into.properties);
  const isTrimmed = isTooLarge(both);
  const survivor: Person = {
    rowId: into.rowId,
    id: into.id,
    teamId: into.teamId,
    createdAtMs: Math.min(into.createdAtMs, from.createdAtMs),
    properties: isTrimmed ? trimmed(both) : both,
    isIdentified: true,
    version: Math.max(into.version, from.version) + 1,
  };
  const folded = foldPerson(survivor, update);
  return { survivor, folded: { ...folded, limited: folded.limited ?? (isTrimmed ? 'trimmed' : undefined) } };
}
