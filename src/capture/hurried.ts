import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';

/**
 * Role: asks a store while a request waits, and never lets it wait for long.
 *
 *     asking ──no answer in limitMs, or a refusal──▶ resting ──restMs──▶ asking
 *
 * H1 Whoever asks has an answer, or undefined within `limitMs`; nothing is thrown.
 * H2 While it rests nobody is asked: a store that hangs costs a request in a while, not each of them. Those that were on their way are still heard.
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
    ask(operation, question) {
      if (clock.monotonic() < restsUntilMs) return Promise.resolve(undefined);
      return new Promise((resolve) => {
        const limit = clock.after(limitMs, () => resolve(miss(operation, `no answer within ${limitMs} ms`)));
        question().then(
          (answer) => {
            limit.cancel();
            resolve(answer);
          },
          (error: unknown) => {
            limit.cancel();
            resolve(miss(operation, error instanceof Error ? error.message : String(error)));
          },
        );
      });
    },
  };
}
