import type { CaptureTopics } from '../capture/classify.ts';
import { createGlobalLimit, type GlobalLimit } from '../capture/global-limit.ts';
import { createHurried, type Hurried } from '../capture/hurried.ts';
import { watchQuotas, type Quotas } from '../capture/quotas.ts';
import type { Closing } from '../capture/repeated.ts';
import { watchReplayOverflow, type ReplayOverflow } from '../capture/replay-overflow.ts';
import { watchRestrictions, type Restrictions } from '../capture/restrictions/watch.ts';
import type { CaptureOptions } from '../capture/options.ts';
import { createTokenRegistry, type TokenRegistry } from '../capture/tokens/registry.ts';
import type { Config } from '../config/schema.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

export interface CaptureLimitsParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
  readonly redis: StateStore;
  readonly topics: CaptureTopics;
}

/** What capture knows from Redis, and how it asks there. It outlives the chains that ask; what was off at the start is undefined and stays off. */
export interface CaptureInRedis {
  readonly store: StateStore;
  readonly hurried: Hurried;
  readonly quotas: Quotas;
  readonly restrictions: Restrictions | undefined;
  readonly replayOverflow: ReplayOverflow | undefined;
  readonly registry: TokenRegistry | undefined;
  readonly globalLimit: GlobalLimit | undefined;
}

/** Begins to read what limits events; it ends with the closers. */
export function openCaptureInRedis({ config, clock, closers, redis: store, topics }: CaptureLimitsParts): CaptureInRedis {
  const { tokens, redis } = config;
  const { keyPrefix } = redis;
  const hurried = createHurried({ clock, limitMs: tokens.redisWaitMs });
  const openTopics = new Set([...Object.values(topics), ...tokens.openTopics]);
  function reading<Reader extends Closing>(name: string, reader: Reader): Reader {
    closers.push(name, () => Promise.resolve(reader.close()));
    return reader;
  }

  return {
    store,
    hurried,
    quotas: reading('the reader of quotas', watchQuotas({ store, keyPrefix, clock })),
    restrictions: tokens.restrictions
      ? reading(
          'the reader of event restrictions',
          watchRestrictions({
            store,
            clock,
            topics: openTopics,
            intervalMs: tokens.restrictionsRefreshS * 1_000,
            staleMs: tokens.restrictionsStaleS * 1_000,
          }),
        )
      : undefined,
    replayOverflow: tokens.replayOverflow
      ? reading('the reader of overflowing sessions', watchReplayOverflow({ store, keyPrefix, clock }))
      : undefined,
    globalLimit: tokens.globalLimit
      ? reading(
          'the global limit',
          createGlobalLimit({ store, keyPrefix, clock, threshold: tokens.globalThresholdCount, windowMs: tokens.globalWindowS * 1_000 }),
        )
      : undefined,
    registry: tokens.settings
      ? createTokenRegistry({ store, hurried, keyPrefix, clock, topics: openTopics, refreshMs: tokens.settingsRefreshMs })
      : undefined,
  };
}

/** What the settings make of it: only computes, so that changed settings make a chain of their own. Without Redis nobody is limited by what stands there. */
export function captureLimitsOf(
  { capture, tokens, redis }: Config,
  known: CaptureInRedis | undefined,
): Pick<CaptureOptions, 'quotas' | 'restrictions' | 'replayOverflow' | 'globalLimit' | 'dedupe' | 'tokens' | 'spending'> {
  const { listed, unknown, allowances, ratePerS, rateBurstCount, rateOver } = tokens;
  const refusesUnknown = (unknown ?? (listed.length > 0 ? 'refuse' : 'accept')) === 'refuse';
  const admission = { tokens: { listed, refusesUnknown, registry: known?.registry } };
  if (known === undefined) return admission;
  const { store, hurried, quotas, restrictions, replayOverflow, globalLimit, registry } = known;
  const rate = ratePerS > 0 ? { perSecond: ratePerS, burstCount: rateBurstCount } : undefined;
  return {
    ...admission,
    quotas,
    ...(restrictions && { restrictions }),
    ...(replayOverflow && { replayOverflow }),
    ...(globalLimit && { globalLimit }),
    ...(capture.dedupeMs > 0 && { dedupe: { store, ttlMs: capture.dedupeMs } }),
    ...((allowances || rate !== undefined || registry !== undefined) && {
      spending: { store, hurried, keyPrefix: redis.keyPrefix, hasAllowances: allowances, rates: { rate, over: rateOver } },
    }),
  };
}
