/**
 * Persons of a whole batch, loaded by one statement before its events are dispatched: a distinct_id actor then folds at once
 * instead of asking and waiting while its events grow old in memory.
 *
 *     router ──prefetch(keys)──▶ waiting ──the load before has ended──▶ loading ──▶ known ──take──▶ (forgotten)
 *                                                                         │
 *                              a write of ours met what was being read    └──▶ (not kept: the actor loads it by itself)
 *
 * It is no cache over time. What is known of a key was read after the record that asked for it had been read from Kafka, so
 * every write that was durable before the event was sent is in it, exactly as if the actor had loaded it then.
 *
 * Invariants
 * F1 `take` never answers what is older than the last ended prefetch of the key, nor older than any write that this process has
 *    had answered: all writes go through `store`, which notes them here before the writer hears of them.
 * F2 What a write may have changed while it was being read is not kept, since the order of the two is unknown.
 * F3 A write with an unknown end, or one that clashed, makes everything unknown that it may have touched.
 * F4 Unknown is always allowed: then the actor asks the person writer. So at most `capacityCount` keys are kept, oldest out first.
 * F5 Nobody reads backwards: what an actor has loaded by itself is never followed by an older state from here, or a later event of its
 *    distinct_id would show an older person than an earlier one (test/model, seed 70).
 */
import { state as stateFact } from '../../src/observe/facts.ts';
import { PostgresError, type FoundPerson, type PersonKey, type PersonStore } from '../../src/postgres/port.ts';
import type { Person } from '../../src/domain/person.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { PrefetchedPersons } from './messages.ts';

export interface Prefetch extends PrefetchedPersons {
  /** Resolves when the keys are known, or when they cannot be now. Calls that meet a load under way share the next statement. */
  prefetch(keys: readonly PersonKey[]): Promise<void>;
  /** The store itself, through which every write of this process must go (F1). */
  readonly store: PersonStore;
  /** Keys known at the moment, for inspection and tests. */
  readonly knownCount: number;
}

export interface PrefetchOptions {
  readonly store: PersonStore;
  readonly clock: Clock;
  readonly capacityCount: number;
}

/** A person that some keys lead to; shared by them, so that one write updates all. */
interface Row {
  person: Person | undefined;
  keysCount: number;
}
interface Entry {
  readonly row: Row | undefined;
  readonly mappingVersion: number;
  /** Prefetches that were not taken yet. */
  openCount: number;
}

