import { Redis } from 'ioredis';
import { redisOptions, type RedisOptions } from './client.ts';

/** One attempt to reach Redis: connection, login, one question. @throws the error of ioredis, at once: nothing is repeated. */
export async function tryRedis(options: RedisOptions): Promise<void> {
  const redis = new Redis(options.url, { ...redisOptions(options), lazyConnect: true, retryStrategy: () => null });
  let first: Error | undefined;
  // What `connect` rejects with is only that the connection ended; why, is said here.
  redis.on('error', (error) => (first ??= error));
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    throw first ?? error;
  } finally {
    redis.disconnect();
  }
}
