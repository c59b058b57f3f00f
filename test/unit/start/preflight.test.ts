import { afterEach, describe, expect, it } from 'vitest';
import { observe } from '../../../src/observe/facts.ts';
import { StateStoreError } from '../../../src/redis/port.ts';
import { startPreflight } from '../../../src/start/preflight.ts';
import { manualClock } from '../../kit/clock.ts';

const ends: (() => void)[] = [];
afterEach(() => ends.splice(0).forEach((end) => end()));

function setUp() {
  const clock = manualClock();
  const sets: (readonly [key: string, value: string, ttlMs: number])[] = [];
  const warnings: string[] = [];
  const redis = { isAway: false };
  ends.push(observe('log-written', ({ level }) => void warnings.push(level)));
  const preflight = startPreflight({
    clock,
    version: '1.2.3',
    store: {
      set(...args) {
        if (redis.isAway) return Promise.reject(new StateStoreError('away'));
        sets.push(args);
        return Promise.resolve();
      },
    },
  });
  ends.push(() => preflight.stop());
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, sets, warnings, redis, preflight, pass };
}

describe('C-8: the preflight keys', () => {
  it('say at once, and then every 5 s, when this process lived and what it is', async () => {
    const { clock, sets, pass } = setUp();
    const startMs = clock.now();
    await pass(0);
    await pass(4_999);
    expect(sets).toEqual([
      ['@posthog-plugin-server/ping', new Date(startMs).toISOString(), 60_000],
      ['@posthog-plugin-server/version', '1.2.3', 60_000],
    ]);
    await pass(1);
    expect(sets[2]).toEqual(['@posthog-plugin-server/ping', new Date(startMs + 5_000).toISOString(), 60_000]);
  });

  it('a Redis that is away is a warning, and is told the next time', async () => {
    const { sets, warnings, redis, pass } = setUp();
    redis.isAway = true;
    await pass(0);
    expect(warnings).toEqual(['warn']);
    redis.isAway = false;
    await pass(5_000);
    expect(sets).toHaveLength(2);
  });

  it('nothing is told after the stop', async () => {
    const { sets, preflight, pass } = setUp();
    await pass(0);
    preflight.stop();
    await pass(60_000);
    expect(sets).toHaveLength(2);
  });
});
