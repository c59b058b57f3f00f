/** Reading what the database was: who has which ids, what is the same, and what has changed between two commits. */
import { canonical } from './canonical.ts';
import type { Component } from './history.ts';
import type { Person } from './oracle.ts';
import type { State, StoredPerson } from './recording.ts';
import { counterOf } from './workload.ts';

/** Persons that changed, together with those that they gave ids to or got ids from. */
export function componentsOf(before: State, after: State): Component[] {
  const groups: Set<string>[] = [];
  const unite = (...rowIds: string[]): void => {
    const hit = groups.filter((group) => rowIds.some((rowId) => group.has(rowId)));
    const all = new Set([...rowIds, ...hit.flatMap((group) => [...group])]);
    for (const group of hit) groups.splice(groups.indexOf(group), 1);
    groups.push(all);
  };
  for (const rowId of new Set([...before.persons.keys(), ...after.persons.keys()])) {
    if (before.persons.get(rowId) !== after.persons.get(rowId)) unite(rowId);
  }
  for (const [key, { rowId }] of after.mappings) {
    const was = before.mappings.get(key);
    if (was === undefined) unite(rowId);
    else if (was !== after.mappings.get(key)) unite(rowId, was.rowId);
  }
  return groups.map((rowIds) => {
    const keys = [...before.mappings, ...after.mappings].filter(([, { rowId }]) => rowIds.has(rowId)).map(([key]) => key);
    return { rowIds, keys: [...new Set(keys)] };
  });
}

const keysByState = new WeakMap<State, Map<string, string[]>>();
/** The ids of a person, sorted. */
export function keysOf(state: State, rowId: string): readonly string[] {
  let known = keysByState.get(state);
  if (known === undefined) {
    known = new Map();
    for (const [key, mapping] of state.mappings) {
      const keys = known.get(mapping.rowId);
      if (keys === undefined) known.set(mapping.rowId, [key]);
      else keys.push(key);
    }
    for (const keys of known.values()) keys.sort();
    keysByState.set(state, known);
  }
  return known.get(rowId) ?? [];
}

/** How far the distinct_id has counted there; 0 where nobody has it. */
export function counterIn(state: State, key: string): number {
  const stored = state.persons.get(state.mappings.get(key)?.rowId ?? '');
  if (stored === undefined) return 0;
  const value = parsed(stored)[counterOf(key.slice(key.indexOf(':') + 1))];
  return typeof value === 'number' ? value : 0;
}

const parsedTexts = new WeakMap<StoredPerson, Record<string, unknown>>();
export function parsed(stored: StoredPerson): Record<string, unknown> {
  let known = parsedTexts.get(stored);
  if (known === undefined) parsedTexts.set(stored, (known = JSON.parse(stored.properties) as Record<string, unknown>));
  return known;
}

const texts = new WeakMap<object, string>();
/** Canonical JSON text; made once for each object. */
export function textOf(properties: object): string {
  let known = texts.get(properties);
  if (known === undefined) texts.set(properties, (known = canonical(properties)));
  return known;
}

export const textOfValue = (value: unknown): string => (value === undefined ? '' : canonical(value));

export function isSame(person: Person, stored: StoredPerson): boolean {
  return (
    person.uuid === stored.uuid &&
    person.createdAtMs === stored.createdAtMs &&
    person.isIdentified === stored.isIdentified &&
    textOf(person.properties) === stored.properties &&
    person.cohorts.toSorted((a, b) => a - b).join() === stored.cohorts.join() &&
    textOf(person.flags) === stored.flags
  );
}

/** An event may write what is there already: a value that is an object, or one that it unsets again. */
export function isUnchanged(was: Person | undefined, now: Person | undefined): boolean {
  return (
    was !== undefined &&
    now !== undefined &&
    was.keys.length === now.keys.length &&
    was.isIdentified === now.isIdentified &&
    textOf(was.properties) === textOf(now.properties)
  );
}

export function personOf(stored: StoredPerson, keys: readonly string[]): Person {
  const { team, uuid, createdAtMs, isIdentified, cohorts } = stored;
  return {
    team,
    keys,
    uuid,
    createdAtMs,
    isIdentified,
    cohorts,
    properties: parsed(stored),
    flags: JSON.parse(stored.flags) as Record<string, string>,
  };
}

/** What changed, key by key. */
export function describe({ rowIds }: Component, before: State, after: State): string {
  return [...rowIds]
    .map((rowId) => {
      const [was, now] = [flat(before, rowId), flat(after, rowId)];
      const names = [...new Set([...Object.keys(was), ...Object.keys(now)])].filter((name) => was[name] !== now[name]);
      return `${rowId} (${keysOf(after, rowId).join()}): ${names.map((name) => `${name} ${was[name]} -> ${now[name]}`).join(', ')}`;
    })
    .join(' and ');
}

function flat(state: State, rowId: string): Record<string, string> {
  const stored = state.persons.get(rowId);
  if (stored === undefined) return {};
  const { properties: _text, ...fields } = stored;
  const keys = keysOf(state, rowId).map((key) => `${key}@${state.mappings.get(key)?.version}`);
  return Object.fromEntries(Object.entries({ ...fields, keys, ...parsed(stored) }).map(([name, value]) => [name, JSON.stringify(value)]));
}
