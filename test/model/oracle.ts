/**
 * What the rules of spec/ingestion.md section 3 make of one event after another: the model that everything else in this folder is
 * compared with. Sequential, without batches, versions of persons, processes or faults; it shares no line with the code under test.
 */
import { createHash } from 'node:crypto';

export type Json = Readonly<Record<string, unknown>>;

/** An event as its client sent it. */
export interface Sent {
  readonly team: number;
  readonly distinctId: string;
  readonly event: string;
  readonly uuid: string;
  readonly timestampMs: number;
  readonly properties: Json;
}
export interface Person {
  readonly team: number;
  /** `team:distinct id`, all that lead here. */
  readonly keys: readonly string[];
  readonly uuid: string;
  readonly createdAtMs: number;
  readonly properties: Json;
  readonly isIdentified: boolean;
  /** Cohorts it is in, as often as somebody put it there; hash keys of feature flags. */
  readonly cohorts: readonly number[];
  readonly flags: Readonly<Record<string, string>>;
}
/** Maps are read and written through these two only, so that a caller may look at the past or take back what was tried. */
export interface Table<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): unknown;
}
export interface World {
  readonly owners: Table<Person>;
  /** Version of each mapping. */
  readonly versions: Table<number>;
  /** posthog_personlessdistinctid: is_merged. */
  readonly personless: Table<boolean>;
}
/** What the event's own row, and its team, get to see. */
export interface Shown {
  readonly personId: string;
  readonly createdAtMs: number;
  readonly properties: Json;
  readonly mode: 'full' | 'propertyless' | 'force_upgrade';
  readonly warning: { readonly type: string; readonly details: Json } | undefined;
  /** False: the event has left everything as it was. */
  readonly changed: boolean;
  /** The event's own update was worth a write on a person that there was (3.4), even if it wrote what was there already. */
  readonly updated: boolean;
}

/** Of list A in rule 2.2 those that the workload sends. */
const LIST_A = ['$browser', '$current_url', 'utm_source'];
const isVolatile = (key: string): boolean => LIST_A.includes(key) || key.startsWith('$geoip_');
const MERGES = ['$identify', '$create_alias', '$merge_dangerously'];
const NAMES_OF_NOBODY = 'anonymous guest distinctid distinct_id id not_authenticated email undefined true false'.split(' ');
const EXACT_NAMES_OF_NOBODY = ['[object Object]', 'NaN', 'None', 'none', 'null', '0', 'undefined'];

