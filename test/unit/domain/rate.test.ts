import { describe, expect, test } from 'vitest';
import { askRate } from '../../../src/domain/rate.ts';
import { seededRandom } from '../../kit/clock.ts';

describe('the generic cell rate algorithm', () => {
  const ask = (paid: number, now: number, count: number, { intervalUs = 1_000, burstCount = 3, wholly = false } = {}) =>
    askRate(paid, now, { count, intervalUs, burstCount, wholly });

  test.for<[what: string, paid: number, now: number, count: number, granted: number, waitUs: number]>([
    ['a rate that nobody has asked grants its burst', NaN, 10_000, 5, 3, 1_000],
    ['so does one that is long past', 1, 10_000, 5, 3, 1_000],
    ['fewer than the burst cost no wait', NaN, 10_000, 2, 2, 0],
    ['half an interval pays for none', 13_000, 10_500, 1, 0, 500],
    ['an interval pays for one', 13_000, 11_000, 2, 1, 1_000],
    ['a clock that was set back grants nothing', 90_000, 10_000, 1, 0, 78_000],
  ])('%s', ([, paid, now, count, granted, waitUs]) => {
    expect(ask(paid, now, count)).toMatchObject({ granted, waitUs });
  });

  test('G2: what is not granted costs nothing', () => {
    expect(ask(13_000, 10_500, 7).paidUntilUs).toBe(13_000);
  });

  test('wholly: none, with the time until all of it, or the whole burst, would be granted', () => {
    expect(ask(12_000, 10_000, 2, { wholly: true })).toEqual({ granted: 0, waitUs: 1_000, paidUntilUs: 12_000 });
    expect(ask(12_000, 10_000, 9, { wholly: true })).toEqual({ granted: 0, waitUs: 2_000, paidUntilUs: 12_000 });
    expect(ask(10_000, 10_000, 9, { wholly: true })).toEqual({ granted: 9, waitUs: 0, paidUntilUs: 19_000 });
  });

  test('G1: in any stretch of time no more passes than the burst and what the time pays for; and the wait that is told is right', () => {
    const random = seededRandom(3);
    for (let run = 0; run < 200; run++) {
      const [intervalUs, burstCount] = [1 + random.below(5_000), 1 + random.below(50)];
      const passed: { readonly at: number; readonly count: number }[] = [];
      let [paid, now] = [NaN, 1_700_000_000_000_000];
      for (let turn = 0; turn < 40; turn++) {
        now += random.below(3 * intervalUs);
        const answer = ask(paid, now, 1 + random.below(2 * burstCount), { intervalUs, burstCount });
        paid = answer.paidUntilUs;
        passed.push({ at: now, count: answer.granted });
        if (answer.waitUs > 0) {
          expect(ask(paid, now + answer.waitUs, 1, { intervalUs, burstCount }).granted).toBe(1);
          expect(ask(paid, now + answer.waitUs - 1, 1, { intervalUs, burstCount }).granted).toBe(0);
        }
      }
      for (let from = 0; from < passed.length; from++) {
        let sum = 0;
        for (let to = from; to < passed.length; to++) {
          sum += passed[to]?.count ?? 0;
          const elapsed = (passed[to]?.at ?? 0) - (passed[from]?.at ?? 0);
          expect(sum).toBeLessThanOrEqual(burstCount + elapsed / intervalUs);
        }
      }
    }
  });
});
