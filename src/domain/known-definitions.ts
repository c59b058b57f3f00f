import {
  fits,
  hourOf,
  isEventProperty,
  isNamed,
  MAX_UPDATES_PER_EVENT,
  PARENT,
  propertyTypeOf,
  type Definitions,
  type NamedEvent,
  type Parent,
} from './definitions.ts';
import type { Json } from './event.ts';
import { asJsonObject } from './json.ts';

/** Names, each with whether its type is known: one that is not may still learn it from a later value (D-3). */
type Names = Map<string, boolean>;

interface KnownEvent {
  hourMs: number;
  readonly properties: Names;
}
interface KnownTeam {
  readonly events: Map<string, KnownEvent>;
  /** By parent: events' properties, persons', and groups' as `index:name`. */
  readonly properties: Readonly<Record<Parent, Names>>;
}
type Generation = Map<number, KnownTeam>;

/** D-7 */
const LIFE_MS = 24 * 3_600_000;

/**
 * What was written lately, so that an event whose names are all known costs a look-up for each and builds nothing: nearly every event
 * is such a one. Shared by all that make rows in a tree.
 *
 * Two generations instead of a list of last use: what is asked for moves to the young one; when that is full it becomes the old one,
 * and the old one is forgotten. A hit in the young one writes nothing.
 *
 * K1 It holds about `capacityCount` names, and at most that much again for a moment (EVENT_PROPERTY_LRU_SIZE).
 * K2 Everything is forgotten every 24 hours (D-7), so that a definition that was deleted comes again.
 * K3 A forgotten name costs one write that changes nothing; a name is never known that was not handed out to be written.
 */
export class KnownDefinitions {
  readonly #capacityCount: number;
  #young: Generation = new Map();
  #old: Generation = new Map();
  #youngCount = 0;
  #sinceMs = -Infinity;

  constructor(capacityCount: number) {
    this.#capacityCount = capacityCount;
  }

  /** Adds to `into` what of the event's names is not known, which it then is. */
  collect(event: NamedEvent, nowMs: number, into: Definitions): void {
    if (!isNamed(event.event)) return;
    this.#age(nowMs);
    const team = this.#team(event.teamId);
    const known = this.#event(team, event.teamId, event.event);
    const hourMs = hourOf(nowMs);
    const isGroup = event.event === '$groupidentify';
    if (known.hourMs === hourMs && !isGroup && isKnown(known.properties, event.properties) && isPersonKnown(team, event.properties)) return;
    if (updateCountOf(event) > MAX_UPDATES_PER_EVENT) return;

    if (known.hourMs !== hourMs) {
      known.hourMs = hourMs;
      into.events.push({ teamId: event.teamId, name: event.event, hourMs });
    }
    if (isGroup) return this.#collectGroup(team, event, into);
    this.#collectProperties(team, known, event, into);
    for (const name of PERSON_SETS) {
      const set = asJsonObject(event.properties[name]);
      for (const key in set) this.#collectOne(team, { event, parent: PARENT.person, key, value: set[key] }, into);
    }
  }

  /** Names held in both generations. */
  get size(): number {
    let count = 0;
    for (const generation of [this.#young, this.#old]) {
      for (const { events, properties } of generation.values()) {
        for (const { properties: names } of events.values()) count += 1 + names.size;
        for (const names of Object.values(properties)) count += names.size;
      }
    }
    return count;
  }

  /** Everything is to be handed out again: something that was handed out was not written. */
  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngCount = 0;
  }

