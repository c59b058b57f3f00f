import type { Clock, Timer } from './clock.ts';

/**
 * Every wait of the runtime (asks, backoffs, actor timers, sweeps) on ONE timer of the clock: a binary heap ordered by due time,
 * then by order of entry.
 *
 * I1 `run` is called at most once, never after `cancel`, never before its time.
 * I2 entries due at the same time run in the order they were added.
 * I3 a cancelled entry leaves the heap at once: nothing grows with settled asks.
 */
export interface DeadlineQueue {
  add(delayMs: number, run: () => void): Timer;
  readonly pendingCount: number;
  /** Forgets all entries; none will run. Later ones are ignored. */
  close(): void;
}

interface Entry extends Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  index: number;
}

export function createDeadlineQueue(clock: Clock): DeadlineQueue {
  const heap: Entry[] = [];
  let order = 0;
  let armed: Timer | undefined;
  let armedAtMs = Infinity;
  let closed = false;

  const isBefore = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

  function place(entry: Entry, index: number): void {
    heap[index] = entry;
    entry.index = index;
  }

  function up(entry: Entry): void {
    let index = entry.index;
    while (index > 0) {
      const parent = heap[(index - 1) >> 1];
      if (parent === undefined || !isBefore(entry, parent)) break;
      const above = parent.index;
      place(parent, index);
      index = above;
    }
    place(entry, index);
  }

  function down(entry: Entry): void {
    let index = entry.index;
    for (;;) {
      const left = heap[2 * index + 1];
      const right = heap[2 * index + 2];
      const least = right !== undefined && left !== undefined && isBefore(right, left) ? right : left;
      if (least === undefined || !isBefore(least, entry)) break;
      const below = least.index;
      place(least, index);
      index = below;
    }
    place(entry, index);
  }

  function remove(entry: Entry): void {
    if (entry.index < 0) return;
    const last = heap.pop();
    if (last !== undefined && last !== entry) {
      place(last, entry.index);
      up(last);
      down(last);
    }
    entry.index = -1;
  }

  function arm(): void {
    const first = heap[0];
    if (first === undefined) {
      armed?.cancel();
      armed = undefined;
      armedAtMs = Infinity;
    } else if (first.atMs < armedAtMs) {
      // a later first entry keeps the earlier timer: it fires, finds nothing due and arms again
      armed?.cancel();
      armedAtMs = first.atMs;
      armed = clock.after(Math.max(0, first.atMs - clock.monotonic()), fire);
    }
  }

  function fire(): void {
    armed = undefined;
    armedAtMs = Infinity;
    const nowMs = clock.monotonic();
    const lastOrder = order;
    for (;;) {
      const first = heap[0];
      // entries added by what runs here wait for the next firing, so a zero delay cannot hold the loop
      if (closed || first === undefined || first.atMs > nowMs || first.order > lastOrder) break;
      remove(first);
      first.run();
    }
    arm();
  }

  return {
    add(delayMs, run) {
      const entry: Entry = {
        atMs: clock.monotonic() + Math.max(0, delayMs),
        order: ++order,
        run,
        index: heap.length,
        cancel() {
          remove(entry);
          if (heap.length === 0) arm();
        },
      };
      if (closed) {
        entry.index = -1;
        return entry;
      }
      heap.push(entry);
      up(entry);
      arm();
      return entry;
    },
    get pendingCount() {
      return heap.length;
    },
    close() {
      closed = true;
      for (const entry of heap) entry.index = -1;
      heap.length = 0;
      arm();
    },
  };
}
