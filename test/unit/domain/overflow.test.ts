import { describe, expect, it } from 'vitest';
import { createOverflowLimiter } from '../../../src/domain/overflow.ts';
import { seededRandom } from '../../kit/clock.ts';

/** Each step: how many records of a key at a Kafka time (ms), and how many of them pass. */
interface Case {
  readonly name: string;
  readonly capacity: number;
  readonly perSecond: number;
  readonly steps: readonly (readonly [atMs: number, records: number, passing: number])[];
}

const CASES: readonly Case[] = [
  { name: 'B-3: first use creates a full bucket', capacity: 10, perSecond: 1, steps: [[1_000_000, 12, 10]] },
  { name: 'B-3: the refill is by the rate', capacity: 10, perSecond: 2, steps: [[0, 10, 10], [500, 3, 1], [2_000, 9, 3]] }, // prettier-ignore
  { name: 'B-3: never above the capacity', capacity: 3, perSecond: 1, steps: [[0, 3, 3], [3_600_000, 9, 3]] }, // prettier-ignore
  { name: 'B-3: fractions of a token add up', capacity: 1, perSecond: 0.1, steps: [[0, 1, 1], [4_000, 1, 0], [9_000, 1, 0], [10_000, 1, 1]] }, // prettier-ignore
  { name: 'B-3: time that stands still refills nothing', capacity: 2, perSecond: 1, steps: [[5, 2, 2], [5, 4, 0]] }, // prettier-ignore
  { name: 'B-3: time going backwards refills nothing', capacity: 2, perSecond: 1, steps: [[60_000, 2, 2], [0, 4, 0], [59_999, 1, 0]] }, // prettier-ignore
  { name: 'O2: the next refill counts from the newest record', capacity: 5, perSecond: 1, steps: [[60_000, 5, 5], [0, 1, 0], [61_000, 3, 1]] }, // prettier-ignore
  { name: 'sharp edge 3: an hour of backlog is an hour, however fast it is read', capacity: 1, perSecond: 1, steps: [[0, 1, 1], [1_000, 1, 1], [2_000, 1, 1], [3_600_000, 1, 1]] }, // prettier-ignore
  { name: 'a refusal takes no token', capacity: 1, perSecond: 1, steps: [[0, 5, 1], [1_000, 5, 1]] }, // prettier-ignore
  { name: 'capacity 0 lets nothing pass', capacity: 0, perSecond: 1, steps: [[0, 3, 0], [9_000, 3, 0]] }, // prettier-ignore
  { name: 'rate 0 never refills', capacity: 2, perSecond: 0, steps: [[0, 3, 2], [1e12, 3, 0]] }, // prettier-ignore
];

describe('the overflow limiter', () => {
  for (const { name, capacity, perSecond, steps } of CASES) {
    it(name, () => {
      const limiter = createOverflowLimiter({ capacityCount: capacity, replenishPerSecond: perSecond });
      const passed = steps.map(([atMs, records]) => {
        const answers = Array.from({ length: records }, () => limiter.take('1:d', atMs));
        return answers.filter(Boolean).length;
      });
      expect(passed).toEqual(steps.map(([, , passing]) => passing));
    });
  }

  it('B-3: each key has a bucket of its own', () => {
    const limiter = createOverflowLimiter({ capacityCount: 1, replenishPerSecond: 1 });
    expect([limiter.take('1:a', 0), limiter.take('1:a', 0), limiter.take('1:b', 0), limiter.take('2:a', 0)]).toEqual([
      true,
      false,
      true,
      true,
    ]);
  });

  it('O3: within its bound it answers what one that never forgets answers, for records in the order of time', () => {
    const limits = { capacityCount: 4, replenishPerSecond: 2 };
    const bounded = createOverflowLimiter({ ...limits, maxBuckets: 50 });
    const unbounded = createOverflowLimiter({ ...limits, maxBuckets: Infinity });
    const random = seededRandom(7);
    let refused = 0;
    let nowMs = 0;
    for (let n = 0; n < 20_000; n++) {
      nowMs += random.below(100);
      // Some hot keys, and a long tail that fills the map again and again.
      const key = random.next() < 0.5 ? `hot ${random.below(5)}` : `rare ${random.below(5_000)}`;
      const expected = unbounded.take(key, nowMs);
      if (!expected) refused++;
      expect(bounded.take(key, nowMs)).toBe(expected);
      expect(bounded.bucketCount).toBeLessThanOrEqual(50);
    }
    expect(refused).toBeGreaterThan(1_000);
    expect(unbounded.bucketCount).toBeGreaterThan(1_000);
  });

  it('O3: when no bucket is full again, the hottest keys stay refused', () => {
    const limiter = createOverflowLimiter({ capacityCount: 100, replenishPerSecond: 0.001, maxBuckets: 20 });
    for (let n = 0; n < 200; n++) limiter.take('hot', 0);
    for (let n = 0; n < 500; n++) limiter.take(`once ${n}`, 0);
    expect(limiter.take('hot', 0)).toBe(false);
    expect(limiter.bucketCount).toBeLessThanOrEqual(20);
  });
});
