export { createRedisBuffer, type RedisBufferDeps } from './behavior.ts';
