import type { CaptureTopics } from '../capture/classify.ts';
import { watchQuotas } from '../capture/quotas.ts';
import type { Closing } from '../capture/repeated.ts';
import { watchReplayOverflow } from '../capture/replay-overflow.ts';
import { watchRestrictions } from '../capture/restrictions/watch.ts';
import type { CaptureOptions } from '../capture/service.ts';
import type { Config } from '../config/schema.ts';
import type { StateStore } from '../redis/port.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

export interface CaptureLimitsParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
  /** Undefined without Redis: then nobody is limited by what stands there. */
  readonly redis: StateStore | undefined;
  readonly topics: CaptureTopics;
}

/** What capture keeps and asks in Redis. It outlives the chain that asks: a chain that is built anew is given the same. */
export type CaptureInRedis = Pick<CaptureOptions, 'quotas' | 'restrictions' | 'replayOverflow'>;

/** Begins to read what limits events; it ends with the closers. */
export function openCaptureLimits({ config, clock, closers, redis: store, topics }: CaptureLimitsParts): CaptureInRedis {
  if (store === undefined) return {};
  const { capture, redis } = config;
  const reading = <Reader extends Closing>(name: string, reader: Reader): Reader => {
    closers.push(name, () => {
      reader.close();
      return Promise.resolve();
    });
    return reader;
  };
  const { keyPrefix } = redis;
  return {
    quotas: reading('the reader of quotas', watchQuotas({ store, keyPrefix, clock })),
    ...(capture.restrictions && {
      restrictions: reading(
        'the reader of event restrictions',
        watchRestrictions({
          store,
          clock,
          topics: new Set([...Object.values(topics), ...capture.openTopics]),
          intervalMs: capture.restrictionsRefreshS * 1_000,
          staleMs: capture.restrictionsStaleS * 1_000,
        }),
      ),
    }),
    ...(capture.replayOverflow && {
      replayOverflow: reading('the reader of overflowing sessions', watchReplayOverflow({ store, keyPrefix, clock })),
    }),
  };
}
