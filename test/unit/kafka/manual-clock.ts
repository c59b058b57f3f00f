import type { Clock } from '../../../src/runtime/clock.ts';

/** A clock that stands still until `advance`. */
export interface ManualClock extends Clock {
  /** Moves time, running what falls due in order, and lets promises settle in between. */
  advance(byMs: number): Promise<void>;
  /** Timers that are armed. */
  readonly armed: number;
}

export function createManualClock(): ManualClock {
  let now = 0;
  let timers: { readonly at: number; readonly run: () => void }[] = [];
  return {
    now: () => 1_700_000_000_000 + now,
    monotonic: () => now,
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((one) => one !== timer)) };
    },
    async advance(byMs) {
      const until = now + byMs;
      for (;;) {
        await settle();
        const [due] = timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (due === undefined) break;
        timers = timers.filter((one) => one !== due);
        now = Math.max(now, due.at);
        due.run();
      }
      now = until;
      await settle();
    },
    get armed() {
      return timers.length;
    },
  };
}

/** Lets every promise that can settle do so. */
export const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A small seeded generator (mulberry32), so that a failing seed can be run again. */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
