/**
 * A merge of two ids that nobody has marks both as merged in a commit of its own, before it makes their person (M-1, M-2). To the oracle,
 * which does both at once, such a mark is not there yet; unless its merge failed or died: then it counts as a use without a person.
 */
import type { World } from './oracle.ts';
import type { Past } from './past.ts';
import type { State } from './recording.ts';

export interface Marks {
  /** The past's world, without the marks that are taken for the merge's own. */
  readonly world: World;
  /** Marks made from this commit on are taken for the merge's own; 0 for all, Infinity for none. */
  honourFrom(at: number): void;
  /** Commits that marked one of these ids ahead. */
  commitsOf(keys: readonly string[]): ReadonlySet<number>;
  /** Takes what commit `at` has marked. */
  accept(state: State, at: number): void;
}

export function createMarks(past: Past): Marks {
  /** Ids marked ahead, the commit that did, and whether they were noted before it. */
  const ahead = new Map<string, { readonly at: number; readonly wasNoted: boolean }>();
  let honouredFrom = 0;

  function isOwn(key: string): boolean {
    const mark = ahead.get(key);
    return mark !== undefined && !mark.wasNoted && mark.at >= honouredFrom;
  }

  return {
    world: {
      ...past.world,
      personless: {
        get: (key) => (isOwn(key) ? undefined : past.world.personless.get(key)),
        set: (key, isMerged) => past.world.personless.set(key, isMerged),
      },
    },
    honourFrom: (at) => void (honouredFrom = at),
    commitsOf: (keys) => new Set(keys.flatMap((key) => ahead.get(key)?.at ?? [])),
    accept(state, at) {
      for (const [key, isMerged] of state.personless) {
        const known = past.world.personless.get(key);
        if (known === isMerged) continue;
        if (isMerged) ahead.set(key, { at, wasNoted: known !== undefined });
        past.world.personless.set(key, isMerged);
      }
      for (const key of state.mappings.keys()) ahead.delete(key);
    },
  };
}
