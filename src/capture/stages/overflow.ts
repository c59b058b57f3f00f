import type { OverflowLimiter } from '../../domain/overflow.ts';
import { state } from '../../observe/facts.ts';
import type { Batch, Stage } from '../batch.ts';
import type { OverflowRates } from '../lasting.ts';
import { NO_PERSON, withHeaders } from '../routed.ts';
import type { PreparedEvent } from './prepare.ts';

export interface OverflowSettings {
  /** Undefined: no key has too many. */
  readonly limits: OverflowRates | undefined;
  /** Whether a record that overflows keeps its key, and its key its order. */
  readonly keepsKeys: boolean;
  /** What overflows whatever its rate: each a `token` or an event key. */
  readonly forced: readonly string[];
}

type Reason = 'force_limited' | 'rate_limited';

/**
 * Sends aside what a key has too many of, so that one key does not hold up its partition (spec/capture.md 7.2, as of 2025): to the
 * overflow topic, without a key unless it is kept. What is forced there loses its key always, and says that it wants no person.
 * Only the main lane overflows. The buckets are this process's own, and bounded; `limiterOf` has them, because they outlive the chain.
 */
export function overflow(
  { limits, keepsKeys, forced }: OverflowSettings,
  limiterOf: (limits: OverflowRates) => OverflowLimiter,
): Stage<PreparedEvent> {
  const entries = new Set(forced);
  const limiter = limits === undefined ? undefined : limiterOf(limits);
  if (limiter === undefined && entries.size === 0) return (next) => next;

  function reasonOf({ key, lane, topic }: PreparedEvent, { token, exchange }: Batch<PreparedEvent>): Reason | undefined {
    if (lane !== 'main' || topic !== undefined) return undefined;
    if (entries.has(token) || entries.has(key)) return 'force_limited';
    return limiter === undefined || limiter.take(key, exchange.receivedMs) ? undefined : 'rate_limited';
  }

  return (next) => (batch) => {
    const counts = { force_limited: 0, rate_limited: 0 };
    const events = batch.events.map((event) => {
      const reason = reasonOf(event, batch);
      if (reason === undefined) return event;
      counts[reason]++;
      return reason === 'force_limited'
        ? forcedAside(event)
        : { ...event, lane: 'overflow' as const, isKeyless: event.isKeyless || !keepsKeys };
    });
    for (const reason of ['force_limited', 'rate_limited'] as const) {
      if (counts[reason] > 0) state('capture-events-rerouted', { to: 'overflow', reason, count: counts[reason] });
    }
    if (limiter !== undefined) state('capture-overflow-keys-counted', { count: limiter.bucketCount });
    return next({ ...batch, events });
  };
}

function forcedAside(event: PreparedEvent): PreparedEvent {
  return withHeaders({ ...event, lane: 'overflow', isKeyless: true }, NO_PERSON);
}
