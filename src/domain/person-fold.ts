import type { Json, PluginEvent } from './event.ts';
import type { TeamId } from './ids.ts';
import { asJsonObject, own, put, putAll } from './json.ts';
import { isVolatile, propertyKeyLabel } from './person-properties.ts';
import { isTooLarge, trimmed } from './person-size.ts';
import type { Person } from './person.ts';
import { personUuid } from './uuid.ts';

/**
 * What one event wants of its person, as plain data: it is kept until the write is durable, and folded again on a newer
 * person when the version it was folded from has been overtaken. The objects are the event's own; nobody changes them
 * once the update is taken.
 */
export interface PersonUpdate {
  readonly eventName: string;
  readonly set: Readonly<Json> | undefined;
  readonly setOnce: Readonly<Json> | undefined;
  readonly unset: readonly string[] | undefined;
  /** True after a merge event that ended in this person (P-33). */
  readonly isIdentified: boolean;
}

/** Takes the update off a normalised event (properties only: a top-level `$unset` is never read, N-3). */
export function personUpdateOf(event: PluginEvent): PersonUpdate {
  const { properties } = event;
  return {
    eventName: event.event,
    set: asJsonObject(properties['$set']),
    setOnce: asJsonObject(properties['$set_once']),
    unset: unsetKeysOf(properties['$unset']),
    isIdentified: false,
  };
}

/** P-32: the texts of a list, or the keys of an object. */
function unsetKeysOf(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (Array.isArray(value)) return value.filter((key) => typeof key === 'string');
  return typeof value === 'object' ? Object.keys(value) : undefined;
}

export interface Folded {
  readonly person: Person;
  /** False: nothing is to be written (P-35), and `person` is the very object that was folded. */
  readonly changed: boolean;
  readonly limited: Limited;
}

/**
 * Z-3: what became of an update that makes its person too large to be stored. 'refused': the properties stay as they are. 'trimmed': they
 * are there, and others had to go, because the person was too large before, or has to be stored whatever it holds.
 */
export type Limited = 'refused' | 'trimmed' | undefined;

/** P-38: these events never change properties of a person that exists. */
const LEAVES_PROPERTIES: ReadonlySet<string> = new Set(['$exception', '$$heatmap']);
/** P-34: on these events any changed value is worth a write. */
const WRITES_VOLATILE: ReadonlySet<string> = new Set(['$identify', '$create_alias', '$merge_dangerously', '$set']);

/**
 * P-30..P-35, P-38: the person after one update. Pure: the person given is never changed and shares what did not change.
 *
 * Two steps, because most events change nothing: first look whether anything is worth a write, then, if so, apply all of
 * it. Volatile values (browser, url, geoip) alone are not worth one, and are then forgotten: the state of a person is what
 * PostgreSQL would return, so that a replay from there ends in the same person. `version` stays that of the stored
 * row; whoever writes counts it up.
 */
export function foldPerson(person: Person, update: PersonUpdate): Folded {
  const identifies = update.isIdentified && !person.isIdentified;
  const leavesProperties = LEAVES_PROPERTIES.has(update.eventName);
  if (!identifies && (leavesProperties || !isWorthWriting(person.properties, update)))
    return { person, changed: false, limited: undefined };
  let properties: Readonly<Json> = leavesProperties ? person.properties : applied(person.properties, update);
  let limited: Limited;
  if (!leavesProperties && isTooLarge(properties)) {
    limited = isTooLarge(person.properties) ? 'trimmed' : 'refused';
    properties = limited === 'trimmed' ? trimmed(properties) : person.properties;
    if (limited === 'refused' && !identifies) return { person, changed: false, limited };
  }
  return {
    person: {
      rowId: person.rowId,
      id: person.id,
      teamId: person.teamId,
      createdAtMs: person.createdAtMs,
      properties,
      isIdentified: person.isIdentified || identifies,
      version: person.version,
    },
    changed: true,
    limited,
  };
}

/** Folds several updates in order. */
export function foldPersonUpdates(person: Person, updates: readonly PersonUpdate[]): Omit<Folded, 'limited'> {
  let current = person;
  for (const update of updates) current = foldPerson(current, update).person;
  return { person: current, changed: current !== person };
}

