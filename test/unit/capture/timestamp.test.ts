import { describe, expect, test } from 'vitest';
import { sentAtOf, timestampOf } from '../../../src/capture/timestamp.ts';

const NOW = Date.UTC(2026, 10, 21, 12);
const at = (time: string): number => Date.parse(`2026-11-21T${time}Z`);
const stamp = (event: { timestamp?: string; offset?: number; ignore?: boolean }, sentAt?: string): string =>
  new Date(
    timestampOf(
      { timestamp: event.timestamp, offset: event.offset, properties: event.ignore === true ? { $ignore_sent_at: true } : {} },
      NOW,
      sentAt === undefined ? undefined : at(sentAt),
    ),
  ).toISOString();

describe('49 the computed timestamp (6.3)', () => {
  const ELEVEN = '2026-11-21T11:00:00Z';
  test.for<[name: string, computed: string, expected: string]>([
    ['the clock of the client is ahead by 10 s', stamp({ timestamp: ELEVEN }, '12:00:10'), '10:59:50'],
    ['the clock of the client is behind by 10 s', stamp({ timestamp: ELEVEN }, '11:59:50'), '11:00:10'],
    ['no timestamp', stamp({}, '12:00:10'), '12:00:00'],
    ['$ignore_sent_at', stamp({ timestamp: ELEVEN, ignore: true }, '12:00:10'), '11:00:00'],
    ['offset wins over all', stamp({ offset: 5_000, timestamp: ELEVEN }, '12:00:10'), '11:59:55'],
    ['an unreadable timestamp is now', stamp({ timestamp: 'yesterday-ish' }), '12:00:00'],
    ['no sent_at leaves it as it is', stamp({ timestamp: ELEVEN }), '11:00:00'],
  ])('%s', ([, computed, expected]) => expect(computed).toBe(`2026-11-21T${expected}.000Z`));

  test.for([
    '2026-11-21T11:00:00+00',
    '2026-11-21 11:00:00',
    '1795258800',
    '1795258800000',
    '2026-11-21T11:00:00',
    '2026-11-21T12:00:00+01:00',
    '2026/11/21 11:00:00',
    'Sat, 21 Nov 2026 11:00:00 GMT',
  ])('%s is read as 11:00 UTC', (timestamp) => expect(stamp({ timestamp })).toBe('2026-11-21T11:00:00.000Z'));

  test.for([
    ['up to 23 h ahead is believed', '2026-11-22T11:00:00Z', '2026-11-22T11:00:00.000Z'],
    ['more is now', '2026-11-22T11:00:00.001Z', '2026-11-21T12:00:00.000Z'],
    ['a year before 0 is 1970', '-000001-01-01T00:00:00Z', '1970-01-01T00:00:00.000Z'],
  ])('%s', ([, timestamp = '', expected]) => expect(stamp({ timestamp })).toBe(expected));
});

describe('sent_at (6.3)', () => {
  const query = new URLSearchParams(`_=${at('12:00:10')}`);
  test('the body goes before the query', () => expect(sentAtOf('2026-11-21T11:00:00Z', query)).toBe(at('11:00:00')));
  test('a body is read leniently, as it is written anew for ingestion, which reads strictly (TS-2)', () =>
    expect(sentAtOf('2026-11-21 11:00:00', query)).toBe(at('11:00:00')));
  test('a body that is no date leaves it to the query', () => expect(sentAtOf('soon', query)).toBe(at('12:00:10')));
  test.for(['1795226664', '-5', '1e20', 'x', '99999999999999999'])('a query of %s says nothing', (value) =>
    expect(sentAtOf(undefined, new URLSearchParams({ _: value }))).toBe(undefined),
  );
});
