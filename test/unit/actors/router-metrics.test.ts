import { expect, it } from 'vitest';
import { KEEP, overflowModeOf, type OverflowPolicy } from '../../../actors/router/overflow.ts';
import { sizesOf } from '../../../actors/router/sizes.ts';
import type { KafkaRecord } from '../../../src/kafka/port.ts';

it.each([
  [0, 0],
  [1, 0],
  [2, 1],
  [3, 2],
  [4, 2],
  [5, 3],
  [1_024, 10],
  [1_025, 11],
  [20 * 1024 * 1024, 24],
])('a value of %i bytes is counted at 2 ** %i, the bound that holds it', (size, exponent) => {
  const value = size === 0 ? null : ({ length: size } as Buffer);
  const { bytes, counts } = sizesOf([{ value } as KafkaRecord]);
  expect(bytes).toBe(size);
  expect(counts.map((count, at) => (count > 0 ? at : -1)).filter((at) => at >= 0)).toEqual([exponent]);
});

const redirect = { type: 'redirect', topic: 't', limiter: undefined as never } as const;
it.each<[OverflowPolicy, string]>([
  [KEEP, 'Disabled'],
  [{ ...redirect, key: 'original' }, 'Reroute'],
  [{ ...redirect, key: 'none' }, 'RerouteRandomly'],
  [{ type: 'warn', per: 'group' }, 'ConsumeSplitByDistinctId'],
  [{ type: 'warn', per: 'event' }, 'ConsumeSplitEvenly'],
])('9.4: the policy %o has a word in the metrics of PostHog: %s', (policy, word) => {
  expect(overflowModeOf(policy)).toBe(word);
});
