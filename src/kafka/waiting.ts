import type { Clock } from '../runtime/clock.ts';
import { protocolErrorOf } from './connection.ts';

const DELAY_MS = 100;

/** What a broker answers about a topic that is there, when it has not heard of it yet or its leader is being chosen. */
const NOT_YET = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION']);

/**
 * Asks about topics that were just made until the broker knows them: each broker of a cluster learns it at its own time.
 * @throws the last answer when that takes longer than `limitMs`, or any other error at once.
 */
export async function untilTopicsAreKnown<Answer>(clock: Clock, limitMs: number, question: () => Promise<Answer>): Promise<Answer> {
  const deadline = clock.monotonic() + limitMs;
  for (;;) {
    try {
      return await question();
    } catch (error) {
      if (!NOT_YET.has(protocolErrorOf(error) ?? '') || clock.monotonic() >= deadline) throw error;
    }
    await new Promise<void>((resolve) => void clock.after(DELAY_MS, resolve));
  }
}

/** Resolves with what `work` resolves to, or with 'late' after `limitMs`; `work` goes on. Rejects as `work` does. */
export async function within<Result>(clock: Clock, limitMs: number, work: Promise<Result>): Promise<Result | 'late'> {
  const late = Promise.withResolvers<'late'>();
  const timer = clock.after(limitMs, () => late.resolve('late'));
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    timer.cancel();
  }
}
