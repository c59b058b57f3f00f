import { describe, expect, test } from 'vitest';
import { createGlobalLimit } from '../../../src/capture/global-limit.ts';
import { NO_RULES } from '../../../src/capture/rules.ts';
import { StateStoreError } from '../../../src/redis/port.ts';
import { manualClock } from '../../kit/clock.ts';
import { facts, fakeProducer, serving, settled } from './kit.ts';

/** spec/capture.md 7.2: 300,000 events a minute of a (token, distinct_id), over all processes. */
const WINDOW_MS = 60_000;

/** Counters that all processes of a test share. */
function sharedCounters() {
  const self = {
    counts: new Map<string, number>(),
    isAway: false,
    told: 0,
    increment(key: string, by: number, ttlMs: number): Promise<number> {
      self.told++;
      expect(ttlMs).toBe(2 * WINDOW_MS);
      if (self.isAway) return Promise.reject(new StateStoreError('away'));
      self.counts.set(key, (self.counts.get(key) ?? 0) + by);
      return Promise.resolve(self.counts.get(key) ?? 0);
    },
  };
  return self;
}

function limitOf(store = sharedCounters(), { threshold = 20, capacityCount = 100 } = {}) {
  const clock = manualClock(WINDOW_MS * 1_000);
  const make = async () => {
    const limit = createGlobalLimit({ store, keyPrefix: 'px', clock, threshold, windowMs: WINDOW_MS, capacityCount });
    await settled(); // it has begun to rest
    return limit;
  };
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 1_000) {
      clock.advance(Math.min(1_000, left));
      await settled();
    }
  };
  return { clock, store, make, pass };
}
const count = (limit: { readonly isBeyond: (key: string) => boolean }, key: string, events: number): number =>
  Array.from({ length: events }, () => limit.isBeyond(key)).filter(Boolean).length;

describe('the global limit', () => {
  test('what is beyond the threshold in a window is, each key by itself; a window that is over fades', async () => {
    const { make, pass } = limitOf();
    const limit = await make();
    expect([count(limit, 'a', 25), count(limit, 'b', 20)]).toEqual([5, 0]);
    await pass(WINDOW_MS);
    // All of the window before still counts at the beginning of the next one, half of it in its middle.
    expect(count(limit, 'a', 1)).toBe(1);
    await pass(WINDOW_MS / 2);
    expect(count(limit, 'a', 7)).toBe(1); // 25 / 2 + 1 + 6 = 19.5
    await pass(2 * WINDOW_MS);
    expect(count(limit, 'a', 20)).toBe(0);
    limit.close();
  });

  test('L1: two processes count together after their telling', async () => {
    const { make, pass, store } = limitOf();
    const [one, two] = [await make(), await make()];
    expect([count(one, 'a', 15), count(two, 'a', 15)]).toEqual([0, 0]);
    await pass(1_000);
    expect([count(one, 'a', 1), count(two, 'a', 1)]).toEqual([0, 1]); // the second to tell has heard of the first
    await pass(1_000);
    expect([count(one, 'a', 1), count(two, 'a', 1)]).toEqual([1, 1]);
    expect([...store.counts]).toEqual([['px@ph/grl/capture/tok_distid/events:1000:a', 32]]);
    one.close();
    two.close();
  });

  test('keys with few events are not told, and what is told is told once', async () => {
    const { make, pass, store } = limitOf();
    const limit = await make();
    count(limit, 'few', 9);
    count(limit, 'many', 10);
    await pass(5_000);
    expect([...store.counts.values()]).toEqual([10]);
    expect(store.told).toBe(1);
    limit.close();
  });

  test('L2 L3: Redis away: a process limits by its own count, says so once for all keys, and tells later', async () => {
    const away = facts('state-store-unavailable');
    const { make, pass, store } = limitOf();
    store.isAway = true;
    const limit = await make();
    count(limit, 'a', 12);
    count(limit, 'b', 12);
    await pass(1_000);
    expect(away).toEqual([{ operation: 'global-limit', message: 'away' }]);
    expect(count(limit, 'a', 10)).toBe(2);
    store.isAway = false;
    await pass(1_000);
    expect([...store.counts.values()]).toEqual([22, 12]);
    limit.close();
  });

  test('L4: when there is no room a new key is not limited; a window later those that were silent have made room', async () => {
    const { make, pass } = limitOf(sharedCounters(), { capacityCount: 2, threshold: 1 });
    const limit = await make();
    for (const key of ['a', 'b', 'c']) count(limit, key, 1);
    expect([count(limit, 'a', 1), count(limit, 'c', 5)]).toEqual([1, 0]);
    await pass(WINDOW_MS);
    expect(count(limit, 'c', 2)).toBe(1);
    limit.close();
  });

  test('after close nothing is told', async () => {
    const { make, clock, store, pass } = limitOf();
    const limit = await make();
    count(limit, 'a', 12);
    limit.close();
    await pass(3_000);
    expect([store.told, clock.pendingCount]).toEqual([0, 0]);
  });
});

describe('the global limit, met by a request', () => {
  const globalLimit = { isBeyond: (key: string): boolean => key === `phc_x:${'u'.repeat(128)}` };
  const batch = [{ event: 'a' }, { event: '$exception' }, { event: 'b', distinct_id: 'other' }].map((event) => ({
    distinct_id: 'u'.repeat(150),
    ...event,
  }));
  const body = JSON.stringify({ api_key: 'phc_x', batch });

  test('7.2: no person; main events aside without a key; the id counts by its first 128 characters', async () => {
    const limited = facts('capture-keys-limited');
    const producer = fakeProducer();
    const served = await serving(producer, { globalLimit });
    expect((await served.ask('/batch', { body })).status).toBe(200);
    expect(producer.produced).toMatchObject([
      { topic: 'overflow', key: undefined, headers: { force_disable_person_processing: 'true' } },
      { topic: 'exceptions', key: `phc_x:${'u'.repeat(150)}`, headers: { force_disable_person_processing: 'true' } },
      { topic: 'main', key: 'phc_x:other' },
    ]);
    expect(producer.produced[2]?.headers).not.toHaveProperty('force_disable_person_processing');
    expect(limited).toEqual([{ reason: 'limited', count: 2 }]);
  });

  test('7.2: a dry run counts and does nothing', async () => {
    const limited = facts('capture-keys-limited');
    const producer = fakeProducer();
    const served = await serving(producer, { globalLimit, rules: { ...NO_RULES, isGlobalDryRun: true } });
    await served.ask('/batch', { body });
    expect(producer.produced.map(({ topic }) => topic)).toEqual(['main', 'main', 'exceptions']);
    expect(limited).toEqual([{ reason: 'dry_run', count: 2 }]);
  });
});
