import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHurried } from '../../../src/capture/hurried.ts';
import { NO_RULES } from '../../../src/capture/rules.ts';
import type { CaptureOptions } from '../../../src/capture/options.ts';
import type { SpendingSettings } from '../../../src/capture/stages/spending.ts';
import { createEmbeddedStateStore } from '../../../src/embedded/state-store.ts';
import { ProduceError } from '../../../src/kafka/port.ts';
import { StateStoreError, type StateStore } from '../../../src/redis/port.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { facts, fakeProducer, serving, settled, v1Request, type Served } from './kit.ts';

/** spec/capture.md 16.1, rows 14 and 23; the stores themselves: test/contract/state-store.ts. */
const UUID = '018f0000-0000-7000-8000-000000000001';
const SESSION = '018f0000-0000-7000-8000-0000000000aa';
const HOUR_MS = 3_600_000;
const TOKEN = 'phc_a_token_of_a_team';

let store: StateStore;
let dir: string;
let calls: string[];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'troupe-spending-'));
  const kept = await createEmbeddedStateStore({ dir, clock: systemClock });
  calls = [];
  store = {
    ...kept,
    takeAllowances: (wanted) => (calls.push(`allowances ${wanted.length}`), kept.takeAllowances(wanted)),
    takeRates: (wanted, wholly) => (calls.push(`rates ${wanted.length}`), kept.takeRates(wanted, wholly)),
  };
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const spendingOf = (settings: Partial<SpendingSettings>): SpendingSettings => ({
  store,
  hurried: createHurried({ clock: systemClock, limitMs: 1_000 }),
  keyPrefix: '',
  hasAllowances: false,
  rates: { rate: undefined, over: 'overflow' },
  ...settings,
});
const left = (type: string, count: number): Promise<void> => store.set(`quota:${TOKEN}:${type}`, String(count), HOUR_MS);
const leftNow = (type: string): Promise<string | undefined> => store.get(`quota:${TOKEN}:${type}`);

const producer = fakeProducer();
const spending = (settings: Partial<SpendingSettings>, others: Partial<CaptureOptions> = {}, on = producer): Promise<Served> => {
  producer.produced.length = 0;
  return serving(on, { spending: spendingOf(settings), ...others });
};
const send = (served: Served, ...events: readonly object[]) => {
  const batch = events.map((event) => ({ event: 'a', distinct_id: 'u1', ...event }));
  return served.ask('/batch', { body: JSON.stringify({ api_key: TOKEN, batch }) });
};
const ids = (): unknown[] => producer.produced.map(({ topic, envelope }) => [topic, envelope['distinct_id']]);
const some = (count: number): readonly object[] => Array.from({ length: count }, (_, n) => ({ distinct_id: `u${n}` }));
const snapshot = {
  body: JSON.stringify({ event: '$snapshot', properties: { token: TOKEN, distinct_id: 'u1', $session_id: SESSION, $snapshot_data: [{}] } }),
};
const OK = { status: 200, body: '{"status":"Ok"}' };