  #collectProperties(team: KnownTeam, known: KnownEvent, event: NamedEvent, into: Definitions): void {
    for (const key in event.properties) {
      const value = event.properties[key];
      if (value === undefined || !fits(key)) continue;
      if (!isEventProperty(key)) {
        this.#note(known.properties, key, true);
        continue;
      }
      if (!known.properties.has(key)) into.eventProperties.push({ teamId: event.teamId, event: event.event, property: key });
      this.#note(known.properties, key, known.properties.get(key) === true || propertyTypeOf(key, value) !== undefined);
      this.#collectOne(team, { event, parent: PARENT.event, key, value }, into);
    }
  }

  /** D-4: of a `$groupidentify` only what it sets counts. */
  #collectGroup(team: KnownTeam, event: NamedEvent, into: Definitions): void {
    const groupType = event.properties['$group_type'];
    const set = asJsonObject(event.properties['$group_set']);
    const index = typeof groupType === 'string' ? event.groupTypeIndex(groupType) : undefined;
    if (index === undefined) return;
    for (const key in set) this.#collectOne(team, { event, parent: PARENT.group, key, value: set[key], index }, into);
  }

  #collectOne(
    team: KnownTeam,
    one: { readonly event: NamedEvent; readonly parent: Parent; readonly key: string; readonly value: unknown; readonly index?: number },
    into: Definitions,
  ): void {
    const { event, parent, key, value, index } = one;
    if (value === undefined || !fits(key)) return;
    const names = team.properties[parent];
    const name = index === undefined ? key : `${index}:${key}`;
    const known = names.get(name);
    if (known === true) return;
    const propertyType = propertyTypeOf(key, value);
    if (known === false && propertyType === undefined) return;
    this.#note(names, name, propertyType !== undefined);
    into.properties.push({ teamId: event.teamId, name: key, parent, groupTypeIndex: index, propertyType });
  }

  #note(names: Names, name: string, isTyped: boolean): void {
    if (!names.has(name)) this.#youngCount++;
    names.set(name, isTyped);
  }

  #team(teamId: number): KnownTeam {
    let team = this.#young.get(teamId);
    if (team === undefined) {
      const names = (parent: Parent): Names => this.#taken(this.#old.get(teamId)?.properties[parent]) ?? new Map<string, boolean>();
      team = { events: new Map(), properties: { 1: names(1), 2: names(2), 3: names(3) } };
      this.#young.set(teamId, team);
    }
    return team;
  }

  #event(team: KnownTeam, teamId: number, name: string): KnownEvent {
    let event = team.events.get(name);
    if (event === undefined) {
      const old = this.#old.get(teamId)?.events.get(name);
      event = old !== undefined && this.#taken(old.properties) !== undefined ? old : { hourMs: 0, properties: new Map() };
      this.#youngCount++;
      team.events.set(name, event);
    }
    return event;
  }

  /** K1: names move to the young generation together; too many of one thing are let go of instead, or they would never be. */
  #taken(names: Names | undefined): Names | undefined {
    if (names === undefined || names.size > this.#capacityCount / 4) return undefined;
    this.#youngCount += names.size;
    return names;
  }

  #age(nowMs: number): void {
    if (nowMs >= this.#sinceMs + LIFE_MS) {
      this.clear(); // K2
      this.#sinceMs = nowMs;
    } else if (this.#youngCount >= this.#capacityCount / 2) {
      this.#old = this.#young; // K1
      this.#young = new Map();
      this.#youngCount = 0;
    }
  }
}

const PERSON_SETS = ['$set', '$set_once'] as const;

function isKnown(names: Names, properties: Readonly<Json>): boolean {
  for (const key in properties) {
    const isTyped = names.get(key);
    if (isTyped === true) continue;
    const value = properties[key];
    if (value === undefined || !fits(key)) continue;
    if (isTyped === undefined || propertyTypeOf(key, value) !== undefined) return false;
  }
  return true;
}

function isPersonKnown(team: KnownTeam, properties: Readonly<Json>): boolean {
  return PERSON_SETS.every((name) => {
    const set = asJsonObject(properties[name]);
    return set === undefined || isKnown(team.properties[PARENT.person], set);
  });
}

/** D-1, as PostHog counts: known ones too. */
function updateCountOf({ event, properties }: NamedEvent): number {
  const keysOf = (value: unknown): number => Object.keys(asJsonObject(value) ?? {}).length;
  if (event === '$groupidentify') return 1 + keysOf(properties['$group_set']);
  return 1 + 2 * keysOf(properties) + keysOf(properties['$set']) + keysOf(properties['$set_once']);
}
