/** Runs of events that may have been, and the oracle's play of one. */
import { LONGEST_RUN, type Entry, type History, type Queue, type Run } from './history.ts';
import { apply, type Shown, type World } from './oracle.ts';
import type { Commit } from './recording.ts';
import type { Reading } from './reading.ts';
import { textOfValue } from './stored-state.ts';

/**
 * How much of an explanation is taken on trust. 'nothing': every event takes effect once, and its row shows it there. 'replays': runs
 * may repeat, and an event's row must show it there unless it was shown elsewhere. 'rows': the row of an event that is in doubt may be
 * that of a later replay.
 */
export type Trust = 'nothing' | 'replays' | 'rows';
export const TRUSTS = ['nothing', 'replays', 'rows'] as const;
export interface Runs {
  /** Runs that may be next for a distinct_id in commit `at`, the likeliest first. The pair: its counter before and after that commit. */
  candidates(queue: Queue, at: number, counters: readonly [number, number], trust: Trust): Run[];
  /** What each event is shown; undefined: it cannot have been so, or it would have changed nothing. */
  play(run: Run, trust: Trust): readonly Shown[] | undefined;
}

export function createRuns({ commits, incidentsMs, slackMs }: History, reading: Reading, world: World): Runs {
  return { candidates, play };

  function candidates(queue: Queue, at: number, [counter, wanted]: readonly [number, number], trust: Trust): Run[] {
    const found: Run[] = [];
    const { entries, next } = queue;
    const add = (from: number, reads: Run['reads']): void => {
      const first = entries[from];
      if (first !== undefined && first.sentMs > (commits[at] as Commit).atMs) return;
      if (first?.other !== undefined) {
        if ((first.count ?? counter) === wanted) found.push({ queue, from, to: from + 1, linkOnly: false, reads });
        if (counter === wanted) found.push({ queue, from, to: from + 1, linkOnly: true, reads });
        return;
      }
      let reached = counter;
      for (let to = from; to < Math.min(entries.length, from + LONGEST_RUN); to++) {
        const entry = entries[to] as Entry;
        if (entry.other !== undefined || entry.sentMs > (commits[at] as Commit).atMs) return;
        reached = entry.count ?? reached;
        if (reached === wanted) found.push({ queue, from, to: to + 1, linkOnly: false, reads });
      }
    };
    const reads: Run['reads'][number][] = [];
    let since = queue.since;
    for (let from = next; from < entries.length; from++) {
      add(from, [...reads]);
      const read = reading.readOf(entries[from] as Entry, since, at - 1, trust !== 'rows');
      if (read === undefined) break;
      reads.push(read);
      since = read.at;
    }
    if (trust !== 'nothing')
      for (let from = next - 1; from >= Math.max(0, next - LONGEST_RUN); from--) if (mayRepeat(entries[from], at)) add(from, []);
    return found;
  }

  function mayRepeat(entry: Entry | undefined, at: number): boolean {
    const firstMs = commits[entry?.tookEffect ?? at]?.atMs ?? 0;
    const nowMs = commits[at]?.atMs ?? 0;
    return incidentsMs.some((ms) => ms >= firstMs - slackMs && ms <= nowMs + slackMs);
  }

  function play({ queue, from, to, linkOnly }: Run, trust: Trust): readonly Shown[] | undefined {
    let changed = false;
    const all: Shown[] = [];
    for (let index = from; index < to; index++) {
      const entry = queue.entries[index] as Entry;
      const shown = apply(world, entry.sent, linkOnly);
      changed ||= shown.changed;
      const isToMatch = trust === 'nothing' || (trust === 'replays' && !entry.isShown);
      if (isToMatch && !linkOnly && !(reading.isAsShown(entry, shown) && reading.isAsWarned(entry, shown))) return undefined;
      all.push(shown);
    }
    return changed ? all : undefined;
  }
}

/**
 * Values, as text, that a run leaves whatever it finds; '' for none. What volatile keys and `$set_once` leave depends on what they find:
 * those stand there with a question mark.
 */
export function leftBy({ queue, from, to, linkOnly }: Run): ReadonlyMap<string, string> {
  const left = new Map<string, string>();
  const depends = (name: string): void => {
    left.delete(name);
    left.set(`${name}?`, '');
  };
  for (const { sent } of linkOnly ? [] : queue.entries.slice(from, to)) {
    if (sent.properties['$process_person_profile'] === false || ['$exception', '$groupidentify'].includes(sent.event)) continue;
    const { $set = {}, $set_once = {}, $unset = [] } = sent.properties as Record<string, Record<string, unknown> | undefined>;
    for (const name of Object.keys(sent.properties)) {
      depends(name);
      depends(`$initial_${name.replace('$', '')}`);
    }
    for (const name of Object.keys($set_once)) depends(name);
    for (const [name, value] of Object.entries($set)) {
      if (name.startsWith('$')) depends(name);
      else left.set(name, textOfValue(value));
    }
    for (const name of Array.isArray($unset) ? ($unset as string[]) : Object.keys($unset)) left.set(name, '');
  }
  return left;
}
