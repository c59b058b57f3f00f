import { state } from '../observe/facts.ts';
import { watchLimitedSets, type LimitedSetsSource } from './limited-sets.ts';
import type { Closing } from './repeated.ts';

/** Which sessions send more recordings than PostHog's consumers of recordings want on their main topic (spec/capture.md 7.2). */
export interface ReplayOverflow {
  /** Reads memory, never waits. */
  readonly isOverflowing: (sessionId: string) => boolean;
}

export const NO_REPLAY_OVERFLOW: ReplayOverflow = { isOverflowing: () => false };

/** Sessions that those consumers have written down: see watchLimitedSets for what holds when Redis is away. */
export function watchReplayOverflow(source: LimitedSetsSource): ReplayOverflow & Closing {
  const { has, close } = watchLimitedSets({
    ...source,
    keys: new Map([['replay', '@posthog/capture-overflow/replay']]),
    operation: 'replay-overflow',
    onRead: (_, sessions) => state('capture-replay-overflow-read', { sessions }),
  });
  return { isOverflowing: (sessionId) => has('replay', sessionId), close };
}
