import { state } from '../../observe/facts.ts';
import type { StateStore } from '../../redis/port.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Hurried } from '../hurried.ts';
import { maskedToken } from '../token.ts';
import { readTokenSettings, type TokenSettings } from './settings.ts';

/** What is known of a token: its settings; that it has none; or nothing, since Redis did not answer. */
export type KnownToken = TokenSettings | 'none' | 'unanswered';

export interface TokenRegistry {
  /** From memory; of a token that is new, when Redis has answered or its time is over. Never rejects. */
  of(token: string): KnownToken | Promise<KnownToken>;
}

export interface RegistryOptions {
  readonly store: Pick<StateStore, 'fields'>;
  readonly hurried: Hurried;
  readonly keyPrefix: string;
  readonly clock: Clock;
  /** Topics that settings may name. */
  readonly topics: ReadonlySet<string>;
  /** For how long what was read is not asked for again. */
  readonly refreshMs: number;
  /** @defaultValue 10,000 */
  readonly capacityCount?: number;
}

interface Entry {
  readonly known: TokenSettings | 'none';
  readonly askAgainMs: number;
}

/**
 * Role: knows the settings of tokens.
 *
 *     (unknown) ──asked──▶ loading ──answer──▶ fresh ──refreshMs──▶ stale ──asked──▶ stale, loading ──answer──▶ fresh
 *                             └──no answer──▶ (unknown)                                   └──no answer──▶ stale
 *
 * T1 A token that is known is answered from memory, also while it is stale: it is read again beside the request.
 * T2 Without an answer what was known stays; a token of which nothing is known counts as 'unanswered', and that is not remembered.
 * T3 At most `capacityCount` tokens are remembered; the one that nobody has asked for longest goes. A token without settings is one of them.
 * T4 Each token is read by one question at a time, however many requests ask.
 */
export function createTokenRegistry(options: RegistryOptions): TokenRegistry {
  const { store, hurried, keyPrefix, clock, topics, refreshMs, capacityCount = 10_000 } = options;
  /** In the order of their last use. */
  const entries = new Map<string, Entry>();
  const loading = new Map<string, Promise<KnownToken>>();

  function load(token: string): Promise<KnownToken> {
    const begun = loading.get(token);
    if (begun !== undefined) return begun;
    const loaded = read(token).finally(() => loading.delete(token));
    loading.set(token, loaded);
    return loaded;
  }

  async function read(token: string): Promise<KnownToken> {
    const fields = await hurried.ask('token-settings', () => store.fields(`${keyPrefix}config:${token}`));
    if (fields === undefined) return 'unanswered'; // T2
    const { settings, faults } = readTokenSettings(fields, topics);
    for (const fault of faults) state('capture-token-settings-malformed', { who: maskedToken(token), ...fault });
    const known = fields.size === 0 ? 'none' : settings;
    keep(token, { known, askAgainMs: clock.monotonic() + refreshMs });
    return known;
  }

  /** T3 */
  function keep(token: string, entry: Entry): void {
    entries.delete(token);
    entries.set(token, entry);
    if (entries.size <= capacityCount) return;
    for (const oldest of entries.keys()) {
      entries.delete(oldest);
      return;
    }
  }

  return {
    of(token) {
      const entry = entries.get(token);
      if (entry === undefined) return load(token);
      keep(token, entry);
      if (clock.monotonic() >= entry.askAgainMs) void load(token); // T1
      return entry.known;
    },
  };
}
