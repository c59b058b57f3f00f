/**
 * An event may have taken effect in a commit that does not show it: another distinct_id's run in the same commit has laid its own
 * values over it. It is found by putting it back.
 */
import type { Analysis, Entry, Explained, History, Queue, Run } from './history.ts';
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
    const entry = queue.entries[index];
    if (entry === undefined) return false;
    for (const at of past.changesOf([queue.key], since - 1, until)) {
      const found = explained.get(at)?.find(({ keys }) => keys.includes(queue.key));
      if (found === undefined || (commits[at] as Commit).atMs < entry.sentMs) continue;
      for (let place = found.runs.findLastIndex((run) => run.queue === queue) + 1; place < found.runs.length; place++) {
        const shown = playHidden(entry, at, found, place);
        if (shown === undefined) continue;
        for (const read of reads) note(read.entry, read.shown, read.at);
        note(entry, shown, at);
        counts.reads += reads.length;
        counts.applied++;
        found.runs.splice(place, 0, { queue, from: index, to: index + 1, linkOnly: false, reads: [], shown: [shown] });
        queue.next = index + 1;
        queue.since = at;
        return true;
      }
    }
    return false;
  }

  /** What the event was shown before the run at `place`, if its row says so and the commit ends as it did. */
  function playHidden(entry: Entry, at: number, { keys, runs }: Explained, place: number): Shown | undefined {
    const world = past.view(at - 1);
    let hidden: Shown | undefined;
    runs.forEach(({ queue, from, to, linkOnly }, index) => {
      if (index === place) hidden = apply(world, entry.sent);
      for (const { sent } of queue.entries.slice(from, to)) apply(world, sent, linkOnly);
    });
    const end = past.view(at).owners;
    const isTheSame = keys.every((key) => isUnchanged(world.owners.get(key), end.get(key)));
    return isTheSame && hidden !== undefined && reading.isAsShown(entry, hidden) ? hidden : undefined;
  }
}
