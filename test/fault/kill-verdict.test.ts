import { expect, test } from 'vitest';
import type { Load, SentEvent } from './load.ts';
import { judge, type Verdict } from './verdict.ts';

/** The judge judged: a verdict that cannot find damage proves nothing. Servers are replaced by what they would answer. */
const NOBODY = '00000000-0000-0000-0000-000000000000';
const event = (seq: number, more: Partial<SentEvent> = {}): SentEvent => ({
  seq,
  uuid: `uuid-${seq}`,
  event: 'worked',
  properties: { seq, $set: { 'user-1 last': seq }, $set_once: { 'user-1 first': seq } },
  ...more,
});
const row = (seq: number, more: object = {}) => ({
  uuid: `uuid-${seq}`,
  distinctId: 'user-1',
  partition: 0,
  offset: seq,
  seq,
  insertedAt: 1_000 + seq,
  personId: 'person-1',
  override: NOBODY,
  personMode: 'full',
  ...more,
});
const person = (more: object = {}) => ({
  distinct_id: 'user-1',
  uuid: 'person-1',
  properties: { 'user-1 last': 2, 'user-1 first': 0 },
  is_identified: false,
  ...more,
});
const ROWS = [row(0), row(1), row(2)];
const EVENTS = [event(0), event(1), event(2)];

async function verdictOf(rows: readonly object[], persons: readonly object[] = [person()], events = EVENTS): Promise<Verdict> {
  const load: Load = { sent: new Map([['user-1', events]]), sentCount: () => events.length, stop: () => Promise.resolve() };
  const surroundings = { rows: { query: () => Promise.resolve(rows) }, sql: { run: () => Promise.resolve(persons) } };
  return judge(surroundings as unknown as Parameters<typeof judge>[0], load, 1);
}

const CLEAN = { lost: 0, duplicates: 0, strangers: 0, orderBreaks: 0, personMismatches: 0, unresolved: 0, examples: [] };

test('a run without damage is clean', async () => {
  expect(await verdictOf(ROWS)).toEqual({ sent: 3, ...CLEAN });
});

test.each<[string, Partial<Verdict>, () => Promise<Verdict>]>([
  ['a row that is missing', { lost: 1 }, () => verdictOf([row(0), row(2)])],
  ['a row that is there twice', { duplicates: 1 }, () => verdictOf([...ROWS, row(2, { offset: 3 })])],
  ['a row of an event that nobody sent', { strangers: 1 }, () => verdictOf([...ROWS, row(3, { uuid: 'other' })])],
  [
    'an earlier event behind a later one in the log',
    { orderBreaks: 1 },
    () => verdictOf([row(1, { offset: 0 }), row(0, { offset: 1 }), row(2)]),
  ],
  ['an earlier event inserted after a later one', { orderBreaks: 1 }, () => verdictOf([row(0, { insertedAt: 9_999 }), row(1), row(2)])],
  [
    'a person with an older value',
    { personMismatches: 1 },
    () => verdictOf(ROWS, [person({ properties: { 'user-1 last': 1, 'user-1 first': 0 } })]),
  ],
  [
    'a row of a person that is not the one of its distinct_id',
    { unresolved: 1 },
    () => verdictOf([row(0), row(1), row(2, { personId: 'gone' })]),
  ],
  ['an override that leads astray', { unresolved: 1 }, () => verdictOf([row(0), row(1), row(2, { override: 'gone' })])],
])('damage is counted: %s', async (_what, damage, run) => {
  const { examples, ...counts } = await run();
  const { examples: _none, ...clean } = CLEAN;
  expect(counts).toMatchObject({ ...clean, ...damage });
  expect(examples.length).toBeGreaterThan(0);
});

test('a merge that left two persons is a mismatch', async () => {
  const events = [event(0), event(1, { event: '$identify' }), event(2)];
  const identified = person({ is_identified: true });
  const anonymous = { ...identified, distinct_id: 'anon-1' };
  expect((await verdictOf(ROWS, [identified, anonymous], events)).personMismatches).toBe(0);
  expect((await verdictOf(ROWS, [identified, { ...anonymous, uuid: 'person-2' }], events)).personMismatches).toBe(1);
  expect((await verdictOf(ROWS, [person(), anonymous], events)).personMismatches).toBe(1);
});
