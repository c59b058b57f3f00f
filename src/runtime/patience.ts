import type { Clock, Random } from './clock.ts';

/** How long to wait between tries of one idempotent call, and when to stop trying. */
export interface Patience {
  readonly clock: Clock;
  readonly random: Random;
  /** True for errors that time alone can cure. */
  readonly passing: (error: unknown) => boolean;
  /** True once nobody waits for the result any more: the next failure is thrown. */
  readonly givenUp: () => boolean;
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * Repeats one idempotent call for as long as the other side is away. An outage is ours, not the event's: it shows as lag
 * (delivery.md section 4), so there is no limit but `givenUp`. Other errors pass through at once.
 */
export async function untilAvailable<T>(patience: Patience, call: () => Promise<T>): Promise<T> {
  for (let waitMs = patience.minMs; ; waitMs = Math.min(waitMs * 2, patience.maxMs)) {
    try {
      return await call();
    } catch (error) {
      if (!patience.passing(error) || patience.givenUp()) throw error;
    }
    // Jitter, so that the pods of a fleet do not come back in step.
    await sleep(patience.clock, waitMs * (1 + patience.random.next() * 0.2));
  }
}

/** Resolves when the work has, and after `limitMs` at the latest. Rejects when the work does in time. */
export function withinMs(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const limit = clock.after(limitMs, resolve);
    work.then(() => resolve(), reject).finally(() => limit.cancel());
  });
}

/** Resolves after `delayMs` of the clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
