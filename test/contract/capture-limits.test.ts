import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NO_PLUGINS } from '../../src/capture/plugins/open.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createRedisStateStore } from '../../src/redis/client.ts';
import type { StateStore } from '../../src/redis/port.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { openCapture } from '../../src/start/capture-server.ts';
import { createClosers, type Closers } from '../../src/start/closers.ts';
import { requireService } from '../services/availability.ts';
import { probeRedis, startRedis, type TestRedis } from '../services/redis.ts';
import { fakeProducer } from '../unit/capture/kit.ts';

/** spec/capture.md 7.2, 7.4 and 16.1, rows 13, 14, 23, 24, 29, 30: keys as PostHog and operators write them, in a real Redis, met by requests. */
const redis = await requireService('redis', probeRedis);
const MAIN = 'events_plugin_ingestion';

describe.skipIf(!redis.available)('limits in a real Redis', () => {
  let server: TestRedis;
  let operator: Redis;
  let store: StateStore;
  let closers: Closers;
  let dir: string;
  const producer = fakeProducer();

  beforeAll(async () => {
    server = await startRedis();
    operator = new Redis(server.url, { lazyConnect: false, retryStrategy: () => 50 });
    operator.on('error', () => undefined); // it is killed on purpose
    store = createRedisStateStore({ url: server.url, timeoutMs: 1_000 });
  });
  afterAll(async () => {
    operator.disconnect();
    await store.close();
    await server.stop();
  });
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'troupe-limits-'));
    closers = createClosers();
    producer.produced.length = 0;
    await operator.flushall();
    await expect.poll(() => store.ping().then(() => true, () => false)).toBe(true); // prettier-ignore
  });
  afterEach(async () => {
    await closers.closeAll();
    rmSync(dir, { recursive: true, force: true });
  });

  const open = async (env: Readonly<Record<string, string>>): Promise<string> => {
    const { config } = loadConfig({
      TROUPE_CAPTURE_PORT: '0',
      TROUPE_CAPTURE_HOST: '127.0.0.1',
      TROUPE_SHUTDOWN_ANNOUNCE_MS: '0',
      TROUPE_SHUTDOWN_LINGER_MS: '0',
      TROUPE_SHUTDOWN_INTAKE_MS: '1',
      TROUPE_DATA_DIR: dir,
      KAFKA_HOSTS: '127.0.0.1:1',
      CLICKHOUSE_HOST: '127.0.0.1',
      DATABASE_URL: 'postgres://127.0.0.1/x',
      REDIS_URL: 'redis://127.0.0.1:1',
      TROUPE_CAPTURE_REDIS_WAIT_MS: '500',
      ...env,
    });
    return (await openCapture({ config, clock: systemClock, random: systemRandom, closers, producer, redis: store, plugins: NO_PLUGINS }))
      .url;
  };
  const send = async (url: string, token: string, ...names: readonly string[]): Promise<number> => {
    const batch = names.map((event) => ({ event, distinct_id: 'u1' }));
    const response = await fetch(`${url}/batch`, { method: 'POST', body: JSON.stringify({ api_key: token, batch }) });
    await response.arrayBuffer();
    return response.status;
  };
  const stored = (): readonly string[] => producer.produced.map(({ topic, envelope }) => `${topic} ${String(envelope['event'])}`);

  it("7.4: what PostHog's web writes down is followed after the next reading, and no longer when it is taken away", async () => {
    const url = await open({ EVENT_RESTRICTIONS_ENABLED: 'true', EVENT_RESTRICTIONS_REFRESH_INTERVAL_SECS: '1' });
    const key = (type: string): string => `event_ingestion_restriction_dynamic_config:${type}`;
    const entry = { version: 2, token: 'phc_x', pipelines: ['analytics'] };
    await operator.set(key('drop_event_from_ingestion'), JSON.stringify([{ ...entry, event_names: ['dropped'] }]));
    await operator.set(key('redirect_to_dlq'), JSON.stringify([{ ...entry, event_names: ['bad'] }]));
    const sent = async (): Promise<readonly string[]> => {
      producer.produced.length = 0;
      expect(await send(url, 'phc_x', 'plain', 'dropped', 'bad')).toBe(200);
      return stored();
    };
    await expect.poll(sent, { timeout: 5_000 }).toEqual([`${MAIN} plain`, 'events_plugin_ingestion_dlq bad']);
    await operator.del(key('drop_event_from_ingestion'), key('redirect_to_dlq'));
    await expect.poll(sent, { timeout: 5_000 }).toEqual([`${MAIN} plain`, `${MAIN} dropped`, `${MAIN} bad`]);
  });

  it('row 14: 40 requests at once store as many events as the counter had, and the counter keeps its end', async () => {
    await operator.set('quota:phc_x:events', '25', 'EX', 600);
    const url = await open({ TROUPE_CAPTURE_ALLOWANCES: 'true' });
    expect(new Set(await Promise.all(Array.from({ length: 40 }, () => send(url, 'phc_x', 'a'))))).toEqual(new Set([200]));
    expect(producer.produced).toHaveLength(25);
    expect(await operator.get('quota:phc_x:events')).toBe('0');
    expect(await operator.ttl('quota:phc_x:events')).toBeGreaterThan(500);
    expect(await send(url, 'phc_free', 'a')).toBe(200);
    expect(await operator.keys('*')).toEqual(['quota:phc_x:events']);
  });

  it('row 23: a rate holds over two processes together; what is too many goes aside', async () => {
    const env = { TROUPE_CAPTURE_RATE_PER_S: '0.01', TROUPE_CAPTURE_RATE_BURST_COUNT: '7' };
    const urls = [await open(env), await open(env)];
    await Promise.all(urls.flatMap((url) => Array.from({ length: 10 }, () => send(url, 'phc_x', 'a'))));
    expect(stored().filter((one) => one === `${MAIN} a`)).toHaveLength(7);
    expect(stored().filter((one) => one === `${MAIN}_overflow a`)).toHaveLength(13);
    expect(await operator.pttl('rate:phc_x:events')).toBeGreaterThan(600_000);
  });

  it('rows 24, 29, 30: a hash says whether, where and what a token may send; a change holds without a restart', async () => {
    const url = await open({ TROUPE_CAPTURE_TOKEN_SETTINGS: 'true', TROUPE_CAPTURE_TOKEN_SETTINGS_REFRESH_MS: '100', TROUPE_CAPTURE_TOKENS: 'phc_listed' }); // prettier-ignore
    await operator.hset('config:phc_x', { allowed_types: 'exceptions', allowed_endpoints: '/batch' });
    expect(await send(url, 'phc_x', 'a', '$exception')).toBe(200);
    expect(stored()).toEqual(['exceptions_ingestion $exception']);
    expect([await send(url, 'phc_listed', 'a'), await send(url, 'phc_stranger', 'a')]).toEqual([200, 401]);
    await operator.hset('config:phc_x', { enabled: 'false' });
    await expect.poll(() => send(url, 'phc_x', '$exception')).toBe(401);
  });

  it('Redis killed in the middle: nobody is refused, nobody is limited, nobody waits long; and limits hold again when it is back', async () => {
    const url = await open({
      TROUPE_CAPTURE_ALLOWANCES: 'true',
      TROUPE_CAPTURE_RATE_PER_S: '1',
      TROUPE_CAPTURE_RATE_OVER: 'drop',
      TROUPE_CAPTURE_TOKEN_SETTINGS: 'true',
      TROUPE_CAPTURE_UNKNOWN_TOKENS: 'refuse',
      TROUPE_CAPTURE_REDIS_WAIT_MS: '100',
    });
    expect(await send(url, 'phc_x', 'a')).toBe(401);
    await server.kill();
    const from = performance.now();
    for (let n = 0; n < 20; n++) expect(await send(url, `phc_${n}`, 'a', 'b')).toBe(200);
    expect(performance.now() - from).toBeLessThan(4_000);
    expect(producer.produced).toHaveLength(40);
    await server.start();
    await expect.poll(() => send(url, 'phc_new', 'a'), { timeout: 10_000, interval: 100 }).toBe(401);
  }, 30_000);
});
