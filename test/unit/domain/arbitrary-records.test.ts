import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbitraryRecord } from '../../kit/arbitrary-records.ts';
import { expectStorable, outcomeByRules } from '../../kit/rules.ts';
import { NOW } from './build.ts';

const TOKEN = 'phc_team_one';
const ids = { uuid: '01890000-0000-7000-8000-000000000001', distinctId: 'somebody', token: TOKEN, now: NOW };

test('property: whatever the bytes, one named outcome, and a row that can be stored (5,000 values of arbitrary JSON)', () => {
  const met = new Map<string, number>();
  fc.assert(
    fc.property(arbitraryRecord(ids), (value) => {
      const { outcome, row } = outcomeByRules(value, TOKEN);
      met.set(outcome.type, (met.get(outcome.type) ?? 0) + 1);
      expect(row !== undefined).toBe(outcome.type === 'stored');
      if (row !== undefined) expectStorable(row);
      expect(Object.keys(Object.prototype)).toEqual([]);
    }),
    { seed: 20261121, numRuns: 5_000 },
  );
  // The generator reaches all ends, most of all the one that runs all rules.
  expect([...met.keys()].sort()).toEqual(['dead-lettered', 'dropped', 'stored']);
  expect(met.get('stored')).toBeGreaterThan(2_000);
});
