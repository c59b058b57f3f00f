import { describe, expect, it } from 'vitest';
import { createEqualRows } from '../../../src/domain/equal-rows.ts';
import { rowFault } from '../../../src/domain/row-fault.ts';
import { eventRow, testSettlement } from '../../kit/event-rows.ts';

const DAY_MS = 86_400_000;
const NOON_MS = Date.UTC(2026, 10, 21, 12);

describe('rows that ClickHouse would take together (sharp edge 39)', () => {
  const settlement = testSettlement();
  const first = eventRow(settlement, 1, { timestampMs: NOON_MS });
  const uuid = first.uuid;

  it.each([
    ['the same', { uuid }, true],
    ['the uuid in upper case', { uuid: uuid.toUpperCase() }, true],
    ['another time of the day', { uuid, timestampMs: NOON_MS + 3_600_000 }, true],
    ['another day', { uuid, timestampMs: NOON_MS + DAY_MS }, false],
    ['another event', { uuid, event: 'other' }, false],
    ['another distinct_id', { uuid, distinctId: 'somebody else' }, false],
    ['another team', { uuid, teamId: 3 }, false],
    ['another uuid', {}, false],
  ])('%s: %o is equal: %s', (_what, parts, isEqual) => {
    const rows = createEqualRows();
    rows.add(first);
    const second = eventRow(settlement, 2, { timestampMs: NOON_MS, distinctId: first.distinctId, ...parts });
    expect(rows.has(second)).toBe(isEqual);
  });

  it('finds an equal row that was added after another row with the same uuid', () => {
    const rows = createEqualRows();
    rows.add(first);
    rows.add(eventRow(settlement, 2, { uuid, timestampMs: NOON_MS, event: 'other', distinctId: first.distinctId }));
    expect(rows.has(eventRow(settlement, 3, { uuid, timestampMs: NOON_MS, event: 'other', distinctId: first.distinctId }))).toBe(true);
  });

  it('a row of a partition that was lost stands in nobody’s way', () => {
    const lost = testSettlement();
    const rows = createEqualRows();
    rows.add(eventRow(lost, 1, { timestampMs: NOON_MS }));
    const again = eventRow(settlement, 1, { timestampMs: NOON_MS });
    expect(rows.has(again)).toBe(true);
    lost.active = false;
    expect(rows.has(again)).toBe(false);
  });

  it('forgets everything when cleared', () => {
    const rows = createEqualRows();
    rows.add(first);
    rows.clear();
    expect(rows.has(first)).toBe(false);
  });
});

describe('a row that cannot be stored is named before it is sent', () => {
  it.each([
    [{ timestampMs: Number.NaN }, /timestamp/],
    [{ timestampMs: Date.UTC(1899, 0, 1) }, /timestamp/],
    [{ createdAtMs: Number.NaN }, /created_at/],
    [{ personCreatedAtMs: Date.UTC(2301, 0, 1) }, /person_created_at/],
    [{ uuid: 'none' }, /uuid/],
    [{ personId: '' }, /person_id/],
  ])('%o', (parts, why) => {
    expect(rowFault(eventRow(testSettlement(), 1, parts))).toMatch(why);
  });

  it('an ordinary row has no fault', () => {
    expect(rowFault(eventRow(testSettlement(), 1))).toBeUndefined();
  });
});
