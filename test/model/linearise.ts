/**
 * Finds the order in which events took effect, from nothing but what the database was after each commit, and holds it to the oracle:
 *
 *     commit 0 ──▶ commit 1 ──▶ commit 2 ──▶ …        each is explained by events that the oracle turns into exactly this change
 *          └ events that change nothing take effect in between, where the oracle shows them what their row shows
 *
 * An explanation of one person's change is one run of consecutive events per distinct_id, of one or more distinct_ids, one run after
 * the other. A run begins where the last one of its distinct_id ended (or later, if all in between change nothing somewhere in
 * between). Only where a process died, an answer was lost or a partition moved may it begin earlier: a replay.
 *
 *     history.ts       the words            search.ts   the runs that explain a commit     reading.ts    what a row must say
 *     stored-state.ts  two states compared  runs.ts     the runs that may be next          hiding.ts     events that left no trace
 *     past.ts          the oracle's world with a memory                                    marks.ts, versions.ts
 */
import { createHiding } from './hiding.ts';
import { nameOf, queuesOf, type Analysis, type Component, type Entry, type Explained, type Finding, type History } from './history.ts';
import { createMarks } from './marks.ts';
import type { Shown } from './oracle.ts';
import { createPast } from './past.ts';
import { createReading } from './reading.ts';
import type { Commit, State } from './recording.ts';
import { createRuns } from './runs.ts';
import { createSearch, type Found } from './search.ts';
import { componentsOf, describe, isSame, keysOf, personOf } from './stored-state.ts';
import { wrongVersions } from './versions.ts';

/** Ways through a history that are tried, at most. */
const MOST_WAYS = 40;
/** Commits before the one that cannot be explained, and explanations of each, that are looked at again. */
const COMMITS_BACK = 3;
const OTHERS_EACH = 3;

/**
 * The first way that explains everything. A commit may have several explanations, and the one that was taken may leave an event over that
 * a later commit needs, or take one away: where a commit cannot be explained, other explanations of the commits before it are tried.
 */
export function linearise(history: History): Analysis {
  const first = analyse(history, new Map());
  if (history.mostViolations === 1) return first.analysis; // something is planted: no use in looking for a way around it
  let [furthest, way, ways] = [first.unexplained, new Map<number, number>(), 1];
  while (furthest !== undefined) {
    const stuckAt: Unexplained = furthest;
    const others = stuckAt.before.flatMap((at) =>
      Array.from({ length: OTHERS_EACH }, (_, n) => new Map(way).set(at, (way.get(at) ?? 0) + n + 1)),
    );
    const next = others.find((other) => {
      if (ways++ > MOST_WAYS) return false;
      const { analysis, unexplained } = analyse({ ...history, mostViolations: 1 }, other);
      if (unexplained === undefined && analysis.violations.length > 0) return false;
      if (unexplained !== undefined && unexplained.at <= stuckAt.at) return false;
      furthest = unexplained;
      return true;
    });
    if (next === undefined) return first.analysis;
    way = next;
  }
  return way.size === 0 ? first.analysis : analyse(history, way).analysis;
}

/** The first commit that cannot be explained, and the last ones before it that changed the same persons. */
interface Unexplained {
  readonly at: number;
  readonly before: readonly number[];
}

