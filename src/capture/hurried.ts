import { messageOf } from '../domain/strings.ts';
import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';

/**
 * Role: asks a store while a request waits, and never lets it wait for long.
 *
 *     asking ──no answer in limitMs, or a refusal──▶ resting ──restMs──▶ asking
 *
 * H1 Whoever asks has an answer, or undefined after `limitMs`; nothing is thrown.
 * H2 A stall of our own process is not held against the store: before it is given up, what has arrived meanwhile is read.
 * H3 While it rests nobody is asked: a store that hangs costs a request in a while, not each of them. Those that were on their way are still heard.
 */
export interface Hurried {
  /** @param operation what facts of a failure call this */
  ask<T>(operation: string, question: () => Promise<T>): Promise<T | undefined>;
}

export interface HurriedOptions {
  readonly clock: Clock;
  readonly limitMs: number;
  /** @defaultValue 1,000 */
  readonly restMs?: number;
}

export function createHurried({ clock, limitMs, restMs = 1_000 }: HurriedOptions): Hurried {
  let restsUntilMs = -Infinity;

  function miss(operation: string, message: string): undefined {
    restsUntilMs = clock.monotonic() + restMs;
    state('state-store-unavailable', { operation, message });
  }

  return {
    ask<T>(operation: string, question: () => Promise<T>): Promise<T | undefined> {
      if (clock.monotonic() < restsUntilMs) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        let isOver = false;
        const end = (answer: T | undefined, problem?: string): void => {
          if (isOver) return; // the answer of one that was given up
          isOver = true;
          limit.cancel();
          resolve(problem === undefined ? answer : miss(operation, problem));
        };
        // H2: timers that are late run before the sockets are looked at. Another timer runs after that.
        let limit = clock.after(limitMs, () => (limit = clock.after(0, () => end(undefined, `no answer within ${limitMs} ms`))));
        question().then(
          (answer) => end(answer),
          (error: unknown) => end(undefined, messageOf(error)),
        );
      });
    },
  };
}