function isWorthWriting(properties: Readonly<Json>, update: PersonUpdate): boolean {
  const { set, setOnce, unset } = update;
  if (set !== undefined) {
    const writesVolatile = WRITES_VOLATILE.has(update.eventName);
    for (const key in set) {
      const value = own(set, key);
      const current = own(properties, key);
      // objects are never equal to one another, so they always differ (sharp edge 11)
      if (value !== current && (current === undefined || writesVolatile || !isVolatile(key))) return true;
    }
  }
  if (setOnce !== undefined) {
    for (const key in setOnce) if (own(properties, key) === undefined) return true;
  }
  return unset !== undefined && unset.some((key) => Object.hasOwn(properties, key));
}

/** $set_once, then $set, then $unset (which therefore wins), on a copy. */
function applied(properties: Readonly<Json>, update: PersonUpdate): Json {
  const next: Json = { ...properties };
  const { set, setOnce, unset } = update;
  if (setOnce !== undefined) {
    for (const key in setOnce) if (own(next, key) === undefined) put(next, key, setOnce[key]);
  }
  if (set !== undefined) putAll(next, set);
  if (unset !== undefined) for (const key of unset) delete next[key];
  return next;
}

/**
 * P-39: the labels of the keys whose values one update has changed, each once; `before` and `after` are the person around its fold.
 * None when nothing was worth a write.
 */
export function changedKeyLabels(before: Person, after: Person, { set, setOnce, unset }: PersonUpdate): ReadonlySet<string> {
  const labels = new Set<string>();
  if (before.properties === after.properties) return labels;
  const look = (key: string): void => {
    if (own(before.properties, key) !== own(after.properties, key)) labels.add(propertyKeyLabel(key));
  };
  for (const key in setOnce) look(key);
  for (const key in set) look(key);
  unset?.forEach(look);
  return labels;
}

/** 3.8: properties for the event's own row: the person's, and this event's `$set` over them even where it was not worth a write. */
export function personPropertiesOf(person: Person, set: Readonly<Json> | undefined): Readonly<Json> {
  if (set === undefined || holdsAll(person.properties, set)) return person.properties;
  const merged: Json = { ...person.properties };
  putAll(merged, set);
  return merged;
}

/** After a fold that changed the person its values ARE those of `$set`, and no copy is needed. */
function holdsAll(properties: Readonly<Json>, set: Readonly<Json>): boolean {
  for (const key in set) if (own(properties, key) !== own(set, key)) return false;
  return true;
}

/** A person to be created, with what its row says about its properties (P-20). */
export interface Birth {
  readonly person: Person;
  readonly propertiesLastUpdatedAt: Readonly<Json>;
  readonly propertiesLastOperation: Readonly<Json>;
  /** Z-3: 'trimmed', or undefined: a person that is needed is made. */
  readonly limited: Limited;
}

/**
 * P-20: the person that an event creates: `$set` over `$set_once`, and the uuid of its creator. `distinctId` is the one
 * its own uuid comes from (P-1). It has `rowId` '0' until the database gives it one. `$unset` means nothing here (P-10).
 */
export function newPerson(birth: {
  readonly teamId: TeamId;
  readonly distinctId: string;
  readonly createdAtMs: number;
  readonly eventUuid: string;
  readonly update: PersonUpdate | undefined;
  readonly isIdentified: boolean;
}): Birth {
  let properties: Json = {};
  const propertiesLastUpdatedAt: Json = {};
  const propertiesLastOperation: Json = {};
  const at = new Date(birth.createdAtMs).toISOString();
  const take = (from: Readonly<Json> | undefined, operation: 'set_once' | 'set'): void => {
    if (from === undefined) return;
    putAll(properties, from);
    for (const key in from) {
      put(propertiesLastUpdatedAt, key, at);
      put(propertiesLastOperation, key, operation);
    }
  };
  take(birth.update?.setOnce, 'set_once');
  take(birth.update?.set, 'set');
  properties['$creator_event_uuid'] = birth.eventUuid;
  const limited = isTooLarge(properties) ? 'trimmed' : undefined;
  if (limited !== undefined) {
    properties = trimmed(properties);
    for (const about of [propertiesLastUpdatedAt, propertiesLastOperation])
      for (const key of Object.keys(about)) if (!Object.hasOwn(properties, key)) delete about[key];
  }
  return {
    person: {
      rowId: '0',
      id: personUuid(birth.teamId, birth.distinctId),
      teamId: birth.teamId,
      createdAtMs: birth.createdAtMs,
      properties,
      isIdentified: birth.isIdentified,
      version: 0,
    },
    propertiesLastUpdatedAt,
    propertiesLastOperation,
    limited,
  };
}
