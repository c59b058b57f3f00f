import { createRoster } from '../domain/roster.ts';
import { state } from '../observe/facts.ts';
import type { Clock, Timer } from '../runtime/clock.ts';

/**
 * Lets at most so many requests in at a time (`CONCURRENCY_LIMIT`); the others wait, in the order they came. Who waits holds a
 * connection and no body: nothing of it is read, and TCP holds the client back.
 *
 * I1 Of those that were let in and have not left there are never more than the limit, except while a lower limit is new.
 * I2 Nobody waits while there is room.
 */
export interface Turnstile {
  /** 0: no limit. */
  limit(count: number): void;
  /**
   * Resolves with true when the request is in: it must `leave`. With false when `waitMs` have passed, or `gone` was called by the function
   * that it is given: it must not.
   */
  enter(waitMs: number, whenGone: (gone: () => void) => void): Promise<boolean> | true;
  leave(): void;
}

interface Waiting {
  readonly admit: () => void;
}

export function createTurnstile(clock: Clock): Turnstile {
  let limitCount = 0;
  let inside = 0;
  /** Those that wait, the first that came first. */
  const queue = createRoster<Waiting>();

  const hasRoom = (): boolean => limitCount === 0 || inside < limitCount;
  const told = (): void => state('capture-requests-waiting-changed', { count: queue.size });

  function admitNext(): void {
    for (let next = queue.oldest(); next !== undefined && hasRoom(); next = queue.oldest()) next.admit();
  }

  function wait(waitMs: number, whenGone: (gone: () => void) => void): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isIn: boolean): void => {
        if (!queue.leave(place)) return;
        timer.cancel();
        told();
        if (isIn) inside++;
        resolve(isIn);
      };
      const place = queue.add({ admit: () => end(true) });
      const timer: Timer = clock.after(waitMs, () => end(false));
      whenGone(() => end(false));
      told();
    });
  }

  return {
    limit(count) {
      limitCount = count;
      admitNext();
    },
    enter(waitMs, whenGone) {
      if (!hasRoom()) return wait(waitMs, whenGone);
      inside++;
      return true;
    },
    leave() {
      inside--;
      admitNext();
    },
  };
}
