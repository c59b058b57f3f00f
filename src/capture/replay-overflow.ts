import { state } from '../observe/facts.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';
import { watchLimitedSets } from './limited-sets.ts';
import type { Closing } from './repeated.ts';

/** Which sessions send more recordings than PostHog's consumers of recordings want on their main topic (spec/capture.md 7.2). */
export interface ReplayOverflow {
  /** Reads memory, never waits. */
  readonly isOverflowing: (sessionId: string) => boolean;
}

export const NO_REPLAY_OVERFLOW: ReplayOverflow = { isOverflowing: () => false };

export interface ReplayOverflowOptions {
  readonly store: Pick<StateStore, 'rankFrom'>;
  readonly keyPrefix: string;
  readonly clock: Clock;
  /** @defaultValue 5,000 */
  readonly intervalMs?: number;
}

/** Sessions that those consumers have written down: see watchLimitedSets for what holds when Redis is away. */
export function watchReplayOverflow({ store, keyPrefix, clock, intervalMs = 5_000 }: ReplayOverflowOptions): ReplayOverflow & Closing {
  const { has, close } = watchLimitedSets({
    store,
    keys: new Map([['replay', `${keyPrefix}@posthog/capture-overflow/replay`]]),
    clock,
    intervalMs,
    operation: 'replay-overflow',
    onRead: (_, sessions) => state('capture-replay-overflow-read', { sessions }),
  });
  return { isOverflowing: (sessionId) => has('replay', sessionId), close };
}
