import { describe, expect, test } from 'vitest';
import type { PluginEvent } from '../../../src/domain/event.ts';
import { clampStoredMs, MAX_STORED_MS, MIN_STORED_MS, parseDateMs, parseIsoMs } from '../../../src/domain/time.ts';
import { resolveTimestamp } from '../../../src/domain/timestamp.ts';
import { anEvent, seededRandom } from './build.ts';

const WALL_CLOCK_MS = Date.UTC(2030, 0, 1);
const iso = (ms: number): string => new Date(ms).toISOString();

describe('resolveTimestamp', () => {
  const timestamp = '2021-10-30T03:02:00.000Z';
  const sent_at = '2021-10-30T03:12:00.000Z';
  test.each<[string, Partial<PluginEvent>, string]>([
    [
      'TS-4: corrected by the time between event and sending',
      { timestamp, sent_at, now: '2021-10-29T01:44:00.000Z' },
      '2021-10-29T01:34:00.000Z',
    ],
    [
      'TS-4: the same in another zone',
      { timestamp: '2021-10-30T03:02:00.000+04:00', sent_at: '2021-10-30T03:12:00.000+04:00', now: '2021-10-29T01:44:00.000Z' },
      '2021-10-29T01:34:00.000Z',
    ],
    ['TS-2: $ignore_sent_at', { timestamp, sent_at, now: '2021-11-29T01:44:00.000Z', properties: { $ignore_sent_at: true } }, timestamp],
    ['TS-4: without sent_at the timestamp stands', { timestamp, now: '2021-11-29T01:44:00.000Z' }, timestamp],
    ['TS-4: and offset is ignored then', { timestamp, offset: 6_000, now: '2021-11-29T01:44:00.000Z' }, timestamp],
    ['TS-5: offset without timestamp', { offset: 6_000, sent_at, now: '2021-10-29T01:44:00.000Z' }, '2021-10-29T01:43:54.000Z'],
    [
      'TS-5: offset overrides a corrected timestamp',
      { timestamp, sent_at, offset: 6_000, now: '2021-10-29T01:44:00.000Z' },
      '2021-10-29T01:43:54.000Z',
    ],
    ['TS-5: an offset as text', { offset: '6000', now: '2021-10-29T01:44:00.000Z' }, '2021-10-29T01:43:54.000Z'],
    ['TS-6: neither', { now: '2021-10-29T01:44:00.000Z' }, '2021-10-29T01:44:00.000Z'],
    [
      'TS-7: exactly 23 hours ahead is allowed',
      { timestamp: '2021-10-30T00:44:00Z', now: '2021-10-29T01:44:00Z' },
      '2021-10-30T00:44:00.000Z',
    ],
    [
      'TS-7: no clamp below, down to what ClickHouse holds',
      { timestamp: '0099-01-01T00:00:00Z', now: '2021-10-29T01:44:00Z' },
      '1900-01-01T00:00:00.000Z',
    ],
    ['TS-3: a number is epoch ms', { timestamp: 1_635_562_920_000, now: '2021-11-29T01:44:00Z' }, timestamp],
    ['TS-3: 0 is no timestamp', { timestamp: 0, now: '2021-11-29T01:44:00.000Z' }, '2021-11-29T01:44:00.000Z'],
  ])('%s', (_, fields, result) => {
    const { timestampMs, warnings } = resolveTimestamp(anEvent(fields), WALL_CLOCK_MS);
    expect([iso(timestampMs), warnings]).toEqual([result, []]);
  });

  test.each<[string, Partial<PluginEvent>, string, Record<string, unknown>]>([
    [
      'TS-7: more than 23 h ahead is now',
      { timestamp: '2021-10-29T02:30:00Z', sent_at: '2021-10-28T01:00:00Z', now: '2021-10-29T01:00:00.000Z' },
      '2021-10-29T01:00:00.000Z',
      { type: 'event_timestamp_in_future', details: { result: '2021-10-30T02:30:00.000Z', offset: '', eventName: 'click' } },
    ],
    [
      'TS-7: a negative offset of 23 h 1 min',
      { offset: -82_860_000, now: '2021-10-29T01:00:00.000Z' },
      '2021-10-29T01:00:00.000Z',
      { type: 'event_timestamp_in_future', details: { offset: -82_860_000, timestamp: '', sentAt: '' } },
    ],
    [
      'TS-7: the year 275760',
      { timestamp: '+275760-09-13T00:00:00.000Z', now: '2021-10-29T01:00:00.000Z' },
      '2021-10-29T01:00:00.000Z',
      { type: 'event_timestamp_in_future' },
    ],
    [
      'TS-8: an unreadable timestamp is the wall clock',
      { timestamp: 'notISO', now: '2021-10-29T01:00:00.000Z' },
      iso(WALL_CLOCK_MS),
      {
        type: 'ignored_invalid_timestamp',
        details: { field: 'timestamp', value: 'notISO', reason: 'the input "notISO" can\'t be parsed as ISO 8601' },
      },
    ],
    [
      'TS-8: an object is no timestamp, even one without a text',
      { timestamp: { toString: null }, now: '2021-10-29T01:00:00.000Z' },
      iso(WALL_CLOCK_MS),
      { type: 'ignored_invalid_timestamp', details: { value: '{"toString":null}' } },
    ],
    [
      'TS-2: an unreadable sent_at is as if absent',
      { timestamp, sent_at: 'now-ish', now: '2021-11-29T01:00:00.000Z' },
      timestamp,
      { type: 'ignored_invalid_timestamp', details: { field: 'sent_at', value: 'now-ish' } },
    ],
    [
      'TS-2: an unreadable sent_at is told of where there is nothing to correct',
      { sent_at: 'now-ish', now: '2021-11-29T01:00:00.000Z' },
      '2021-11-29T01:00:00.000Z',
      { type: 'ignored_invalid_timestamp', details: { field: 'sent_at', value: 'now-ish' } },
    ],
    [
      'TS-2: a sent_at with a blank in it is no ISO time',
      { timestamp, sent_at: '2021-10-30 03:12:00', now: '2021-11-29T01:00:00.000Z' },
      timestamp,
      { type: 'ignored_invalid_timestamp', details: { field: 'sent_at', value: '2021-10-30 03:12:00' } },
    ],
    [
      'TS-1: a now that is none is the wall clock, where Kafka says no better',
      { now: 'x' },
      iso(WALL_CLOCK_MS),
      { type: 'ignored_invalid_timestamp', details: { field: 'now', value: 'x' } },
    ],
    [
      'TS-1: and the timestamp stands all the same',
      { timestamp, now: undefined as never },
      timestamp,
      { type: 'ignored_invalid_timestamp', details: { field: 'now', value: '' } },
    ],
    [
      'an offset that is no number is ignored',
      { offset: { a: 1 }, now: '2021-10-29T01:00:00.000Z' },
      '2021-10-29T01:00:00.000Z',
      { type: 'ignored_invalid_timestamp', details: { field: 'offset' } },
    ],
  ])('%s, with a warning', (_, fields, result, warning) => {
    const resolved = resolveTimestamp(anEvent(fields), WALL_CLOCK_MS);
    expect(iso(resolved.timestampMs)).toBe(result);
    expect(resolved.warnings).toHaveLength(1);
    expect(resolved.warnings[0]).toMatchObject(warning);
  });

  test.each([
    [Date.UTC(2024, 0, 1), '2024-01-01T00:00:00.000Z'],
    [-1, iso(WALL_CLOCK_MS)],
  ])("TS-1: of a record whose now is none, Kafka's time (%d) is the time of its event", (recordMs, result) => {
    expect(iso(resolveTimestamp(anEvent({ now: 'x' }), WALL_CLOCK_MS, recordMs).timestampMs)).toBe(result);
  });

  test('TS-1, TS-7: beside a now that is none the future stays bounded', () => {
    const { timestampMs, warnings } = resolveTimestamp(anEvent({ now: 'x', timestamp: '2031-01-01T00:00:00Z' }), WALL_CLOCK_MS);
    expect([timestampMs, warnings.map(({ type }) => type)]).toEqual([
      WALL_CLOCK_MS,
      ['ignored_invalid_timestamp', 'event_timestamp_in_future'],
    ]);
  });
});