describe('row 14: allowances', () => {
  const counting = (others?: Partial<CaptureOptions>, on?: typeof producer): Promise<Served> =>
    spending({ hasAllowances: true }, others, on);

  test('a batch takes from what is left of each type, in one question', async () => {
    await left('events', 10);
    await left('exceptions', 5);
    const served = await counting();
    expect(await send(served, {}, {}, { event: '$exception' }, { event: 'survey sent' })).toMatchObject(OK);
    expect([await leftNow('events'), await leftNow('exceptions'), await leftNow('surveys')]).toEqual(['8', '4', undefined]);
    expect(calls).toEqual(['allowances 3']);
  });

  test('A1: where less is left the first events pass, the others are left out with 200', async () => {
    const drops = facts('capture-events-dropped');
    const exceeded = facts('capture-quota-exceeded');
    await left('events', 2);
    const served = await counting();
    expect(await send(served, ...some(3), { event: '$exception', distinct_id: 'e' })).toMatchObject(OK);
    expect(ids()).toEqual([['main', 'u0'], ['main', 'u1'], ['exceptions', 'e']]); // prettier-ignore
    expect([drops, exceeded]).toEqual([[{ cause: 'events_over_quota', count: 1 }], [{ resource: 'events', count: 1 }]]);
    expect(await leftNow('events')).toBe('0');
  });

  test('A1: nothing left: 200, nothing is stored; a v1 client is told', async () => {
    await left('events', 0);
    const served = await counting();
    expect(await send(served, {})).toMatchObject(OK);
    const answer = await served.ask('/i/v1/analytics/events', v1Request(TOKEN, UUID));
    expect(JSON.parse(answer.body)).toEqual({ results: { [UUID]: { result: 'drop', details: 'events_over_quota' } } });
    expect(ids()).toEqual([]);
  });

  test('row 14: a recording costs one; over it the client is told to stop', async () => {
    await left('recordings', 1);
    const served = await counting();
    expect(await served.ask('/s', snapshot)).toMatchObject(OK);
    expect(await served.ask('/s', snapshot)).toMatchObject({ status: 200, body: '{"status":"Ok","quota_limited":["recordings"]}' });
    expect(producer.produced).toHaveLength(1);
  });

  test('A2: what Kafka did not take is given back', async () => {
    await left('events', 5);
    const failing = fakeProducer(() => Promise.reject(new ProduceError('unavailable', 'no')));
    const served = await counting({}, failing);
    expect((await send(served, {}, {})).status).toBe(503);
    await settled();
    expect(await leftNow('events')).toBe('5');
  });

  test('A2: what a stage behind leaves out of a stored batch is given back', async () => {
    await left('events', 5);
    const served = await counting({ limits: { eventBytes: 2_000 } });
    const now = '2026-11-21T10:00:00Z';
    const event = { event: 'a', distinct_id: 'u1', timestamp: now };
    const big = { ...event, uuid: UUID.replace(/1$/, '2'), properties: { text: 'x'.repeat(3_000) } };
    const { headers = {} } = v1Request(TOKEN, UUID);
    const body = JSON.stringify({ created_at: now, batch: [{ ...event, uuid: UUID }, big] });
    expect((await served.ask('/i/v1/analytics/events', { headers, body })).status).toBe(200);
    await settled();
    expect([producer.produced.length, await leftNow('events')]).toEqual([1, '4']);
  });

  test('what other rules leave out costs nothing', async () => {
    await left('events', 5);
    const served = await counting({ rules: { ...NO_RULES, dropped: [`${TOKEN}:u0`] } });
    await send(served, ...some(2));
    expect(await leftNow('events')).toBe('4');
  });

  test('A3: Redis away or hanging limits nobody, and holds up nobody for long', async () => {
    const away = facts('state-store-unavailable');
    await left('events', 0);
    const refusing = await spending({
      hasAllowances: true,
      store: { ...store, takeAllowances: () => Promise.reject(new StateStoreError('away')) },
    });
    expect(await send(refusing, {})).toMatchObject(OK);
    const hanging = await spending({
      hasAllowances: true,
      store: { ...store, takeAllowances: () => new Promise(() => undefined) },
      hurried: createHurried({ clock: systemClock, limitMs: 5 }),
    });
    expect(await send(hanging, {})).toMatchObject(OK);
    expect(away).toEqual([{ operation: 'allowances', message: 'away' }, { operation: 'allowances', message: 'no answer within 5 ms' }]); // prettier-ignore
    expect(producer.produced).toHaveLength(1);
  });

  test('A3: a counter that is no number limits nobody, and is told', async () => {
    const unreadable = facts('capture-allowance-unreadable');
    await store.set(`quota:${TOKEN}:events`, 'much', HOUR_MS);
    expect(await send(await counting(), {})).toMatchObject(OK);
    expect(unreadable).toEqual([{ resource: 'events', who: 'phc_***team' }]);
    expect(producer.produced).toHaveLength(1);
  });
});

