/** The oracle's world with a memory: what was tried can be taken back, and what was can be looked at. */
import type { Person, Table, World } from './oracle.ts';

export interface Past {
  /** Changes made through it are kept by `accept` and undone by `rollback`. */
  readonly world: World;
  mark(): number;
  rollback(to: number): void;
  /** What was changed since the last call is the state of commit `at`. */
  accept(at: number): void;
  /** The world after commit `at`; what is changed in it is forgotten. */
  view(at: number): World;
  /** Commits after `from`, up to `to`, that changed who one of these ids belongs to, or that person. */
  changesOf(keys: readonly string[], from: number, to: number): number[];
  owners(): ReadonlyMap<string, Person>;
}

export function createPast(): Past {
  const owners = new Map<string, Person>();
  const versions = new Map<string, number>();
  const personless = new Map<string, boolean>();
  const journal: (() => void)[] = [];
  const touched = new Set<string>();
  const eras = new Map<string, { readonly at: number; readonly person: Person | undefined }[]>();

  function journaled<Value>(map: Map<string, Value>, note?: Set<string>): Table<Value> {
    return {
      get: (key) => map.get(key),
      set(key, value) {
        const before = map.get(key);
        journal.push(() => (before === undefined ? map.delete(key) : map.set(key, before)));
        note?.add(key);
        map.set(key, value);
      },
    };
  }

  function personAt(key: string, at: number): Person | undefined {
    return eras.get(key)?.findLast((era) => era.at <= at)?.person;
  }

  return {
    world: { owners: journaled(owners, touched), versions: journaled(versions), personless: journaled(personless) },
    mark: () => journal.length,
    rollback(to) {
      while (journal.length > to) journal.pop()?.();
    },
    accept(at) {
      for (const key of touched) {
        const known = eras.get(key) ?? [];
        eras.set(key, known);
        if (known.at(-1)?.person !== owners.get(key)) known.push({ at, person: owners.get(key) });
      }
      touched.clear();
      journal.length = 0;
    },
    view(at) {
      const over = <Value>(get: (key: string) => Value | undefined): Table<Value> => {
        const changed = new Map<string, Value>();
        return { get: (key) => changed.get(key) ?? get(key), set: (key, value) => changed.set(key, value) };
      };
      return {
        owners: over((key) => personAt(key, at)),
        versions: over((key) => versions.get(key)),
        personless: over((key) => personless.get(key)),
      };
    },
    changesOf: (keys, from, to) =>
      [...new Set(keys.flatMap((key) => (eras.get(key) ?? []).map(({ at }) => at).filter((at) => at > from && at <= to)))].sort(
        (a, b) => a - b,
      ),
    owners: () => owners,
  };
}
