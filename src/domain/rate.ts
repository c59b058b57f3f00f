/**
 * The generic cell rate algorithm for events that come in bunches: a rate is one number, the time up to which its events are paid for. An event costs
 * `intervalUs` of it; `burstCount` events may be paid in advance.
 *
 * G1 Between any two moments, at most `burstCount` and what the time between them pays for have passed.
 * G2 What is not granted costs nothing.
 *
 * All numbers are whole microseconds, so nothing is lost to rounding. `src/redis/scripts/take-rates.ts` is the same in Lua.
 */
export interface RateQuestion {
  readonly count: number;
  readonly intervalUs: number;
  readonly burstCount: number;
  /** All or none. A bunch larger than the burst is granted when the whole burst is free; then it owes the rest. */
  readonly wholly: boolean;
}

export interface RateAnswer {
  readonly granted: number;
  /** Until the rest would be granted, or the first of it. */
  readonly waitUs: number;
  readonly paidUntilUs: number;
}

/** @param paidUntilUs NaN: nothing is known, so the whole burst is free */
export function askRate(paidUntilUs: number, nowUs: number, { count, intervalUs, burstCount, wholly }: RateQuestion): RateAnswer {
  const paid = Math.max(nowUs, Number.isFinite(paidUntilUs) ? paidUntilUs : 0);
  const room = Math.max(0, Math.floor((nowUs - paid) / intervalUs) + burstCount);
  const needed = wholly ? Math.min(count, burstCount) : 1;
  const granted = wholly ? (room >= needed ? count : 0) : Math.min(count, room);
  const after = paid + granted * intervalUs;
  const waitUs = granted === count ? 0 : Math.max(0, after + (needed - burstCount) * intervalUs - nowUs);
  return { granted, waitUs, paidUntilUs: after };
}
