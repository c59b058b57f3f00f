import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { watchQuotas, type Quotas, type QuotaResource } from '../../../src/capture/quotas.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { StateStoreError, type StateStore } from '../../../src/redis/port.ts';
import { manualClock } from '../../kit/clock.ts';
import { facts, fakeProducer, serving, settled, v1Request, type Served } from './kit.ts';

/** spec/capture.md 7.3 and vectors 32 to 35. */
describe('quotas, asked by a request', () => {
  const producer = fakeProducer();
  afterEach(() => {
    producer.produced.length = 0;
  });
  const limiting = (...limited: readonly QuotaResource[]): Promise<Served> => {
    const quotas: Quotas = { isLimited: (resource, token) => token === 'phc_x' && limited.includes(resource) };
    return serving(producer, { quotas });
  };
  const batch = (...events: readonly (string | object)[]): { readonly body: string } => ({
    body: JSON.stringify({
      api_key: 'phc_x',
      batch: events.map((event) => ({ distinct_id: 'u1', ...(typeof event === 'string' ? { event } : event) })),
    }),
  });
  const names = (): unknown[] => producer.produced.map(({ envelope }) => envelope['event']);
  const OK = { status: 200, body: '{"status":"Ok"}' };

  test('32 a token over its quota of events: 200, nothing is stored, nothing is said of it, even to a beacon', async () => {
    const served = await limiting('events');
    expect(await served.ask('/batch', batch('a', 'b'))).toMatchObject(OK);
    expect(await served.ask('/batch?beacon=1', batch('a'))).toMatchObject(OK);
    expect(names()).toEqual([]);
    expect((await served.ask('/e', { body: '{"api_key":"phc_other","event":"a","distinct_id":"u1"}' })).status).toBe(200);
    expect(names()).toEqual(['a']);
  });

  test('32 it goes before what is wrong with an event', async () => {
    const served = await limiting('events');
    expect(await served.ask('/batch', batch({ event: 'a', distinct_id: '' }))).toMatchObject(OK);
  });

  test.for<[limited: QuotaResource, stored: readonly string[]]>([
    ['exceptions', ['a', 'survey sent', '$ai_generation']], // 33
    ['events', ['$exception', 'survey sent', '$ai_generation']], // 34
    ['surveys', ['$exception', 'a', '$ai_generation']],
    ['llm_events', ['$exception', 'a', 'survey sent']],
    ['recordings', ['$exception', 'a', 'survey sent', '$ai_generation']],
  ])('33 34 limited for %s alone, the others are stored', async ([limited, stored]) => {
    const served = await limiting(limited);
    const exceeded = facts('capture-quota-exceeded');
    expect(await served.ask('/batch', batch('$exception', 'a', 'survey sent', '$ai_generation'))).toMatchObject(OK);
    expect(names().sort()).toEqual([...stored].sort());
    expect(exceeded).toEqual(stored.length === 4 ? [] : [{ resource: limited, count: 1 }]); // 10: by the quota that was exceeded
  });

  test('7.3: the survey of a product tour is an event like others', async () => {
    const served = await limiting('surveys');
    await served.ask('/batch', batch({ event: 'survey shown', properties: { $product_tour_id: 't' } }, 'survey shown'));
    expect(producer.produced).toHaveLength(1);
  });

  test('35 over its quota of recordings, the client is told; its events are taken', async () => {
    const served = await limiting('recordings');
    const body = JSON.stringify({
      event: '$snapshot',
      properties: { token: 'phc_x', distinct_id: 'u1', $session_id: 's', $snapshot_data: [] },
    });
    expect(await served.ask('/s/?beacon=1', { body })).toMatchObject({
      status: 200,
      body: '{"status":"Ok","quota_limited":["recordings"]}',
    });
    expect(names()).toEqual([]);
    await served.ask('/batch', batch('a'));
    expect(names()).toEqual(['a']);
  });

  test('a v1 client is told by event', async () => {
    const served = await limiting('events');
    const uuid = '018f0000-0000-7000-8000-000000000001';
    const answer = await served.ask('/i/v1/analytics/events', v1Request('phc_x', uuid));
    expect(JSON.parse(answer.body)).toEqual({ results: { [uuid]: { result: 'drop', details: 'events_over_quota' } } });
  });
});

describe('quotas, read from Redis', () => {
  const NOW_S = Date.UTC(2026, 0, 1) / 1_000;
  /** Sets by key, and how often each was asked for. */
  function store(sets: Record<string, Record<string, number>>): { rankFrom: StateStore['rankFrom']; asked: string[]; fails: boolean } {
    const self = {
      asked: [] as string[],
      fails: false,
      rankFrom(key: string, from: number) {
        self.asked.push(key);
        if (self.fails) return Promise.reject(new StateStoreError('away'));
        return Promise.resolve(
          Object.entries(sets[key] ?? {})
            .filter(([, score]) => score >= from)
            .map(([member, score]) => ({ member, score })),
        );
      },
    };
    return self;
  }
  const KEY = 'px@posthog/quota-limits/events';
  const unavailable: Facts['state-store-unavailable'][] = [];
  afterAll(observe('state-store-unavailable', (fact) => unavailable.push(fact)));
  afterEach(() => {
    unavailable.length = 0;
  });

  test('32 a score in the future limits, one in the past does not; each resource has its set', async () => {
    const clock = manualClock();
    const redis = store({ [KEY]: { future: NOW_S + 60, past: NOW_S - 1 }, 'px@posthog/quota-limits/surveys': { other: NOW_S + 60 } });
    const quotas = watchQuotas({ store: redis, keyPrefix: 'px', clock });
    expect(quotas.isLimited('events', 'future')).toBe(false); // Q2: not read yet
    await settled();
    expect((['future', 'past', 'other'] as const).map((token) => [quotas.isLimited('events', token), quotas.isLimited('surveys', token)])).toEqual([[true, false], [false, false], [false, true]]); // prettier-ignore
    expect(redis.asked).toEqual(
      ['events', 'recordings', 'exceptions', 'surveys', 'llm_events'].map((one) => `px@posthog/quota-limits/${one}`),
    );
    quotas.close();
  });

  test('Q2 Q3: away, Redis leaves the last sets standing, and a limit ends at its time all the same', async () => {
    const clock = manualClock();
    const redis = store({ [KEY]: { short: NOW_S + 7, long: NOW_S + 60 } });
    const quotas = watchQuotas({ store: redis, keyPrefix: 'px', clock });
    await settled();
    redis.fails = true;
    clock.advance(5_000);
    await settled();
    expect(unavailable).toMatchObject([{ operation: 'quota-limits' }]);
    expect([quotas.isLimited('events', 'short'), quotas.isLimited('events', 'long')]).toEqual([true, true]);
    clock.advance(2_000);
    expect([quotas.isLimited('events', 'short'), quotas.isLimited('events', 'long')]).toEqual([false, true]);
    quotas.close();
  });

  test('Q4: it reads again after its rest and not before, and never after close', async () => {
    const clock = manualClock();
    const sets: Record<string, Record<string, number>> = {};
    const redis = store(sets);
    const quotas = watchQuotas({ store: redis, keyPrefix: 'px', clock });
    await settled();
    sets[KEY] = { late: NOW_S + 60 };
    clock.advance(4_999);
    await settled();
    expect([redis.asked.length, quotas.isLimited('events', 'late')]).toEqual([5, false]);
    clock.advance(1);
    await settled();
    expect([redis.asked.length, quotas.isLimited('events', 'late')]).toEqual([10, true]);
    quotas.close();
    expect(clock.pendingCount).toBe(0);
  });
});