/** 3.6 */
function isIllegal(id: string): boolean {
  const bare = id.replace(/^(["'])(.*)\1$/s, '$2');
  return id.trim() === '' || NAMES_OF_NOBODY.includes(bare.toLowerCase()) || EXACT_NAMES_OF_NOBODY.includes(bare);
}

/** P-1 */
export function uuidOf(team: number, distinctId: string): string {
  const namespace = Buffer.from('932979b465c3442484670b66ec27bc22', 'hex');
  const hash = createHash('sha1').update(namespace).update(`${team}:${distinctId}`).digest();
  hash[6] = ((hash[6] ?? 0) & 15) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 63) | 0x80;
  return hash.toString('hex', 0, 16).replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}

/** PP-5: what the event asks for. */
function asked({ event, properties }: Sent): { readonly set: Json; readonly once: Json; readonly unset: readonly string[] } {
  if (event === '$groupidentify') return { set: {}, once: {}, unset: [] };
  const present = LIST_A.filter((key) => key in properties);
  const automatic = Object.fromEntries(present.map((key) => [key, properties[key]]));
  const initial = Object.fromEntries(present.map((key) => [`$initial_${key.replace('$', '')}`, properties[key]]));
  const { $set = {}, $set_once = {}, $unset = [] } = properties as { $set?: Json; $set_once?: Json; $unset?: string[] | Json };
  return {
    set: { ...automatic, ...$set },
    once: { ...initial, ...$set_once },
    unset: Array.isArray($unset) ? $unset : Object.keys($unset),
  };
}

/** The other id of a merge event (3.5), whoever it is. */
export function otherOf({ event, properties }: Sent): string | undefined {
  if (event === '$identify') return '$anon_distinct_id' in properties ? String(properties['$anon_distinct_id']) : undefined;
  return MERGES.includes(event) && Boolean(properties['alias']) ? String(properties['alias']) : undefined;
}

function put(world: World, person: Person): Person {
  for (const key of person.keys) world.owners.set(key, person);
  return person;
}

/** 3.3 */
function create(world: World, sent: Sent, keys: readonly string[], uuidFrom: string, isIdentified: boolean): Person {
  const { set, once } = asked(sent);
  const properties = { ...once, ...set, $creator_event_uuid: sent.uuid };
  const { team, timestampMs: createdAtMs } = sent;
  for (const key of keys) world.versions.set(key, 0);
  return put(world, { team, keys, uuid: uuidOf(team, uuidFrom), createdAtMs, properties, isIdentified, cohorts: [], flags: {} });
}

/** 3.4 */
function updatedBy(person: Person, sent: Sent, identify: boolean): { readonly person: Person; readonly changed: boolean } {
  const { set, once, unset } = asked(sent);
  const properties: Record<string, unknown> = { ...person.properties };
  const identifies = identify && !person.isIdentified;
  let changed = identifies;
  if (sent.event !== '$exception') {
    for (const key in once) if (properties[key] === undefined) [properties[key], changed] = [once[key], true];
    for (const key in set) {
      const value = set[key];
      if (properties[key] === value && (typeof value !== 'object' || value === null)) continue;
      if (properties[key] === undefined || !isVolatile(key) || [...MERGES, '$set'].includes(sent.event)) changed = true;
      properties[key] = value;
    }
    for (const key of unset) if (key in properties) [changed] = [true, delete properties[key]];
  }
  return changed ? { person: { ...person, properties, isIdentified: person.isIdentified || identify }, changed } : { person, changed };
}

/** M-1 */
function mark(world: World, key: string): boolean {
  const existed = world.personless.get(key) !== undefined;
  world.personless.set(key, true);
  return existed;
}

/** The table of 3.5; `person` when the merge produced one, `identify` when the plain update is to identify it. */
function merged(
  world: World,
  sent: Sent,
  other: string,
): { identify: boolean; changed?: boolean; warning?: NonNullable<Shown['warning']> } {
  const { team, distinctId: into, uuid: eventUuid } = sent;
  const [intoKey, otherKey] = [`${team}:${into}`, `${team}:${other}`];
  const illegal = (id: string, otherDistinctId: string) => ({
    identify: false,
    warning: { type: 'cannot_merge_with_illegal_distinct_id', details: { illegalDistinctId: id, otherDistinctId, eventUuid } },
  });
  if (other === into) return { identify: false };
  if (isIllegal(into)) return illegal(into, other);
  if (isIllegal(other)) return illegal(other, into);
  const [target, source] = [world.owners.get(intoKey), world.owners.get(otherKey)];
  if (target === undefined && source === undefined) {
    const [intoExisted, otherExisted] = [mark(world, intoKey), mark(world, otherKey)];
    create(world, sent, [intoKey, otherKey], otherExisted && !intoExisted ? other : into, true);
    world.versions.set(otherKey, intoExisted && otherExisted ? 1 : 0);
    return { identify: true, changed: true };
  }
  if (target === source) return { identify: true };
  if (target === undefined || source === undefined) {
    const [known, missing] = target === undefined ? [source, intoKey] : [target, otherKey];
    world.versions.set(missing, mark(world, missing) ? 1 : 0);
    if (known !== undefined) put(world, { ...known, keys: [...known.keys, missing] });
    return { identify: true, changed: true };
  }
  if (source.isIdentified && sent.event !== '$merge_dangerously') {
    const details = { sourcePersonDistinctId: other, targetPersonDistinctId: into, eventUuid };
    return { identify: true, warning: { type: 'cannot_merge_already_identified', details } };
  }
  for (const key of source.keys) world.versions.set(key, (world.versions.get(key) ?? 0) + 1);
  put(world, {
    ...target,
    keys: [...target.keys, ...source.keys],
    createdAtMs: Math.min(target.createdAtMs, source.createdAtMs),
    properties: { ...source.properties, ...target.properties },
    cohorts: [...target.cohorts, ...source.cohorts],
    flags: { ...source.flags, ...target.flags },
  });
  return { identify: true, changed: true };
}

/** 3.7 */
function withoutPerson(world: World, { team, distinctId, timestampMs }: Sent): Shown {
  const key = `${team}:${distinctId}`;
  const person = world.owners.get(key);
  const common = { properties: {}, warning: undefined, changed: false, updated: false } as const;
  if (person === undefined) {
    if (world.personless.get(key) === undefined) world.personless.set(key, false);
    return { ...common, personId: uuidOf(team, distinctId), createdAtMs: 5_000, mode: 'propertyless' };
  }
  const mode = timestampMs > person.createdAtMs + 60_000 ? 'force_upgrade' : 'propertyless';
  return { ...common, personId: person.uuid, createdAtMs: person.createdAtMs, mode };
}

/** Does to the world what the rules say of this event; `linkOnly`: of a merge event only what it does before its own update. */
export function apply(world: World, sent: Sent, linkOnly = false): Shown {
  if (sent.properties['$process_person_profile'] === false) return withoutPerson(world, sent);
  const key = `${sent.team}:${sent.distinctId}`;
  const other = otherOf(sent);
  const { identify, warning, changed: linked = false } = other === undefined ? { identify: false } : merged(world, sent, other);
  const found = world.owners.get(key);
  const { person, changed } =
    found === undefined
      ? { person: create(world, sent, [key], sent.distinctId, false), changed: true }
      : linkOnly
        ? { person: found, changed: false }
        : updatedBy(found, sent, identify);
  if (person !== found) put(world, person);
  const properties = { ...person.properties, ...asked(sent).set };
  const updated = found !== undefined && changed;
  return { personId: person.uuid, createdAtMs: person.createdAtMs, properties, mode: 'full', warning, changed: changed || linked, updated };
}
