import { describe, expect, test } from 'vitest';
import { HOSTILE_RECORDS, type HostileIds } from '../../kit/hostile-records.ts';
import { expectStorable, outcomeByRules } from '../../kit/rules.ts';
import { NOW } from './build.ts';

const TOKEN = 'phc_team_one';

describe('hostile records', () => {
  const idsOf = (index: number): HostileIds => ({
    uuid: `01890000-0000-7000-8000-${String(index).padStart(12, '0')}`,
    distinctId: `hostile-${index}`,
    token: TOKEN,
    now: NOW,
  });

  test.each(HOSTILE_RECORDS.map((record, index) => ({ ...record, index })))(
    '$name: $outcome.type $outcome.reason',
    ({ build, outcome, index }) => {
      const result = outcomeByRules(build(idsOf(index)), TOKEN);
      expect(result.outcome).toEqual(outcome);
      if (result.row === undefined) return;
      expectStorable(result.row);
      expect(Object.keys(Object.prototype)).toEqual([]);
      expect(({} as Record<string, unknown>)['p'] ?? ({} as Record<string, unknown>)['polluted']).toBeUndefined();
    },
  );

  test('the table is large, and each name is there once', () => {
    expect(HOSTILE_RECORDS.length).toBeGreaterThanOrEqual(200);
    expect(new Set(HOSTILE_RECORDS.map((record) => record.name)).size).toBe(HOSTILE_RECORDS.length);
  });
});