function analyse(
  history: History,
  passedOver: ReadonlyMap<number, number>,
): { readonly analysis: Analysis; readonly unexplained: Unexplained | undefined } {
  const { commits, rows } = history;
  const violations: Analysis['violations'][number][] = [];
  const warnings = new Map<string, NonNullable<Shown['warning']>[]>();
  const counts = { applied: 0, reads: 0, repeats: 0, merges: 0, rivals: 0, extraOverrides: 0 };
  const past = createPast();
  const queues = queuesOf(history);
  /** By commit. */
  const explained = new Map<number, Explained[]>();
  const reading = createReading(history, past);
  const marks = createMarks(past);
  const runs = createRuns(history, reading, marks.world);
  const explain = createSearch(history, { queues, past, marks, runs, passedOver });
  let unexplained: Unexplained | undefined;
  const hide = createHiding(history, { past, reading, explained, counts, note });

  for (let at = 1; at < commits.length && violations.length < history.mostViolations; at++) explainCommit(at);
  if (violations.length < history.mostViolations) readTheRest();
  return { analysis: { violations, warnings, counts }, unexplained };

  function report(invariant: Finding, detail: string): void {
    if (violations.length < history.mostViolations) violations.push({ invariant, detail });
  }

  function explainCommit(at: number): void {
    const commit = commits[at] as Commit;
    const { state: before } = commits[at - 1] as Commit;
    const { state: after, by } = commit;
    for (const component of componentsOf(before, after)) {
      if (by === 'rival') {
        counts.rivals++;
        adopt(component, after);
        continue;
      }
      let found = explain(component, at, before, after);
      while (found === undefined && component.keys.some((key) => hide(queues.get(key), at - 1)))
        found = explain(component, at, before, after);
      if (found !== undefined) keep(found, at, component, before, after);
      else {
        unexplained ??= { at, before: lastOf(component) };
        report('unexplained', `commit ${at} at ${Math.round(commit.atMs)}: ${describe(component, before, after)}; ${nextOf(component)}`);
        adopt(component, after);
      }
    }
    marks.accept(after, at);
    past.accept(at);
  }

  function lastOf(component: Component): number[] {
    const touched = [...explained].filter(([, all]) => all.some(({ keys }) => keys.some((key) => component.keys.includes(key))));
    return touched
      .map(([at]) => at)
      .slice(-COMMITS_BACK)
      .reverse();
  }

  /** Takes the state as it is: of somebody else, or so that one mistake is reported once. */
  function adopt({ rowIds }: Component, after: State): void {
    for (const rowId of rowIds) {
      const stored = after.persons.get(rowId);
      if (stored === undefined) continue;
      const keys = keysOf(after, rowId);
      const person = personOf(stored, keys);
      for (const key of keys) {
        past.world.owners.set(key, person);
        past.world.versions.set(key, after.mappings.get(key)?.version ?? 0);
      }
    }
  }

  function keep({ runs, hasExtraOverride }: Found, at: number, component: Component, before: State, after: State): void {
    if (hasExtraOverride) counts.extraOverrides++;
    for (const { queue, from, to, linkOnly, reads, shown } of runs) {
      for (const read of reads) note(read.entry, read.shown, read.at);
      counts.reads += reads.length;
      counts.merges += Number(linkOnly || queue.entries[from]?.other !== undefined);
      const first = queue.entries[from];
      if (linkOnly && first !== undefined) first.isLinked = true;
      if (linkOnly) continue;
      shown.forEach((one, index) => note(queue.entries[from + index] as Entry, one, at));
      counts.applied += to - from;
      if (from < queue.next) counts.repeats++;
      queue.since = at;
      queue.next = Math.max(queue.next, to);
    }
    explained.set(at, [...(explained.get(at) ?? []), { keys: component.keys, runs: [...runs] }]);
    for (const wrong of wrongVersions(component, before, after)) report('version', `commit ${at}: ${wrong}`);
  }

  function note(entry: Entry, shown: Shown, at: number): void {
    entry.tookEffect ??= at;
    entry.isShown ||= reading.isAsShown(entry, shown);
    if (shown.warning === undefined) return;
    const told = warnings.get(entry.sent.uuid);
    if (told === undefined) warnings.set(entry.sent.uuid, [shown.warning]);
    else told.push(shown.warning);
  }

  /** The events that could have been it. */
  function nextOf({ keys }: Component): string {
    const next = keys.flatMap((key) => queues.get(key)?.entries.slice(queues.get(key)?.next).slice(0, 3) ?? []);
    return `next are ${next.map((entry) => `${nameOf(entry)} whose row says ${JSON.stringify(rows.get(entry.sent.uuid))}`).join('; ')}`;
  }

  function readTheRest(): void {
    const last = commits.length - 1;
    const inDoubt = history.incidentsMs.length > 0;
    for (const queue of queues.values()) {
      for (; queue.next < queue.entries.length; queue.next++) {
        const entry = queue.entries[queue.next] as Entry;
        const read =
          reading.readOf(entry, queue.since, last, true) ?? (inDoubt ? reading.readOf(entry, queue.since, last, false) : undefined);
        if (read === undefined && hide(queue, last)) {
          queue.next--;
          continue;
        }
        if (read === undefined) {
          const isReadable = reading.readOf(entry, queue.since, last, false) !== undefined;
          report(
            isReadable ? 'row' : 'lost-effect',
            `${nameOf(entry)}: ${isReadable ? reading.tell(entry, queue.since) : 'it would have changed its person, and nothing did'}`,
          );
          break;
        }
        note(entry, read.shown, read.at);
        counts.reads++;
        queue.since = read.at;
      }
      for (const entry of queue.entries) {
        if (entry.isShown || entry.tookEffect === undefined) continue;
        if (!inDoubt || !reading.isPlausible(entry)) report('row', `${nameOf(entry)}: ${reading.tell(entry, entry.tookEffect)}`);
      }
    }
    for (const [key, person] of past.owners()) {
      const { state } = commits[last] as Commit;
      const stored = state.persons.get(state.mappings.get(key)?.rowId ?? '');
      if (stored === undefined || !isSame(person, stored))
        report('unexplained', `${key} ends in ${JSON.stringify(stored)} instead of ${JSON.stringify(person)}`);
    }
  }
}
