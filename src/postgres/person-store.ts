import type { Json } from '../domain/event.ts';
import type { TeamId } from '../domain/ids.ts';
import { personId } from '../domain/ids.ts';
import { asJsonb } from '../domain/jsonb.ts';
import type { Person } from '../domain/person.ts';
import { propertiesText } from '../domain/properties-text.ts';
import { boolArray, float8Array, int4Array, int8Array, textArray, uuidArray, withoutNull } from './arrays.ts';
import type { PostgresClient, Transaction } from './client.ts';
import { jsonbText } from './json.ts';
import type {
  AddDistinctIdResult,
  CreateResult,
  FoundPerson,
  MergeCommand,
  MergeResult,
  NewPerson,
  PersonKey,
  PersonStore,
} from './port.ts';
import type { PersonWrite, UpdateResult } from './port.ts';
import { addDistinctIds, type AddedDistinctIdRow } from './statements/add-distinct-ids.ts';
import { type CreatedPersonRow, createPersons, removePersons } from './statements/create-persons.ts';
import { eachLoadedPerson, loadPersons, type LoadedPerson, type LoadedPersonsRow } from './statements/load-persons.ts';
import { type MarkedRow, markMerged, markPersonless, type PersonlessRow } from './statements/mark-personless.ts';
import { type LockedPersonRow, lockPersons, mergePersons, type MovedDistinctIdRow } from './statements/merge-persons.ts';
import { movedDistinctIds, type MovedMappingRow } from './statements/moved-distinct-ids.ts';
import { type UpdatedPersonRow, updatePersons } from './statements/update-persons.ts';

/**
 * PersonStore on PostHog's tables.
 *
 * I1  A distinct id has at most one person, and a person that was reported 'created' has all of its distinct ids; no
 *     person is left without any.
 * I2  A person's version grows with every write, and a write folded from another version changes nothing.
 * I3  Every call is one statement or one transaction: after a lost answer it was done wholly or not at all, and asking
 *     again does it no second time.
 * I4  Whoever locks several rows locks them in one order: persons by id, then ids used without a person, then mappings, both by
 *     (team, text). Each statement that needs it locks before it writes, because an UPDATE or a join locks in the order of its plan
 *     (docs/delivery.md section 10, test/contract/postgres-lock-order.test.ts).
 */
