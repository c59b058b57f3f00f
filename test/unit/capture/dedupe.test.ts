import { describe, expect, test } from 'vitest';
import { StateStoreError } from '../../../src/redis/port.ts';
import { ProduceError } from '../../../src/kafka/port.ts';
import { facts, fakeProducer, serving, type Served } from './kit.ts';

/** 16.1 row 12. */
const uuid = (n: number): string => `018f0000-0000-7000-8000-${String(n).padStart(12, '0')}`;

/** A state store that remembers, and can be away. */
function memory(): {
  readonly kept: Map<string, number>;
  isAway: boolean;
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
} {
  const kept = new Map<string, number>();
  const answer = <T>(value: T): Promise<T> => (self.isAway ? Promise.reject(new StateStoreError('away')) : Promise.resolve(value));
  const self = {
    kept,
    isAway: false,
    get: (key: string) => answer(kept.has(key) ? '1' : undefined),
    set: (key: string, _value: string, ttlMs: number) => answer(void (self.isAway ? 0 : kept.set(key, ttlMs))),
  };
  return self;
}

describe('duplicates', () => {
  const remembering = async (
    store = memory(),
    producer = fakeProducer(),
  ): Promise<{ served: Served; store: typeof store; producer: typeof producer }> => {
    const served = await serving(producer, { dedupe: { store, ttlMs: 600_000 } });
    return { served, store, producer };
  };
  const send = async (served: Served, events: readonly object[], token = 'phc_x'): Promise<number> => {
    const batch = events.map((event) => ({ event: 'a', distinct_id: 'u1', ...event }));
    return (await served.ask('/batch', { body: JSON.stringify({ api_key: token, batch }) })).status;
  };

  test('what was stored and comes again is answered 200, counted, and not stored again', async () => {
    const drops = facts('capture-events-dropped');
    const { served, producer, store } = await remembering();
    expect(await send(served, [{ uuid: uuid(1) }, { uuid: uuid(2) }])).toBe(200);
    expect(await send(served, [{ uuid: uuid(2).toUpperCase() }, { uuid: uuid(3) }])).toBe(200);
    expect(producer.produced.map(({ envelope }) => envelope['uuid'])).toEqual([uuid(1), uuid(2), uuid(3)]);
    expect(drops).toEqual([{ cause: 'duplicate', count: 1 }]);
    expect([...store.kept.values()]).toEqual([600_000, 600_000, 600_000]);
  });

  test('also within one request; another token has its own', async () => {
    const { served, producer } = await remembering();
    await send(served, [{ uuid: uuid(1) }, { uuid: uuid(1) }]);
    await send(served, [{ uuid: uuid(1) }], 'phc_other');
    expect(producer.produced.map(({ key }) => key)).toEqual(['phc_x:u1', 'phc_other:u1']);
  });

  test('without a uuid, distinct_id, name and timestamp tell; without a timestamp nothing does', async () => {
    const { served, producer } = await remembering();
    const timestamp = '2026-11-21T10:00:00.000Z';
    for (const event of [{ timestamp }, { timestamp }, { timestamp, event: 'b' }, { timestamp, distinct_id: 'u2' }, {}, {}])
      await send(served, [event]);
    expect(producer.produced.map(({ envelope }) => [envelope['event'], envelope['distinct_id']])).toEqual([['a', 'u1'], ['b', 'u1'], ['a', 'u2'], ['a', 'u1'], ['a', 'u1']]); // prettier-ignore
  });

  test('D1: what Kafka did not take can come again', async () => {
    let isAway = true;
    const { served, producer, store } = await remembering(memory(), fakeProducer(() => (isAway ? Promise.reject(new ProduceError('unavailable', 'no')) : Promise.resolve()))); // prettier-ignore
    expect(await send(served, [{ uuid: uuid(1) }])).toBe(503);
    expect(store.kept.size).toBe(0);
    isAway = false;
    expect(await send(served, [{ uuid: uuid(1) }])).toBe(200);
    expect(producer.produced).toHaveLength(1);
  });

  test('D2: a store that is away lets everything pass, and is named', async () => {
    const away = facts('state-store-unavailable');
    const { served, producer, store } = await remembering();
    await send(served, [{ uuid: uuid(1) }]);
    store.isAway = true;
    expect(await send(served, [{ uuid: uuid(1) }])).toBe(200);
    expect(producer.produced).toHaveLength(2);
    expect(away.map(({ operation }) => operation)).toEqual(['dedupe', 'dedupe']);
  });

  test('a v1 client is told that its event is there', async () => {
    const { served } = await remembering();
    const now = '2026-11-21T10:00:00Z';
    const asked = {
      headers: {
        ...{ Authorization: 'Bearer phc_x', 'Content-Type': 'application/json', 'User-Agent': 'a/1', 'PostHog-Sdk-Info': 'a/1' },
        ...{ 'PostHog-Attempt': '2', 'PostHog-Request-Id': uuid(9), 'PostHog-Request-Timestamp': now },
      },
      body: JSON.stringify({ created_at: now, batch: [{ event: 'a', uuid: uuid(1), distinct_id: 'u1', timestamp: now }] }),
    };
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(JSON.parse((await served.ask('/i/v1/analytics/events', asked)).body)).toEqual({ results: { [uuid(1)]: { result: 'ok' } } });
    }
  });
});
