/**
 * Events may have taken effect in a commit that does not show them: another distinct_id's run in the same commit has laid its own
 * values over theirs, or the last of them has put back what the first changed. They are found by putting them back into the commit.
 */
import { LONGEST_RUN, type Analysis, type Entry, type Explained, type History, type Queue, type Run } from './history.ts';
import { apply, type Shown } from './oracle.ts';
import type { Past } from './past.ts';
import type { Commit } from './recording.ts';
import type { Reading } from './reading.ts';
import { isUnchanged } from './stored-state.ts';

export interface HidingParts {
  readonly past: Past;
  readonly reading: Reading;
  /** By commit; what is found is put into it. */
  readonly explained: ReadonlyMap<number, readonly Explained[]>;
  readonly counts: Analysis['counts'];
  readonly note: (entry: Entry, shown: Shown, at: number) => void;
}

/** Finds such a commit, up to `until`, for the next event of a queue that nothing else explains; false: there is none. */
export type Hide = (queue: Queue | undefined, until: number) => boolean;

export function createHiding({ commits }: History, { past, reading, explained, counts, note }: HidingParts): Hide {
  return hide;

  function hide(queue: Queue | undefined, until: number): boolean {
    if (queue === undefined) return false;
    const reads: Run['reads'][number][] = [];
    let { next: index, since } = queue;
    for (; index < queue.entries.length; index++) {
      const read = reading.readOf(queue.entries[index] as Entry, since, until, true);
      if (read === undefined) break;
      reads.push(read);
      since = read.at;
    }
    for (const at of past.changesOf([queue.key], since - 1, until)) {
      const found = explained.get(at)?.find(({ keys }) => keys.includes(queue.key));
      if (found === undefined) continue;
      const entries = mayFollow(queue, index, (commits[at] as Commit).atMs);
      for (let place = found.runs.findLastIndex((run) => run.queue === queue) + 1; place <= found.runs.length; place++) {
        const shown = playHidden(entries, at, found, place);
        if (shown === undefined) continue;
        for (const read of reads) note(read.entry, read.shown, read.at);
        shown.forEach((one, n) => note(entries[n] as Entry, one, at));
        counts.reads += reads.length;
        counts.applied += shown.length;
        found.runs.splice(place, 0, { queue, from: index, to: index + shown.length, linkOnly: false, reads: [], shown });
        queue.next = index + shown.length;
        queue.since = at;
        return true;
      }
    }
    return false;
  }

  /** The events from `index` on that one write may hold: those sent by then, up to a merge. A merge is alone. */
  function mayFollow(queue: Queue, index: number, atMs: number): readonly Entry[] {
    const next = queue.entries.slice(index, index + LONGEST_RUN);
    const end = next.findIndex(({ sentMs, other }, n) => sentMs > atMs || (n > 0 && other !== undefined));
    const all = end === -1 ? next : next.slice(0, end);
    return all[0]?.other === undefined ? all : all.slice(0, 1);
  }

  /** What the first few of these events were shown before the run at `place`, if their rows say so and the commit ends as it did. */
  function playHidden(entries: readonly Entry[], at: number, { keys, runs }: Explained, place: number): readonly Shown[] | undefined {
    const end = past.view(at).owners;
    for (let length = 1; length <= entries.length; length++) {
      const world = past.view(at - 1);
      const play = (those: readonly Run[]): void => {
        for (const { queue, from, to, linkOnly } of those)
          for (const { sent } of queue.entries.slice(from, to)) apply(world, sent, linkOnly);
      };
      play(runs.slice(0, place));
      const shown: Shown[] = [];
      for (const entry of entries.slice(0, length)) {
        const one = apply(world, entry.sent);
        if (!reading.isAsShown(entry, one)) return undefined;
        shown.push(one);
      }
      play(runs.slice(place));
      if (keys.every((key) => isUnchanged(world.owners.get(key), end.get(key)))) return shown;
    }
    return undefined;
  }
}
