import { join, resolve } from 'node:path';
import type { AssembleDeps } from './assemble-deps.ts';
import { pemOf } from '../config/pem.ts';
import { isVerified } from '../config/rules.ts';
import { redisTarget } from './contact/targets.ts';
import { contact, ContactError } from './contact/contact.ts';
import { createEmbeddedStateStore } from '../embedded/state-store.ts';
import { createRedisStateStore } from '../redis/client.ts';
import { tryRedis } from '../redis/first-contact.ts';
import type { StateStore } from '../redis/port.ts';

/** Redis, or the embedded state store. Says which. */
export async function openStateStore(deps: AssembleDeps): Promise<StateStore> {
  const { config, clock, closers } = deps;
  if (config.redis.url !== undefined) return openRedis(deps, config.redis.url);
  const dir = join(resolve(config.server.dataDir), 'state');
  const store = await createEmbeddedStateStore({ dir, clock });
  closers.push('the embedded state store', () => store.close());
  deps.say(`state store embedded, ${dir}`);
  return store;
}

/** For the look at a port that hangs up, and for another attempt. */
const LOOK_MS = 2_000;

/** Redis holds hints: one that is away stops nothing. One that refuses us would refuse for ever, and nobody would notice. */
async function openRedis({ config, clock, closers, say }: AssembleDeps, url: string): Promise<StateStore> {
  const { timeoutMs, ca } = config.redis;
  const options = { url, timeoutMs, ca: pemOf(ca), isVerified: isVerified(config, 'redis') };
  let state = '';
  try {
    await contact(redisTarget(url), { clock, limitMs: timeoutMs + LOOK_MS }, () => tryRedis(options));
  } catch (error) {
    if (!(error instanceof ContactError) || !error.passes) throw error;
    state = `, which does not answer (${error.reason}); going on without it`;
  }
  const store = createRedisStateStore(options);
  closers.push('the Redis client', () => store.close());
  say(`Redis       at ${URL.parse(url)?.host ?? url}${state}`);
  return store;
}

/** Redis for capture: the one that is open already, or one of its own. Undefined without Redis: what an embedded store held would be this process's alone. */
export async function openSharedRedis(
  deps: AssembleDeps,
  open: { readonly stateStore: StateStore } | undefined,
): Promise<StateStore | undefined> {
  if (deps.config.redis.url === undefined) return undefined;
  return open?.stateStore ?? openStateStore(deps);
}
