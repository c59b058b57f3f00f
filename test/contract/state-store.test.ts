import { mkdtempSync, rmSync, writeFileSync, readFileSync, appendFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, it, vi } from 'vitest';
import { createEmbeddedStateStore } from '../../src/embedded/state-store.ts';
import { createRedisStateStore } from '../../src/redis/client.ts';
import { StateStoreError } from '../../src/redis/port.ts';
import { manualClock } from '../kit/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeRedis, startRedis } from '../services/redis.ts';
import { describeStateStore } from './state-store.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describeStateStore('embedded', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
  const clock = manualClock();
  const store = await createEmbeddedStateStore({ dir, clock });
  return {
    store,
    pass: (ms) => Promise.resolve(clock.advance(ms)),
    close: async () => {
      await store.close();
      rmSync(dir, { recursive: true });
    },
  };
});

describe('embedded state store: its file', () => {
  const open = (dir: string, clock = manualClock(), capacityCount = 100_000) => createEmbeddedStateStore({ dir, clock, capacityCount });

  it('S1: a store that was never closed is read back, with its ttls', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
    const clock = manualClock();
    const first = await open(dir, clock);
    await first.set('a', 'one', 1_000);
    await first.rankAdd([{ key: 'r', member: 'm', score: 4, ttlMs: 5_000 }]);
    await first.setFields('h', { topic: 'x' }, 5_000);
    await first.set('left', '9', 5_000);
    await first.takeAllowances([{ key: 'left', count: 4 }]);
    await first.set('gone', 'x', 5_000);
    await first.delete(['gone']);
    clock.advance(2_000);
    const second = await open(dir, clock);
    expect(await second.get('a')).toBeUndefined();
    expect(await second.get('gone')).toBeUndefined();
    expect(await second.rankFrom('r', 0)).toEqual([{ member: 'm', score: 4 }]);
    expect(await second.fields('h')).toEqual(new Map([['topic', 'x']]));
    expect(await second.get('left')).toBe('5');
    rmSync(dir, { recursive: true });
  });

  it('S2: a torn tail and a flipped byte end the reading, and what stands before is kept', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
    const store = await open(dir);
    await store.set('a', 'one', 60_000);
    await store.set('b', 'two', 60_000);
    await store.close();
    const path = join(dir, 'state.log');
    writeFileSync(path, readFileSync(path, 'utf8').replace('two', 'twx'));
    appendFileSync(path, '1234');
    const again = await open(dir);
    expect(await again.get('a')).toBe('one');
    expect(await again.get('b')).toBeUndefined();
    rmSync(dir, { recursive: true });
  });

  it('S2: a set that was refreshed keeps what its first lines gave, one that had ended does not', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
    const clock = manualClock();
    const first = await open(dir, clock);
    const add = (key: string, member: string) => first.rankAdd([{ key, member, score: 1, ttlMs: 1_000 }]);
    await add('refreshed', 'a');
    await add('ended', 'a');
    clock.advance(900);
    await add('refreshed', 'b');
    clock.advance(600);
    await add('ended', 'b');
    const second = await open(dir, clock);
    const members = async (key: string) => (await second.rankFrom(key, 0)).map(({ member }) => member);
    expect(await members('refreshed')).toEqual(['a', 'b']);
    expect(await members('ended')).toEqual(['b']);
    rmSync(dir, { recursive: true });
  });

  it('S3: the file stays bounded by what lives, whatever is written', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
    const store = await open(dir);
    const value = 'x'.repeat(1_000);
    for (let turn = 0; turn < 3_000; turn++) await store.set('same', `${value}${String(turn)}`, 60_000);
    expect(statSync(join(dir, 'state.log')).size).toBeLessThan(1.1 * 1024 * 1024);
    expect(await store.get('same')).toBe(`${value}2999`);
    rmSync(dir, { recursive: true });
  });

  it('a change of a large set costs its changed members only', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
    const store = await open(dir);
    const add = (members: readonly number[]) =>
      store.rankAdd(members.map((member) => ({ key: 'set', member: String(member), score: member, ttlMs: 60_000 })));
    await add(Array.from({ length: 10_000 }, (_, member) => member));
    const before = statSync(join(dir, 'state.log')).size;
    await add([10_001]);
    expect(statSync(join(dir, 'state.log')).size - before).toBeLessThan(100);
    expect(await (await open(dir)).rankFrom('set', 9_999)).toHaveLength(2);
    rmSync(dir, { recursive: true });
  });

  it('S4: at the bound the key that ends soonest makes room', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'troupe-state-'));
    const store = await open(dir, manualClock(), 2);
    await store.set('soon', '1', 1_000);
    await store.set('late', '2', 9_000);
    await store.set('new', '3', 5_000);
    expect([await store.get('soon'), await store.get('late'), await store.get('new')]).toEqual([undefined, '2', '3']);
    rmSync(dir, { recursive: true });
  });
});

const redis = await requireService('redis', probeRedis);

describe.skipIf(!redis.available)('with a real redis-server', () => {
  describeStateStore('redis', async () => {
    const server = await startRedis();
    const store = createRedisStateStore({ url: server.url, timeoutMs: 1_000 });
    await vi.waitUntil(
      () =>
        store.ping().then(
          () => true,
          () => false,
        ),
      { timeout: 5_000, interval: 10 },
    );
    return {
      store,
      pass: sleep,
      close: async () => {
        await store.close();
        await server.stop();
      },
    };
  });

  it('a counter that somebody set without an end is taken from, given back to, and never ends', async () => {
    const server = await startRedis();
    const store = createRedisStateStore({ url: server.url, timeoutMs: 1_000 });
    const operator = new Redis(server.url);
    await operator.set('left', '5');
    await expect.poll(() => store.takeAllowances([{ key: 'left', count: 3 }]).catch(() => undefined)).toMatchObject([{ granted: 3, remaining: 2, endsMs: undefined }]); // prettier-ignore
    await store.returnAllowances([{ key: 'left', count: 2, endsMs: undefined }, { key: 'left', count: 1, endsMs: 1 }]); // prettier-ignore
    expect([await operator.get('left'), await operator.ttl('left')]).toEqual(['4', -1]);
    operator.disconnect();
    await store.close();
    await server.stop();
  });

  it('scripts come again by themselves to a server that has forgotten them', async () => {
    const server = await startRedis();
    const store = createRedisStateStore({ url: server.url, timeoutMs: 1_000 });
    const operator = new Redis(server.url);
    const take = () => store.takeRates([{ key: 'r', count: 1, intervalUs: 1_000_000_000, burstCount: 2 }], false);
    await expect.poll(() => take().catch(() => undefined)).toMatchObject([{ granted: 1 }]);
    await operator.script('FLUSH');
    expect(await take()).toMatchObject([{ granted: 1 }]);
    operator.disconnect();
    await store.close();
    await server.stop();
  });

  it('rejects with StateStoreError while the server is away, and works again by itself', async () => {
    const server = await startRedis();
    const store = createRedisStateStore({ url: server.url, timeoutMs: 500 });
    const up = (): Promise<boolean> =>
      store.ping().then(
        () => true,
        () => false,
      );
    await expect.poll(up).toBe(true);
    await server.kill();
    await expect(store.setIfAbsent([{ key: 'a', ttlMs: 1_000 }])).rejects.toBeInstanceOf(StateStoreError);
    await server.start();
    await expect.poll(up, { timeout: 5_000 }).toBe(true);
    await store.close();
    await server.stop();
  });
});
