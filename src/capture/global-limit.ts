import { state } from '../observe/facts.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';
import { repeated, type Closing } from './repeated.ts';

/** Which keys send more than all processes together should take of one (spec/capture.md 7.2, the global limiter). */
export interface GlobalLimit {
  /** Counts one event of the key. Whether it is one too many. Works in memory, never waits. */
  readonly isBeyond: (key: string) => boolean;
}

export const NO_GLOBAL_LIMIT: GlobalLimit = { isBeyond: () => false };

export interface GlobalLimitOptions {
  readonly store: Pick<StateStore, 'increment'>;
  readonly keyPrefix: string;
  readonly clock: Clock;
  /** Events of a key in a window. */
  readonly threshold: number;
  readonly windowMs: number;
  /** How often processes tell each other what they counted. @defaultValue 1,000 */
  readonly intervalMs?: number;
  /** Keys with fewer events than this in a window are nobody's concern but ours. @defaultValue 10 */
  readonly toldFromCount?: number;
  /** Keys of one telling. @defaultValue 2,000 */
  readonly toldAtOnceCount?: number;
  /** @defaultValue 200,000 */
  readonly capacityCount?: number;
}

interface Count {
  window: number;
  /** Of all processes, in this window, when they were last told. */
  told: number;
  /** Ours since then. */
  untold: number;
  /** Of all processes, in the window before. */
  before: number;
}

const KEY = '@ph/grl/capture/tok_distid/events';

/**
 * Role: counts events by key (docs/adr/0022), over all processes, in windows that slide: what is counted of the window before fades as this one goes on.
 *
 *     counting in memory, and every intervalMs: telling Redis what is new ──its answer──▶ what all have counted
 *
 * L1 A request only counts in memory. What others have counted of a key is known since we last told of it ourselves.
 * L2 Without Redis each process limits by what it has counted itself: a key that is too much for one is too much for all.
 * L3 What could not be told is told later, in the same window; of a window that is over nothing is told.
 * L4 At most `capacityCount` keys are counted; when there is no room, even after those that are silent have gone, a new key is not limited.
 */
export function createGlobalLimit(options: GlobalLimitOptions): GlobalLimit & Closing {
  const { store, keyPrefix, clock, threshold, windowMs, intervalMs = 1_000 } = options;
  const { toldFromCount = 10, toldAtOnceCount = 2_000, capacityCount = 200_000 } = options;
  const counts = new Map<string, Count>();

  let sweptWindow = -Infinity;

  const windowNow = (): number => Math.floor(clock.now() / windowMs);

  function turn(count: Count, window: number): void {
    if (count.window === window) return;
    count.before = count.window === window - 1 ? count.told + count.untold : 0;
    count.window = window;
    count.told = 0;
    count.untold = 0;
  }

  /** L4 */
  function made(key: string, window: number): Count | undefined {
    if (counts.size >= capacityCount && sweptWindow < window) {
      sweptWindow = window; // once in a window: whoever is silent now is so from its beginning
      for (const [silent, count] of counts) if (count.window < window) counts.delete(silent);
    }
    if (counts.size >= capacityCount) return undefined;
    const count = { window, told: 0, untold: 0, before: 0 };
    counts.set(key, count);
    return count;
  }

  /** Of a key, so that others hear of it; what they counted comes back. */
  async function tell(key: string, count: Count): Promise<void> {
    const { window, untold } = count;
    const all = await store.increment(`${keyPrefix}${KEY}:${window}:${key}`, untold, windowMs * 2);
    if (count.window !== window) return; // L3
    count.told = all;
    count.untold -= untold;
  }

  async function tellAll(): Promise<void> {
    const window = windowNow();
    const telling: Promise<void>[] = [];
    for (const [key, count] of counts) {
      if (count.window < window - 1) counts.delete(key);
      if (count.window !== window || count.untold === 0 || count.told + count.untold < toldFromCount) continue;
      telling.push(tell(key, count));
      if (telling.length === toldAtOnceCount) break;
    }
    const results = await Promise.allSettled(telling);
    const failed = results.find((result) => result.status === 'rejected'); // L2: one fact for all of them
    if (failed === undefined) return;
    const message = failed.reason instanceof Error ? failed.reason.message : String(failed.reason);
    state('state-store-unavailable', { operation: 'global-limit', message });
  }

  const { close } = repeated({ clock, intervalMs }, tellAll);
  return {
    isBeyond(key) {
      const window = windowNow();
      const count = counts.get(key) ?? made(key, window);
      if (count === undefined) return false;
      turn(count, window);
      count.untold++;
      const goneBy = clock.now() / windowMs - window;
      return count.told + count.untold + count.before * (1 - goneBy) > threshold;
    },
    close,
  };
}
