/** Finds the runs that explain what one commit has changed. */
import type { Component, History, Played, Queue, Run } from './history.ts';
import type { Marks } from './marks.ts';
import type { Shown } from './oracle.ts';
import type { Past } from './past.ts';
import type { Commit, State } from './recording.ts';
import { leftBy, TRUSTS, type Runs, type Trust } from './runs.ts';
import { counterIn, isSame, keysOf, parsed, textOfValue } from './stored-state.ts';

/** Runs tried for one person's change, at most; and runs played for it, when they are searched forwards. */
const MOST_TRIES = 50_000;
const MOST_PLAYED = 200_000;
/** Runs in one explanation, at most. */
const MOST_RUNS = 8;
const NOTHING: ReadonlyMap<string, string> = new Map();

/** A run that may be part of the explanation. */
interface Option {
  readonly run: Run;
  /** The commit has moved the counter of its distinct_id, so some run of that one must be in it. */
  readonly isMoved: boolean;
  readonly leaves: ReadonlyMap<string, string>;
}
interface Goal {
  readonly component: Component;
  readonly before: State;
  readonly after: State;
  readonly trust: Trust;
  readonly options: readonly Option[];
  readonly movedCount: number;
  readonly mostRuns: number;
}

export interface Found {
  readonly runs: readonly Played[];
  /** It holds only if a mark made ahead is taken for a use without a person. */
  readonly hasExtraOverride: boolean;
}
/** Answers the explanation of a component's change, with the past's world as it leaves it; undefined, and all is as before: there is none. */
export type Explain = (component: Component, at: number, before: State, after: State) => Found | undefined;

export interface SearchParts {
  readonly queues: ReadonlyMap<string, Queue>;
  readonly past: Past;
  readonly marks: Marks;
  readonly runs: Runs;
  /** By commit: how many explanations are not to be taken, because a later commit cannot be explained after them. */
  readonly passedOver: ReadonlyMap<number, number>;
}

export function createSearch({ commits, incidentsMs, slackMs }: History, { queues, past, marks, runs, passedOver }: SearchParts): Explain {
  /** Explanations of the commit at hand that are yet to be passed over. */
  let toPassOver = 0;
  return explain;

  function explain(component: Component, at: number, before: State, after: State): Found | undefined {
    toPassOver = passedOver.get(at) ?? 0;
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

  /** Backwards, and where those are too many ways, forwards: the one is led by what the commit has left, the other by the rows. */
  function search(component: Component, at: number, before: State, after: State, trust: Trust): readonly Played[] | undefined {
    const involved = component.keys.flatMap((key) => queues.get(key) ?? []);
    const isBirth = [...component.rowIds].some((rowId) => !before.persons.has(rowId));
    const options = involved.flatMap((queue): Option[] => {
      const counters = [counterIn(before, queue.key), counterIn(after, queue.key)] as const;
      const isMoved = counters[0] !== counters[1];
      return runs.candidates(queue, at, counters, trust).map((run) => ({ run, isMoved, leaves: isBirth ? NOTHING : leftBy(run) }));
    });
    const goal: Goal = {
      ...{ component, before, after, trust, options },
      movedCount: new Set(options.filter(({ isMoved }) => isMoved).map(({ run }) => run.queue)).size,
      mostRuns: Math.min(MOST_RUNS, involved.length),
    };
    const found = backwards(goal);
    return found === 'too many' ? forwards(goal) : found;
  }

  /**
   * Fewest runs first, and from the last one backwards: what a run has set and unset must be in the state after it, but for what later
   * runs have laid over it. Only what passes is played.
   */
  function backwards(goal: Goal): readonly Played[] | 'too many' | undefined {
    const { options, after, movedCount } = goal;
    const chosen: Option[] = [];
    let tries = 0;

    const visit = (depth: number): readonly Played[] | undefined => {
      if (depth === 0) return playAll(goal, chosen.map(({ run }) => run).reverse());
      const missing = movedCount - chosen.filter(({ isMoved }) => isMoved).length;
      for (const option of options) {
        if (++tries > MOST_TRIES) return undefined;
        if (missing >= depth && !option.isMoved) continue;
        if (chosen.some(({ run }) => run.queue === option.run.queue) || !isLeft(option)) continue;
        chosen.push(option);
        const found = visit(depth - 1);
        chosen.pop();
        if (found !== undefined) return found;
      }
      return undefined;
    };
    const isLeft = ({ run, leaves }: Option): boolean => {
      const stored = after.persons.get(after.mappings.get(run.queue.key)?.rowId ?? '');
      for (const [name, value] of leaves) {
        if (name.endsWith('?') || chosen.some((later) => later.leaves.has(name) || later.leaves.has(`${name}?`))) continue;
        if (stored === undefined || textOfValue(parsed(stored)[name]) !== value) return false;
      }
      return true;
    };
    for (let depth = Math.max(1, movedCount); depth <= goal.mostRuns; depth++) {
      const found = visit(depth);
      if (found !== undefined) return found;
    }
    return tries > MOST_TRIES ? 'too many' : undefined;
  }

  /**
   * From the first run on, each played at once: after an outage one write may hold what five distinct_ids have waited with, parts of it
   * for the second time. The rows say in which order, as long as they are trusted.
   */
  function forwards({ options, component, before, after, trust, movedCount, mostRuns }: Goal): readonly Played[] | undefined {
    const played: (Played & { readonly isMoved: boolean })[] = [];
    let tries = 0;
    const visit = (depth: number): boolean => {
      if (depth === 0) return isReached(component, after) && toPassOver-- <= 0;
      const missing = movedCount - played.filter(({ isMoved }) => isMoved).length;
      for (const { run, isMoved } of options) {
        if (++tries > MOST_PLAYED) return false;
        if ((missing >= depth && !isMoved) || played.some(({ queue }) => queue === run.queue)) continue;
        const mark = past.mark();
        const shown = runs.play(run, trust);
        if (shown !== undefined && !isYetToBeWritten(run, shown, before, after)) {
          played.push({ ...run, shown, isMoved });
          if (visit(depth - 1)) return true;
          played.pop();
        }
        past.rollback(mark);
      }
      return false;
    };
    for (let depth = Math.max(1, movedCount); depth <= mostRuns; depth++) if (visit(depth)) return played;
    return undefined;
  }

  /** Undefined, and all is as before, when they do not end in the state after. */
  function playAll({ component, before, after, trust }: Goal, chosen: readonly Run[]): readonly Played[] | undefined {
    const mark = past.mark();
    const played: Played[] = [];
    for (const run of chosen) {
      const shown = runs.play(run, trust);
      if (shown === undefined || isYetToBeWritten(run, shown, before, after)) break;
      played.push({ ...run, shown });
    }
    if (played.length === chosen.length && isReached(component, after) && toPassOver-- <= 0) return played;
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