export function createPrefetch({ store, clock, capacityCount }: PrefetchOptions): Prefetch {
  const teams = new Map<number, Map<string, Entry>>();
  const rows = new Map<string, Row>();
  let knownCount = 0;
  /** Keys of the next load; its promise is that of all who wait for it. */
  let waiting: { readonly keys: PersonKey[]; readonly done: PromiseWithResolvers<void> } | undefined;
  /** What was written while a load is under way (F2). */
  let written: { readonly rowIds: Set<string>; readonly keys: Set<string>; readonly loaded: Map<string, Person>; all: boolean } | undefined;

  // ── loading ──────────────────────────────────────────────────────────────────────────────────────────────────────

  function prefetch(keys: readonly PersonKey[]): Promise<void> {
    if (keys.length === 0) return Promise.resolve();
    const next = (waiting ??= { keys: [], done: Promise.withResolvers() });
    for (const key of keys) next.keys.push(key);
    if (written === undefined) void load();
    return next.done.promise;
  }

  async function load(): Promise<void> {
    for (let next = waiting; next !== undefined; next = waiting) {
      const { keys, done } = next;
      waiting = undefined;
      const meanwhile = (written = { rowIds: new Set<string>(), keys: new Set<string>(), loaded: new Map<string, Person>(), all: false });
      try {
        const startedMs = clock.monotonic();
        const found = await store.load(keys);
        stateFact('person-loaded', { keys: keys.length, durationMs: clock.monotonic() - startedMs });
        if (!meanwhile.all) keys.forEach((key, index) => keep(key, found[index], meanwhile));
        written = undefined;
        done.resolve();
      } catch (error) {
        written = undefined;
        forgetAll();
        // The actors ask the person writer for the same persons; it waits for PostgreSQL, and says what is wrong with it.
        if (error instanceof PostgresError) done.resolve();
        else done.reject(error instanceof Error ? error : new Error('not an Error was thrown', { cause: error }));
      }
    }
  }

  function keep(key: PersonKey, found: FoundPerson | undefined, meanwhile: NonNullable<typeof written>): void {
    const { teamId, distinctId } = key;
    const rowId = found?.person.rowId;
    const before = teams.get(teamId)?.get(distinctId);
    if (before !== undefined) drop(teamId, distinctId, before);
    if (meanwhile.keys.size > 0 && meanwhile.keys.has(textOf(key))) return;
    if (rowId !== undefined && meanwhile.rowIds.has(rowId)) return;
    const loaded = meanwhile.loaded.get(textOf(key));
    if (loaded !== undefined && (rowId !== loaded.rowId || (found?.person.version ?? -1) < loaded.version)) return;
    let row: Row | undefined;
    if (found !== undefined && rowId !== undefined) {
      row = rows.get(rowId);
      if (row === undefined) rows.set(rowId, (row = { person: found.person, keysCount: 0 }));
      else if (row.person === undefined || row.person.version < found.person.version) row.person = found.person;
      row.keysCount++;
    }
    let keysOfTeam = teams.get(teamId);
    if (keysOfTeam === undefined) teams.set(teamId, (keysOfTeam = new Map<string, Entry>()));
    keysOfTeam.set(distinctId, { row, mappingVersion: found?.mappingVersion ?? 0, openCount: (before?.openCount ?? 0) + 1 });
    if (++knownCount > capacityCount) dropOldest();
  }

  // ── forgetting ───────────────────────────────────────────────────────────────────────────────────────────────────

  function drop(teamId: number, distinctId: string, entry: Entry): void {
    const keysOfTeam = teams.get(teamId);
    if (keysOfTeam?.delete(distinctId) !== true) return;
    if (keysOfTeam.size === 0) teams.delete(teamId);
    knownCount--;
    const { row } = entry;
    if (row !== undefined && --row.keysCount === 0 && row.person !== undefined) rows.delete(row.person.rowId);
  }

  /** F4. Of the team that was first: what is left over is of groups whose events were all dropped. */
  function dropOldest(): void {
    for (const [teamId, keysOfTeam] of teams) {
      for (const [distinctId, entry] of keysOfTeam) return drop(teamId, distinctId, entry);
    }
  }

  function forgetAll(): void {
    teams.clear();
    rows.clear();
    knownCount = 0;
    if (written !== undefined) written.all = true;
  }

  function forgetRow(rowId: string): void {
    written?.rowIds.add(rowId);
    const row = rows.get(rowId);
    if (row === undefined) return;
    rows.delete(rowId);
    row.person = undefined; // its keys lead nowhere now, so they are unknown
  }

  function forgetKey(key: PersonKey): void {
    written?.keys.add(textOf(key));
    const entry = teams.get(key.teamId)?.get(key.distinctId);
    if (entry !== undefined) drop(key.teamId, key.distinctId, entry);
  }

  /** A person as this process has just stored it. */
  function note(person: Person, version: number): void {
    written?.rowIds.add(person.rowId);
    const row = rows.get(person.rowId);
    if (row?.person !== undefined && row.person.version < version) row.person = { ...person, version };
  }

  /** F5: somebody has read this of a key past us. */
  function seen(key: PersonKey, found: FoundPerson): void {
    written?.loaded.set(textOf(key), found.person);
    const row = rows.get(found.person.rowId);
    if (row?.person !== undefined && row.person.version < found.person.version) row.person = found.person;
    const entry = teams.get(key.teamId)?.get(key.distinctId);
    if (entry !== undefined && entry.row?.person?.rowId !== found.person.rowId) drop(key.teamId, key.distinctId, entry);
  }

  // ── the store, watched ───────────────────────────────────────────────────────────────────────────────────────────

  /** F3: what a call with an unknown end has done is unknown. */
  async function watched<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      forgetAll();
      throw error;
    }
  }

  const observed: PersonStore = {
    async load(keys) {
      const found = await store.load(keys);
      found.forEach((one, index) => {
        const key = keys[index];
        if (one !== undefined && key !== undefined) seen(key, one);
      });
      return found;
    },
    movedDistinctIds: (persons) => store.movedDistinctIds(persons),
    markPersonless: (keys) => store.markPersonless(keys),
    markMerged: (keys) => store.markMerged(keys),
    async create(persons) {
      const results = await watched(() => store.create(persons));
      // Whoever made it: before, nobody had these ids, and that is over.
      for (const { teamId, distinctIds } of persons) for (const { distinctId } of distinctIds) forgetKey({ teamId, distinctId });
      return results;
    },
    async update(writes) {
      const results = await watched(() => store.update(writes));
      results.forEach((result, index) => {
        const write = writes[index];
        if (write === undefined) return;
        if (result.type === 'updated') note(write.person, result.version);
        else forgetRow(write.person.rowId);
      });
      return results;
    },
    async addDistinctIds(adds) {
      const results = await watched(() => store.addDistinctIds(adds));
      for (const { person, distinctId } of adds) {
        forgetKey({ teamId: person.teamId, distinctId });
        forgetRow(person.rowId);
      }
      return results;
    },
    async merge(command) {
      const result = await watched(() => store.merge(command));
      forgetRow(command.into.rowId);
      forgetRow(command.from.rowId);
      return result;
    },
  };

  return {
    prefetch,
    take(teamId, distinctId) {
      const entry = teams.get(teamId)?.get(distinctId);
      if (entry === undefined) return undefined;
      const { row, mappingVersion } = entry;
      if (--entry.openCount === 0) drop(teamId, distinctId, entry);
      if (row === undefined) return null;
      return row.person === undefined ? undefined : { person: row.person, mappingVersion };
    },
    store: observed,
    get knownCount() {
      return knownCount;
    },
  };
}

const textOf = ({ teamId, distinctId }: PersonKey): string => `${teamId}:${distinctId}`;