describe('dates', () => {
  test.each([
    ['2021-W43-5', '2021-10-29T00:00:00.000Z'],
    ['2021-W01', '2021-01-04T00:00:00.000Z'],
    ['2020-W53-7', '2021-01-03T00:00:00.000Z'],
    ['2021-302', '2021-10-29T00:00:00.000Z'],
    ['2020-366', '2020-12-31T00:00:00.000Z'],
    ['2021-302T10:30:00Z', '2021-10-29T10:30:00.000Z'],
    ['2021-10-29', '2021-10-29T00:00:00.000Z'],
    ['2021-10-29T10:30:00', '2021-10-29T10:30:00.000Z'],
    ['2021-10-29T10:30:00.1239999Z', '2021-10-29T10:30:00.123Z'],
    ['2021-10-29T10:30:00.5-02:30', '2021-10-29T13:00:00.500Z'],
    ['+002021-10-29T10:30:00Z', '2021-10-29T10:30:00.000Z'],
    ['0000-01-01T00:00:00Z', '0000-01-01T00:00:00.000Z'],
    ['20211029T103000Z', '2021-10-29T10:30:00.000Z'],
    ['20211029T1030+0130', '2021-10-29T09:00:00.000Z'],
    ['20211029', '2021-10-29T00:00:00.000Z'],
    ['2021302', '2021-10-29T00:00:00.000Z'],
    ['2021W435', '2021-10-29T00:00:00.000Z'],
    ['2021W435T10', '2021-10-29T10:00:00.000Z'],
    ['2021-10-29T10', '2021-10-29T10:00:00.000Z'],
    ['2021-10-29T10Z', '2021-10-29T10:00:00.000Z'],
    ['2021-10-29T10:30:00,25Z', '2021-10-29T10:30:00.250Z'],
    ['2021-10-29T10:30:00+02', '2021-10-29T08:30:00.000Z'],
    ['2021-10-29t10:30:00z', '2021-10-29T10:30:00.000Z'],
    ['2021-10-29T24:00:00Z', '2021-10-30T00:00:00.000Z'],
  ])('TS-3: %s is %s', (text, date) => {
    expect(iso(parseDateMs(text))).toBe(date);
    expect(iso(parseIsoMs(text))).toBe(date);
  });

  test.each([
    '2021-W54-1',
    '2021-W43-8',
    '2021-366',
    '2021-000',
    '2021-13-01T00:00:00Z',
    '2021-02-29T00:00:00+25:00',
    '2021-10-29T10:30:00.Z',
    '20211329',
    '2021-10-29T24:00:01Z',
    '20211029T1060Z',
    '20211029T10:30:00+24:00',
    '+999999-01-01T00:00:00Z',
    '',
    'T',
  ])('%j is no date', (text) => {
    expect(parseDateMs(text)).toBeNaN();
    expect(parseIsoMs(text)).toBeNaN();
  });

  test.each([
    ['Fri, 29 Oct 2021 10:30:00 GMT', '2021-10-29T10:30:00.000Z'],
    ['2021', '2021-01-01T00:00:00.000Z'],
    ['2021-10-29 10:30', '2021-10-29T10:30:00.000Z'],
  ])('TS-3: %s is a date for timestamp', (text, date) => {
    expect(iso(parseDateMs(text))).toBe(date);
  });

  test.each(['Fri, 29 Oct 2021 10:30:00 GMT', '2021-10-29 10:30:00', '2021/10/29'])('TS-2: %s is no ISO time', (text) => {
    expect(parseIsoMs(text)).toBeNaN();
    expect(iso(parseDateMs(text))).toMatch(/^2021-10-29/);
  });

  test('TS-3: a list is read as its text', () => {
    expect(iso(parseDateMs(['2021-10-29T10:30:00Z']))).toBe('2021-10-29T10:30:00.000Z');
    expect(parseDateMs([{ toString: null }])).toBeNaN();
  });

  test('the fast path agrees with Date on 20,000 seeded instants and zones', () => {
    const random = seededRandom(7);
    for (let i = 0; i < 20_000; i++) {
      const ms = Math.floor(random() * 253_402_300_800_000 - random() * 62_167_219_200_000);
      const text = iso(ms);
      if (text.length !== 24) continue;
      const zoned = `${text.slice(0, -1)}${random() < 0.5 ? '+' : '-'}${String(Math.floor(random() * 24)).padStart(2, '0')}:30`;
      expect(parseIsoMs(text)).toBe(ms);
      expect(parseIsoMs(zoned)).toBe(Date.parse(zoned));
    }
  });

  test('results are clamped to the range of DateTime64', () => {
    expect([iso(MIN_STORED_MS), iso(MAX_STORED_MS)]).toEqual(['1900-01-01T00:00:00.000Z', '2299-12-31T23:59:59.999Z']);
    expect([clampStoredMs(-1e16), clampStoredMs(0), clampStoredMs(1e16)]).toEqual([MIN_STORED_MS, 0, MAX_STORED_MS]);
  });
});
