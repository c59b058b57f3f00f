import type { Clock, Random, Timer } from '../../src/runtime/clock.ts';

/** A clock that stands still until a test moves it. Timers due run in order of time, then of their making, each at its own time. */
export interface ManualClock extends Clock {
  /** Moves time on and runs what falls due on the way, also timers made meanwhile. Microtasks do not run in between: see `settle`. */
  advance(byMs: number): void;
  /** Runs the next timer, at its time; false when there is none. */
  step(): boolean;
  readonly pendingCount: number;
}

interface Pending extends Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** `startMs` is the wall time at monotonic 0. */
export function manualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  const pending = new Set<Pending>();
  let nowMs = 0;
  let order = 0;

  function next(): Pending | undefined {
    let first: Pending | undefined;
    for (const one of pending) {
      if (first === undefined || one.atMs < first.atMs || (one.atMs === first.atMs && one.order < first.order)) first = one;
    }
    return first;
  }

  function step(untilMs: number): boolean {
    const first = next();
    if (first === undefined || first.atMs > untilMs) return false;
    pending.delete(first);
    nowMs = Math.max(nowMs, first.atMs);
    first.run();
    return true;
  }

  return {
    now: () => startMs + nowMs,
    monotonic: () => nowMs,
    after(delayMs, run) {
      const one: Pending = { atMs: nowMs + Math.max(0, delayMs), order: ++order, run, cancel: () => pending.delete(one) };
      pending.add(one);
      return one;
    },
    advance(byMs) {
      const untilMs = nowMs + byMs;
      while (step(untilMs));
      nowMs = untilMs;
    },
    step: () => step(Infinity),
    get pendingCount() {
      return pending.size;
    },
  };
}

/** Reproducible chance: mulberry-like 32-bit mixing of a counter. */
export interface SeededRandom extends Random {
  /** Uniform integer in [0, count). */
  below(count: number): number;
  pick<T>(from: readonly T[]): T;
}
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
  const below = (count: number): number => Math.floor(next() * count);
  return {
    next,
    below,
    pick(from) {
      const found = from[below(from.length)];
      if (found === undefined) throw new RangeError('Nothing to pick from.');
      return found;
    },
  };
}
