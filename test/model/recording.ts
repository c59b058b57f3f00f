/**
 * What a person database has been, commit by commit: the only thing that the analysis (linearise.ts) knows of how events took
 * effect. It is filled by the fake database's hook (run-seed.ts) or from a real PostgreSQL's triggers (postgres-recording.ts).
 */
import type { FakePersonDatabase } from '../kit/fake-person-store.ts';
import { canonical } from './canonical.ts';

export interface StoredPerson {
  readonly rowId: string;
  readonly team: number;
  readonly uuid: string;
  readonly createdAtMs: number;
  /** Canonical JSON text: keys sorted. */
  readonly properties: string;
  readonly isIdentified: boolean;
  readonly version: number;
  readonly cohorts: readonly number[];
  /** Canonical JSON text of flag to hash key. */
  readonly flags: string;
}
export interface StoredMapping {
  readonly rowId: string;
  readonly version: number;
}
/** Immutable; two that follow one another share what did not change. */
export interface State {
  readonly persons: ReadonlyMap<string, StoredPerson>;
  /** By `team:distinct id`, as the next. */
  readonly mappings: ReadonlyMap<string, StoredMapping>;
  readonly personless: ReadonlyMap<string, boolean>;
}
export interface Commit {
  readonly atMs: number;
  /** 'rival': somebody who is not Troupe, as PostHog's own application. */
  readonly by: 'troupe' | 'rival';
  readonly state: State;
}

export interface Recorder {
  readonly commits: readonly Commit[];
  /** The database may have changed. */
  look(by: Commit['by']): void;
}

export function recordFake(database: FakePersonDatabase, nowMs: () => number): Recorder {
  const commits: Commit[] = [{ atMs: 0, by: 'troupe', state: { persons: new Map(), mappings: new Map(), personless: new Map() } }];
  const texts = new Map<string, string>();
  const canonicalOf = (text: string): string => {
    let known = texts.get(text);
    if (known === undefined) texts.set(text, (known = canonical(JSON.parse(text))));
    return known;
  };
  return {
    commits,
    look(by) {
      const before = commits.at(-1)?.state as State;
      const cohorts = Map.groupBy(database.cohortPeople, ({ rowId }) => rowId);
      const persons = changed(before.persons, database.persons, (row, rowId) => {
        const person: StoredPerson = {
          rowId,
          team: row.teamId,
          uuid: row.uuid,
          createdAtMs: row.createdAtMs,
          properties: canonicalOf(row.properties),
          isIdentified: row.isIdentified,
          version: row.version,
          cohorts: (cohorts.get(rowId) ?? []).map(({ cohortId }) => cohortId).sort((a, b) => a - b),
          flags: canonical(Object.fromEntries(database.flagOverrides.get(rowId) ?? [])),
        };
        return person;
      });
      const mappings = changed(before.mappings, database.mappings, ({ rowId, version }) => ({ rowId, version }));
      const personless = changed(before.personless, database.personless, (isMerged) => isMerged);
      if (persons === before.persons && mappings === before.mappings && personless === before.personless) return;
      commits.push({ atMs: nowMs(), by, state: { persons, mappings, personless } });
    },
  };
}

/** `before` itself when nothing differs. */
function changed<Row, Kept>(
  before: ReadonlyMap<string, Kept>,
  now: ReadonlyMap<string, Row>,
  keep: (row: Row, key: string) => Kept,
): ReadonlyMap<string, Kept> {
  let isSame = before.size === now.size;
  const next = new Map<string, Kept>();
  for (const [key, row] of now) {
    const known = before.get(key);
    const kept = keep(row, key);
    if (known !== undefined && JSON.stringify(known) === JSON.stringify(kept)) next.set(key, known);
    else {
      isSame = false;
      next.set(key, kept);
    }
  }
  return isSame ? before : next;
}