describe('row 23: rates', () => {
  const rated = (
    over: SpendingSettings['rates']['over'],
    burstCount: number,
    others: Partial<CaptureOptions> = {},
    more: Partial<SpendingSettings> = {},
  ) =>
    // prettier-ignore
    spending({ rates: { rate: { perSecond: 0.001, burstCount }, over }, ...more }, others);

  test('overflow: what is too many goes aside without its key; lanes that have no overflow are not asked', async () => {
    const rerouted = facts('capture-events-rerouted');
    const served = await rated('overflow', 2);
    await send(served, ...some(3), { event: '$exception', distinct_id: 'e' });
    expect(producer.produced.map(({ topic, key }) => [topic, key])).toEqual([
      ['main', `${TOKEN}:u0`],
      ['main', `${TOKEN}:u1`],
      ['overflow', undefined],
      ['exceptions', `${TOKEN}:e`],
    ]);
    expect(rerouted).toEqual([{ to: 'overflow', reason: 'rate_limited', count: 1 }]);
    expect(calls).toEqual(['rates 1']);
  });

  test('overflow: with locality the key stays; a recording keeps its session', async () => {
    const served = await rated('overflow', 1, { rules: { ...NO_RULES, overflow: { ...NO_RULES.overflow, keepsKeys: true } } });
    await send(served, {}, {});
    for (let n = 0; n < 2; n++) await served.ask('/s', snapshot);
    expect(producer.produced.map(({ topic, key }) => [topic, key])).toEqual([
      ['main', `${TOKEN}:u1`],
      ['overflow', `${TOKEN}:u1`],
      ['recordings', SESSION],
      ['recordings-overflow', SESSION],
    ]);
  });

  test('drop: 200, each type by its own rate, and nothing of an allowance is spent on it', async () => {
    const drops = facts('capture-events-dropped');
    await left('events', 10);
    const served = await rated('drop', 2, {}, { hasAllowances: true });
    expect(await send(served, ...some(3), { event: '$exception' }, { event: '$exception' }, { event: '$exception' })).toMatchObject(OK);
    expect(producer.produced).toHaveLength(4);
    expect(drops).toEqual([{ cause: 'rate_limited', count: 2 }]);
    await settled();
    expect(await leftNow('events')).toBe('8');
  });

  test('A4 refuse: 429 with Retry-After for the whole request, of which nothing is spent or stored', async () => {
    await left('events', 10);
    const served = await rated('refuse', 3, {}, { hasAllowances: true });
    expect(await send(served, ...some(2))).toMatchObject(OK);
    const refused = await send(served, ...some(2));
    expect(refused).toMatchObject({ status: 429, body: 'rate limited' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(900);
    expect(await send(served, {})).toMatchObject(OK);
    await settled();
    expect([producer.produced.length, await leftNow('events')]).toEqual([3, '7']);
    const v1 = await served.ask('/i/v1/analytics/events', v1Request(TOKEN, UUID));
    expect([v1.status, JSON.parse(v1.body)]).toMatchObject([429, { error: 'rate_limited' }]);
    expect(Number(v1.headers['retry-after'])).toBeGreaterThan(900);
  });

  test('a token may have a rate of its own, also where there is none for all', async () => {
    const registry = { of: () => ({ ...SETTINGS, rate: { perSecond: 0.001, burstCount: 1 } }) };
    const served = await spending(
      { rates: { rate: undefined, over: 'drop' } },
      { tokens: { listed: [], refusesUnknown: false, registry } },
    );
    await send(served, {}, {});
    expect(producer.produced).toHaveLength(1);
  });

  test('A3: Redis away limits nobody', async () => {
    const served = await rated('refuse', 1, {}, { store: { ...store, takeRates: () => Promise.reject(new StateStoreError('away')) } });
    expect(await send(served, {}, {}, {})).toMatchObject(OK);
    expect(producer.produced).toHaveLength(3);
  });
});

const SETTINGS = { isEnabled: true, sampling: undefined, topic: undefined, types: undefined, endpoints: undefined };

test('dedupe: an event that its allowance left out is not remembered as stored', async () => {
  await left('events', 1);
  const served = await spending({ hasAllowances: true }, { dedupe: { store, ttlMs: HOUR_MS } });
  const other = UUID.replace(/1$/, '2');
  await send(served, { uuid: UUID }, { uuid: other });
  await left('events', 5);
  await send(served, { uuid: UUID }, { uuid: other });
  expect(producer.produced.map(({ envelope }) => envelope['uuid'])).toEqual([UUID, other]);
});