export function createPersonStore(client: PostgresClient): PersonStore {
  return {
    async load(keys) {
      const answers = new Array<FoundPerson | undefined>(keys.length).fill(undefined);
      if (keys.length === 0) return answers;
      for (const { persons } of await client.run<LoadedPersonsRow>(loadPersons, keyColumns(keys))) {
        eachLoadedPerson(persons, (found) => {
          const key = at(keys, found.ord - 1);
          answers[found.ord - 1] = { person: personOf(found, key.teamId), mappingVersion: found.mappingVersion };
        });
      }
      return answers;
    },

    async create(persons) {
      const results = persons.map((): CreateResult => ({ type: 'exists' }));
      const chosen = withoutClashes(persons);
      if (chosen.length === 0) return results;
      const rows = await client.transaction('create-persons', (transaction) =>
        insertPersons(
          transaction,
          chosen.map((index) => at(persons, index)),
        ),
      );
      for (const row of rows) {
        const index = at(chosen, row.ord - 1);
        results[index] = { type: 'created', person: newPersonOf(at(persons, index), row.rowId) };
      }
      return results;
    },

    async update(writes) {
      const results = writes.map((): UpdateResult => ({ type: 'conflict' }));
      // A person twice in one batch: the second write has been folded from a version that the first one ends.
      const indexById = new Map<string, number>();
      writes.forEach((write, index) => {
        if (!indexById.has(write.person.rowId)) indexById.set(write.person.rowId, index);
      });
      if (indexById.size === 0) return results;
      const chosen = [...indexById.values()].map((index) => at(writes, index)).sort((a, b) => compareIds(a.person.rowId, b.person.rowId));
      const rows = await client.run<UpdatedPersonRow>(updatePersons, updateColumns(chosen));
      for (const { rowId } of rows) {
        const index = indexById.get(rowId);
        if (index !== undefined) results[index] = { type: 'updated', version: at(writes, index).version + 1 };
      }
      return results;
    },

    async addDistinctIds(adds) {
      // A distinct id twice in one batch: the second has a person as soon as the first is written.
      const results = adds.map((): AddDistinctIdResult => ({ type: 'exists' }));
      const indexByKey = new Map<string, number>();
      adds.forEach(({ person, distinctId }, index) => {
        const key = textOf({ teamId: person.teamId, distinctId });
        if (!indexByKey.has(key)) indexByKey.set(key, index);
      });
      const chosen = [...indexByKey.values()];
      if (chosen.length === 0) return results;
      const rows = await client.run<AddedDistinctIdRow>(addDistinctIds, addColumns(chosen.map((index) => at(adds, index))));
      for (const { ord, hasPerson, version } of rows) {
        const index = at(chosen, ord - 1);
        if (!hasPerson) results[index] = { type: 'conflict' };
        else if (version !== null) results[index] = { type: 'added', version };
      }
      return results;
    },

    merge: (command) => client.transaction('merge-persons', (transaction) => merge(transaction, command)),

    async movedDistinctIds(persons) {
      const moved = persons.map((): { distinctId: string; version: number }[] => []);
      if (persons.length === 0) return moved;
      const columns = [int8Array(persons.map(({ rowId }) => rowId)), int4Array(persons.map(({ teamId }) => teamId))];
      const rows = await client.run<MovedMappingRow>(movedDistinctIds, columns);
      for (const { ord, distinctId, version } of rows) at(moved, ord - 1).push({ distinctId, version });
      return moved;
    },

    async markPersonless(keys) {
      const unique = uniqueKeys(keys);
      let unknown = [...unique.values()];
      const merged = new Map<string, boolean>();
      // The second turn is for keys that somebody else noted while the first was under way.
      while (unknown.length > 0) {
        const asked: readonly PersonKey[] = unknown;
        const rows = await client.run<PersonlessRow>(markPersonless, keyColumns(asked));
        for (const { ord, isMerged } of rows) if (isMerged !== null) merged.set(textOf(at(asked, ord - 1)), isMerged);
        unknown = asked.filter((key) => !merged.has(textOf(key)));
      }
      return keys.map((key) => ({ isMerged: merged.get(textOf(key)) === true }));
    },

    async markMerged(keys) {
      const unique = [...uniqueKeys(keys).values()];
      const rows = unique.length === 0 ? [] : await client.run<MarkedRow>(markMerged, keyColumns(unique));
      const isNew = new Set(rows.filter((row) => row.isNew).map((row) => textOf(row)));
      return keys.map((key) => ({ existed: !isNew.has(textOf(key)) }));
    },
  };
}

/** Answers the persons made, each with all of its distinct ids. */
async function insertPersons(transaction: Transaction, persons: readonly NewPerson[]): Promise<readonly CreatedPersonRow[]> {
  const rows = await transaction.run<CreatedPersonRow>(createPersons, createColumns(persons));
  const isWhole = (row: CreatedPersonRow): boolean => row.distinctIdsCount === at(persons, row.ord - 1).distinctIds.length;
  const broken = rows.filter((row) => !isWhole(row));
  if (broken.length > 0) await transaction.run(removePersons, [int8Array(broken.map((row) => row.rowId))]);
  return rows.filter(isWhole);
}

async function merge(transaction: Transaction, { teamId, into, from, properties, createdAtMs }: MergeCommand): Promise<MergeResult> {
  const locked = await transaction.run<LockedPersonRow>(lockPersons, [teamId, int8Array([into.rowId, from.rowId])]);
  const isAsKnown = (person: Person): boolean => locked.some((row) => row.rowId === person.rowId && row.version === person.version);
  if (locked.length !== 2 || !isAsKnown(into) || !isAsKnown(from)) return { type: 'conflict' };
  const version = Math.max(into.version, from.version) + 1;
  const parameters = [teamId, into.rowId, from.rowId, createdAtMs, jsonbText(properties), version];
  const moved = await transaction.run<MovedDistinctIdRow>(mergePersons, parameters);
  if (moved.length === 0) return { type: 'conflict' };
  return { type: 'merged', person: { ...into, properties, createdAtMs, isIdentified: true, version }, moved };
}

