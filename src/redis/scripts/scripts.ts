import type { Redis } from 'ioredis';
import { RETURN_ALLOWANCES } from './return-allowances.ts';
import { TAKE_ALLOWANCES } from './take-allowances.ts';
import { TAKE_RATES } from './take-rates.ts';

/** Runs a script with these keys; sent by its hash, and whole when the server does not know it. */
type Script = (keys: readonly string[], args: readonly (string | number)[]) => Promise<readonly number[]>;

export interface Scripts {
  readonly takeAllowances: Script;
  readonly returnAllowances: Script;
  readonly takeRates: Script;
}

/** The scripts of this folder on a connection. */
export function scriptsOn(redis: Redis): Scripts {
  const define = (name: string, lua: string): Script => {
    redis.defineCommand(name, { lua });
    // ioredis puts a method on the client that no type knows of.
    const run = (redis as unknown as Record<string, (...args: (string | number)[]) => Promise<number[]>>)[name];
    if (run === undefined) throw new Error(`ioredis did not define ${name}`);
    return (keys, args) => run.call(redis, keys.length, ...keys, ...args);
  };
  return {
    takeAllowances: define('troupeTakeAllowances', TAKE_ALLOWANCES),
    returnAllowances: define('troupeReturnAllowances', RETURN_ALLOWANCES),
    takeRates: define('troupeTakeRates', TAKE_RATES),
  };
}
