import { Redis } from 'ioredis';
import { StateStoreError, type Allowance, type RankEntry, type RateTaken, type StateStore } from './port.ts';
import { scriptsOn } from './scripts/scripts.ts';

export interface RedisOptions {
  /** `redis://[user:password@]host:port/db`, `rediss://` for TLS, or the path of a unix socket. */
  readonly url: string;
  /** For one command, and for a connection. Lowering it gives up hints sooner; nothing else depends on it. */
  readonly timeoutMs: number;
  /** With `rediss://`: PEM text of the certificate authority. Undefined: the authorities of the system. */
  readonly ca?: string | undefined;
  /** False accepts any certificate: encrypted, but to whom is not known. @defaultValue true */
  readonly isVerified?: boolean;
}

/** What every connection of this folder has. */
export function redisOptions({ url, timeoutMs, ca, isVerified = true }: RedisOptions) {
  return {
    enableOfflineQueue: false,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    ...(url.startsWith('rediss:') && { tls: { ...(ca === undefined ? {} : { ca }), rejectUnauthorized: isVerified } }),
  };
}

/**
 * The StateStore on Redis. Commands fail fast while the server is away (no offline queue): whoever uses this has a stated
 * behaviour without it, and what waits here would come too late anyway. ioredis reconnects by itself.
 */
export function createRedisStateStore(options: RedisOptions): StateStore {
  const redis = new Redis(options.url, {
    ...redisOptions(options),
    lazyConnect: false,
    retryStrategy: (attempt) => Math.min(attempt * 100, 2_000),
  });
  // Without a listener ioredis writes to the console. Each failing command tells its caller, so nothing is hidden here.
  redis.on('error', () => undefined);

  const scripts = scriptsOn(redis);

  async function guarded<T>(name: string, run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof StateStoreError) throw error;
      throw new StateStoreError(`Redis: ${name} failed: ${error instanceof Error ? error.message : 'unknown'}`, { cause: error });
    }
  }

  /** All commands in one round trip; every reply is looked at, since an error inside a pipeline rejects nothing. */
  async function whole(name: string, pipeline: ReturnType<Redis['pipeline']>): Promise<readonly unknown[]> {
    return guarded(name, async () => {
      const replies = (await pipeline.exec()) ?? [];
      return replies.map(([error, reply]) => {
        if (error !== null) throw error;
        return reply;
      });
    });
  }

  function pipelined(name: string, fill: (pipeline: ReturnType<Redis['pipeline']>) => void): Promise<readonly unknown[]> {
    const pipeline = redis.pipeline();
    fill(pipeline);
    return whole(name, pipeline);
  }

  return {
    ping: () => guarded('PING', async () => void (await redis.ping())),
    get: (key) => guarded('GET', async () => (await redis.get(key)) ?? undefined),
    set: (key, value, ttlMs) => guarded('SET', async () => void (await redis.set(key, value, 'PX', ttlMs))),
    async setIfAbsent(entries) {
      if (entries.length === 0) return [];
      const replies = await pipelined('SET NX', (pipeline) => {
        for (const { key, ttlMs } of entries) pipeline.set(key, '1', 'PX', ttlMs, 'NX');
      });
      return replies.map((reply) => reply === 'OK');
    },
    async delete(keys) {
      if (keys.length > 0) await guarded('DEL', () => redis.del(...keys));
    },
    async rankAdd(entries) {
      if (entries.length === 0) return;
      await pipelined('ZADD', (pipeline) => {
        // the ttl and the trimming once per set, after its members
        const sets = new Map<string, RankEntry>();
        for (const entry of entries) {
          pipeline.zadd(entry.key, 'GT', entry.score, entry.member);
          sets.set(entry.key, entry);
        }
        for (const { key, ttlMs, keepFrom } of sets.values()) {
          if (keepFrom !== undefined) pipeline.zremrangebyscore(key, '-inf', `(${keepFrom}`);
          pipeline.pexpire(key, ttlMs);
        }
      });
    },
    async rankFrom(key, from) {
      const flat = await guarded('ZRANGEBYSCORE', () => redis.zrangebyscore(key, from, '+inf', 'WITHSCORES'));
      const ranked: { member: string; score: number }[] = [];
      for (let index = 0; index + 1 < flat.length; index += 2) ranked.push({ member: flat[index] ?? '', score: Number(flat[index + 1]) });
      return ranked;
    },
    async increment(key, by, ttlMs) {
      // SET NX and not PEXPIRE NX, which Redis 6.2 does not know; one transaction, so that the ttl is never missing
      const [, count] = await whole('INCRBY', redis.multi().set(key, '0', 'PX', ttlMs, 'NX').incrby(key, by));
      return Number(count);
    },
    fields: (key) => guarded('HGETALL', async () => new Map(Object.entries(await redis.hgetall(key)))),
    async setFields(key, fields, ttlMs) {
      await whole('HSET', redis.multi().del(key).hset(key, fields).pexpire(key, ttlMs));
    },
    async takeAllowances(wanted) {
      if (wanted.length === 0) return [];
      const counts = wanted.map(({ count }) => count);
      const answer = await guarded('takeAllowances', () => scripts.takeAllowances(keysOf(wanted), counts));
      return wanted.map(({ count }, index): Allowance => {
        const [granted = count, left = -1, ends = -1] = answer.slice(index * 3);
        return {
          granted,
          remaining: left < 0 ? undefined : left,
          endsMs: ends < 0 ? undefined : ends,
          isUnreadable: left === -2,
        };
      });
    },
    async returnAllowances(unused) {
      if (unused.length === 0) return;
      const args = unused.flatMap(({ count, endsMs = -1 }) => [count, endsMs]);
      await guarded('returnAllowances', () => scripts.returnAllowances(keysOf(unused), args));
    },
    async takeRates(wanted, wholly) {
      if (wanted.length === 0) return [];
      const args = wanted.flatMap(({ count, intervalUs, burstCount }) => [count, intervalUs, burstCount]);
      const answer = await guarded('takeRates', () => scripts.takeRates(keysOf(wanted), [wholly ? 1 : 0, ...args]));
      return wanted.map(({ count }, index): RateTaken => {
        const [granted = count, waitUs = 0] = answer.slice(index * 2);
        return { granted, waitMs: Math.ceil(waitUs / 1_000) };
      });
    },
    close: () =>
      guarded('QUIT', async () => {
        if (redis.status === 'ready') await redis.quit();
        else redis.disconnect();
      }),
  };
}

const keysOf = (entries: readonly { readonly key: string }[]): readonly string[] => entries.map(({ key }) => key);