/**
 * Positions of the persons that do not share a distinct id or a uuid with an earlier one. The others are answered
 * 'exists', which is true as soon as the earlier one is written, and otherwise costs a second look.
 */
function withoutClashes(persons: readonly NewPerson[]): number[] {
  const seen = new Set<string>();
  const chosen: number[] = [];
  persons.forEach(({ teamId, id, distinctIds }, index) => {
    const names = [`${teamId}/${id}`, ...distinctIds.map(({ distinctId }) => textOf({ teamId, distinctId }))];
    if (names.some((name) => seen.has(name))) return;
    for (const name of names) seen.add(name);
    chosen.push(index);
  });
  return chosen;
}

function keyColumns(keys: readonly PersonKey[]): [Buffer, Buffer] {
  return [int4Array(keys.map((key) => key.teamId)), textArray(keys.map((key) => key.distinctId))];
}

function createColumns(persons: readonly NewPerson[]): Buffer[] {
  const ids = persons.flatMap(({ distinctIds }, index) => distinctIds.map((id) => ({ ...id, ord: index + 1 })));
  return [
    int4Array(persons.map((person) => person.teamId)),
    uuidArray(persons.map((person) => person.id)),
    float8Array(persons.map((person) => person.createdAtMs)),
    textArray(persons.map((person) => asJsonb(propertiesText(person.properties)))),
    textArray(persons.map((person) => jsonbText(person.propertiesLastUpdatedAt))),
    textArray(persons.map((person) => jsonbText(person.propertiesLastOperation))),
    boolArray(persons.map((person) => person.isIdentified)),
    int4Array(ids.map((id) => id.ord)),
    textArray(ids.map((id) => id.distinctId)),
    int8Array(ids.map((id) => id.version)),
  ];
}

function updateColumns(writes: readonly PersonWrite[]): Buffer[] {
  return [
    int8Array(writes.map((write) => write.person.rowId)),
    int4Array(writes.map((write) => write.person.teamId)),
    int8Array(writes.map((write) => write.version)),
    textArray(writes.map((write) => asJsonb(propertiesText(write.person.properties)))),
    boolArray(writes.map((write) => write.person.isIdentified)),
  ];
}

function addColumns(adds: readonly { readonly person: Person; readonly distinctId: string }[]): Buffer[] {
  return [
    int8Array(adds.map((add) => add.person.rowId)),
    int4Array(adds.map((add) => add.person.teamId)),
    textArray(adds.map((add) => add.distinctId)),
  ];
}

function personOf({ rowId, id, createdAtMs, properties, isIdentified, version }: LoadedPerson, teamId: TeamId): Person {
  return { rowId, id: personId(id), teamId, createdAtMs, properties: JSON.parse(properties) as Json, isIdentified, version };
}

function newPersonOf({ id, teamId, createdAtMs, properties, isIdentified }: NewPerson, rowId: string): Person {
  return { rowId, id, teamId, createdAtMs, properties, isIdentified, version: 0 };
}

function uniqueKeys(keys: readonly PersonKey[]): ReadonlyMap<string, PersonKey> {
  return new Map(keys.map((key) => [textOf(key), key]));
}

/** A key as PostgreSQL will see it: two texts that differ only in a null byte or in a lone surrogate are one there. */
function textOf(key: { readonly teamId: number; readonly distinctId: string }): string {
  return `${key.teamId}:${withoutNull(key.distinctId).toWellFormed()}`;
}

/** By number, as text: shorter is smaller. */
function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function at<T>(values: readonly T[], index: number): T {
  const value = values[index];
  if (value === undefined) throw new RangeError(`no element ${index} of ${values.length}`);
  return value;
}
