import { createHash, timingSafeEqual } from 'node:crypto';
import { createOverflowLimiter } from '../../domain/overflow.ts';
import type { Clock } from '../../runtime/clock.ts';
import { sleep } from '../../runtime/patience.ts';

/** Who asks, as far as the token says. */
export type Entry =
  | { readonly type: 'known'; readonly who: string }
  | { readonly type: 'refused'; readonly reason: 'missing' | 'wrong' }
  /** Known or not, there were too many. */
  | { readonly type: 'too-many' };

export interface DoorOptions {
  /** Those of now: they may be replaced while the process runs. */
  readonly tokens: () => readonly { readonly name: string; readonly secret: string }[];
  readonly clock: Clock;
}

/** Requests that one token may make at once, and for ever. */
const BURST_COUNT = 30;
const PER_SECOND = 2;
/** Wrong tokens that are answered at once, and how many more of them each second brings. */
const FREE_FAILURES = 5;
const FAILURES_PER_SECOND = 0.1;
const SLOW_MS = 1_000;
/** Wrong ones that wait for their slow answer; beyond it they get it at once, as too many. */
const SLOW_AT_ONCE = 10;

/**
 * Role: lets in who has a token.
 *
 * T1 A token is compared in constant time, with all there are, whichever of them is right.
 * T2 After some wrong tokens each further wrong answer takes a second, and only a few wait for one. Who has a right one notices nothing of it.
 * T3 A token has a rate.
 */
export function createDoor({ tokens, clock }: DoorOptions): (authorization: string | undefined) => Promise<Entry> {
  const failures = createOverflowLimiter({ capacityCount: FREE_FAILURES, replenishPerSecond: FAILURES_PER_SECOND });
  const rates = createOverflowLimiter({ capacityCount: BURST_COUNT, replenishPerSecond: PER_SECOND, maxBuckets: 1_000 });
  let slow = 0;

  async function refuse(reason: 'missing' | 'wrong'): Promise<Entry> {
    if (failures.take('', clock.now())) return { type: 'refused', reason };
    if (slow >= SLOW_AT_ONCE) return { type: 'too-many' };
    slow++;
    await sleep(clock, SLOW_MS);
    slow--;
    return { type: 'refused', reason };
  }

  return async (authorization) => {
    const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) return refuse('missing');
    let who: string | undefined;
    for (const { name, secret } of tokens()) if (isSame(given, secret)) who = name;
    if (who === undefined) return refuse('wrong');
    return rates.take(who, clock.now()) ? { type: 'known', who } : { type: 'too-many' };
  };
}

/** T1: digests have one length, so that not even the length of a token is told by the time this takes. */
const isSame = (one: string, other: string): boolean => timingSafeEqual(digest(one), digest(other));
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
