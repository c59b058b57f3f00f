import { expect, test } from 'vitest';
import { backoffMs, nextRestart, noCrashes, type BackoffCurve } from '../../../src/runtime/strategy.ts';

const curve: BackoffCurve = { minMs: 100, maxMs: 5_000, jitterRatio: 0.5, quietMs: 60_000 };

test('the backoff doubles from its minimum to its cap', () => {
  expect([1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => backoffMs(attempt, curve, 0))).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
});

test('jitter adds up to its ratio and never takes away', () => {
  expect(backoffMs(1, curve, 0.999)).toBeCloseTo(149.95);
  expect(backoffMs(20, curve, 0.999)).toBeCloseTo(7_497.5);
});

test.each([0, -1, 1_000, Number.MAX_SAFE_INTEGER, Infinity])('the backoff of attempt %d is finite and at least the minimum', (attempt) => {
  expect(backoffMs(attempt, curve, 0)).toBeGreaterThanOrEqual(100);
  expect(backoffMs(attempt, curve, 0)).toBeLessThanOrEqual(5_000);
});

test('a budget of n grants n restarts within its period, and the next one after the first has left it', () => {
  const budget = { count: 2, periodMs: 1_000 };
  let history = noCrashes;
  const granted = [0, 100, 200, 999, 1_000, 1_050, 1_100].map((nowMs) => {
    const decision = nextRestart(history, budget, curve, nowMs, 0);
    history = decision.history;
    return decision.granted;
  });
  expect(granted).toEqual([true, true, false, false, true, false, true]);
});

test('the backoff starts again after a quiet time', () => {
  const budget = { count: 100, periodMs: 1_000 };
  let history = noCrashes;
  const backoffs = [0, 1_000, 2_000, 63_000].map((nowMs) => {
    const decision = nextRestart(history, budget, curve, nowMs, 0);
    history = decision.history;
    return decision.granted ? decision.backoffMs : undefined;
  });
  expect(backoffs).toEqual([100, 200, 400, 100]);
});

test('a budget of none grants none', () => {
  expect(nextRestart(noCrashes, { count: 0, periodMs: 1_000 }, curve, 0, 0).granted).toBe(false);
});
