/**
 * What must be true in the end, from the records alone: events of each distinct_id in order, ids that were merged in one set. It
 * shares no line with the code under test.
 */
import type { SentRecord } from './workload.ts';

export interface ExpectedPerson {
  readonly team: number;
  readonly distinctIds: ReadonlySet<string>;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly isIdentified: boolean;
}

export function expectedPersons(records: readonly SentRecord[]): readonly ExpectedPerson[] {
  const parents = new Map<string, string>();
  const find = (key: string): string => {
    const parent = parents.get(key) ?? key;
    return parent === key ? key : find(parent);
  };
  const properties = new Map<string, Map<string, unknown>>();
  const merged = new Set<string>();
  for (const { team, distinctId, person } of records) {
    if (person === undefined) continue;
    const key = `${team}:${distinctId}`;
    if (!parents.has(key)) parents.set(key, key);
    let own = properties.get(key);
    if (own === undefined) properties.set(key, (own = new Map<string, unknown>()));
    for (const [name, value] of Object.entries(person.setOnce)) if (!own.has(name)) own.set(name, value);
    for (const [name, value] of Object.entries(person.set)) own.set(name, value);
    for (const name of person.unset) own.delete(name);
    if (person.other === undefined) continue;
    const other = `${team}:${person.other}`;
    if (!parents.has(other)) parents.set(other, other);
    parents.set(find(other), find(key));
    merged.add(key);
  }
  return [...Map.groupBy(parents.keys(), find).values()].map((keys) => ({
    team: Number(keys[0]?.split(':')[0]),
    distinctIds: new Set(keys.map((key) => key.slice(key.indexOf(':') + 1))),
    properties: Object.fromEntries(keys.flatMap((key) => [...(properties.get(key) ?? [])])),
    isIdentified: keys.some((key) => merged.has(key)),
  }));
}
