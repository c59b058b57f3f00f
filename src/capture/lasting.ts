import { createOverflowLimiter, type OverflowLimiter } from '../domain/overflow.ts';
import { createBudget, type Budget } from './body.ts';
import { createInflate, type Inflate } from './inflate.ts';
import { createTurnstile, type Turnstile } from './turnstile.ts';
import type { Clock } from '../runtime/clock.ts';
import { limitsOf, type CaptureLimits } from './limits.ts';

/**
 * What the chains of one capture have in common. A chain is built from settings and thrown away with them (docs/adr/0023); what bounds the
 * process must be one for the requests of the old chain and of the new one, so it is made once, and handed in.
 */
export interface Lasting {
  /** The bytes that the bodies of all requests hold. */
  readonly bodies: Budget;
  readonly inflate: Inflate;
  readonly turnstile: Turnstile;
  /** Of `/putmessage`: the bytes of messages that were answered before they are durable. */
  readonly unacknowledged: Budget;
  /** The chain that was built last is in force from now on, and these limits for it and for the ones before it. */
  readonly enforce: (limits: LastingLimits) => void;
  /** The token buckets of these rates. Those that are in force stay as they are; other rates begin with full buckets. */
  readonly overflowLimiter: (rates: OverflowRates) => OverflowLimiter;
}

export type LastingLimits = Pick<CaptureLimits, 'inFlightBytes' | 'concurrentCount'>;

export interface OverflowRates {
  readonly perSecond: number;
  readonly burstCount: number;
}

interface Buckets {
  readonly rates: OverflowRates;
  readonly limiter: OverflowLimiter;
}

/** Bytes of messages that may be answered before they are durable; beyond it their answer waits. */
const UNACKNOWLEDGED_BYTES = 32 << 20;

export function createLasting(clock: Clock, limits?: Partial<CaptureLimits>): Lasting {
  const { inFlightBytes, inflateCount } = limitsOf(limits);
  const bodies = createBudget(inFlightBytes);
  const turnstile = createTurnstile(clock);
  let buckets: Buckets | undefined;
  /** Of a chain that is built and not in force, and may never be. */
  let prepared: Buckets | undefined;
  return {
    bodies,
    inflate: createInflate(inflateCount),
    turnstile,
    unacknowledged: createBudget(UNACKNOWLEDGED_BYTES),
    enforce(next) {
      buckets = prepared ?? buckets;
      prepared = undefined;
      bodies.limit(next.inFlightBytes);
      turnstile.limit(next.concurrentCount);
    },
    overflowLimiter(rates) {
      const { perSecond, burstCount } = rates;
      prepared = undefined;
      if (buckets?.rates.perSecond === perSecond && buckets.rates.burstCount === burstCount) return buckets.limiter;
      prepared = { rates, limiter: createOverflowLimiter({ capacityCount: burstCount, replenishPerSecond: perSecond }) };
      return prepared.limiter;
    },
  };
}
