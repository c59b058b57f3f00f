/** Finds the runs that explain what one commit has changed. */
import type { Component, History, Played, Queue, Run } from './history.ts';
import type { Marks } from './marks.ts';
import type { Shown } from './oracle.ts';
import type { Past } from './past.ts';
import type { Commit, State } from './recording.ts';
import { leftBy, TRUSTS, type Runs, type Trust } from './runs.ts';
import { counterIn, isSame, keysOf, parsed, textOfValue } from './stored-state.ts';

/** Runs tried for one person's change, at most. */
const MOST_TRIES = 50_000;
const NOTHING: ReadonlyMap<string, string> = new Map();

export interface Found {
  readonly runs: readonly Played[];
  /** It holds only if a mark made ahead is taken for a use without a person. */
  readonly hasExtraOverride: boolean;
}
/** Answers the explanation of a component's change, with the past's world as it leaves it; undefined, and all is as before: there is none. */
export type Explain = (component: Component, at: number, before: State, after: State) => Found | undefined;

export function createSearch(
  { commits, incidentsMs, slackMs }: History,
  {
    queues,
    past,
    marks,
    runs,
  }: { readonly queues: ReadonlyMap<string, Queue>; readonly past: Past; readonly marks: Marks; readonly runs: Runs },
): Explain {
  return explain;

  function explain(component: Component, at: number, before: State, after: State): Found | undefined {
    const markCommits = marks.commitsOf(component.keys);
    const inDoubt = incidentsMs.some((ms) => ms <= (commits[at] as Commit).atMs + slackMs);
    for (const trust of inDoubt ? TRUSTS : ([TRUSTS[0]] as const)) {
      for (const honouredFrom of [0, ...markCommits, Infinity]) {
        marks.honourFrom(honouredFrom);
        const runs = search(component, at, before, after, trust);
        marks.honourFrom(0);
        if (runs !== undefined) return { runs, hasExtraOverride: honouredFrom > 0 };
      }
    }
    return undefined;
  }

  /**
   * Fewest runs first, and from the last one backwards: what a run has set and unset must be in the state after it, but for what later
   * runs have laid over it. Only what passes is played.
   */
  function search(component: Component, at: number, before: State, after: State, trust: Trust): readonly Played[] | undefined {
    const involved = component.keys.flatMap((key) => queues.get(key) ?? []);
    const isBirth = [...component.rowIds].some((rowId) => !before.persons.has(rowId));
    const options = involved.flatMap((queue) => {
      const counters = [counterIn(before, queue.key), counterIn(after, queue.key)] as const;
      const isMoved = counters[0] !== counters[1];
      return runs.candidates(queue, at, counters, trust).map((run) => ({ run, isMoved, leaves: isBirth ? NOTHING : leftBy(run) }));
    });
    const movedCount = new Set(options.filter(({ isMoved }) => isMoved).map(({ run }) => run.queue)).size;
    const backwards: (typeof options)[number][] = [];
    let tries = 0;

    const visit = (depth: number): readonly Played[] | undefined => {
      if (depth === 0) return playAll(component, before, after, backwards.map(({ run }) => run).reverse(), trust);
      const missing = movedCount - backwards.filter(({ isMoved }) => isMoved).length;
      for (const option of options) {
        if (++tries > MOST_TRIES) return undefined;
        if (missing >= depth && !option.isMoved) continue;
        if (backwards.some(({ run }) => run.queue === option.run.queue) || !isLeft(option, after)) continue;
        backwards.push(option);
        const found = visit(depth - 1);
        backwards.pop();
        if (found !== undefined) return found;
      }
      return undefined;
    };
    const isLeft = ({ run, leaves }: (typeof options)[number], state: State): boolean => {
      const stored = state.persons.get(state.mappings.get(run.queue.key)?.rowId ?? '');
      for (const [name, value] of leaves) {
        if (name.endsWith('?') || backwards.some((later) => later.leaves.has(name) || later.leaves.has(`${name}?`))) continue;
        if (stored === undefined || textOfValue(parsed(stored)[name]) !== value) return false;
      }
      return true;
    };
    for (let depth = Math.max(1, movedCount); depth <= Math.min(8, involved.length); depth++) {
      const found = visit(depth);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Undefined, and all is as before, when they do not end in the state after. */
  function playAll(component: Component, before: State, after: State, chosen: readonly Run[], trust: Trust): readonly Played[] | undefined {
    const mark = past.mark();
    const played: Played[] = [];
    for (const run of chosen) {
      const shown = runs.play(run, trust);
      if (shown === undefined || isYetToBeWritten(run, shown, before, after)) break;
      played.push({ ...run, shown });
    }
    if (played.length === chosen.length && isReached(component, after)) return played;
    past.rollback(mark);
    return undefined;
  }

  /** A merge event whose own update was worth a write, in a commit that left the version as it was: that has only added an id (M-1). */
  function isYetToBeWritten({ queue, linkOnly }: Run, shown: readonly Shown[], before: State, after: State): boolean {
    const rowId = after.mappings.get(queue.key)?.rowId ?? '';
    const isWritten = before.persons.get(rowId)?.version !== after.persons.get(rowId)?.version;
    return !linkOnly && !isWritten && shown.some(({ updated }) => updated);
  }

  function isReached({ keys }: Component, after: State): boolean {
    for (const key of keys) {
      const mapping = after.mappings.get(key);
      const person = past.world.owners.get(key);
      if (mapping === undefined && person === undefined) continue;
      if (mapping === undefined || person === undefined) return false;
      if (past.world.versions.get(key) !== mapping.version) return false;
      const stored = after.persons.get(mapping.rowId);
      if (stored === undefined || !isSame(person, stored) || person.keys.toSorted().join() !== keysOf(after, mapping.rowId).join())
        return false;
    }
    return true;
  }
}
