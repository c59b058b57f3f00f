import type { Team } from '../../src/domain/team.ts';
import type { TeamStore } from '../../src/postgres/port.ts';
import type { Clock } from '../../src/runtime/clock.ts';

/**
 * Tokens and ids to teams, shared by all routers of a process (rule T-5). Negative answers are kept too: a token made
 * after a failed look-up may be refused for up to `tokenTtlMs`.
 *
 * Invariants: C1 never more than `capacityCount` entries a map (oldest out first); C2 one query for what a batch needs.
 */
export interface TeamCache {
  /** undefined: not known here, `resolve` first. null: there is no such team. */
  byToken(token: string): Team | null | undefined;
  byId(id: number): Team | null | undefined;
  /** Loads what is missing. @throws PostgresError */
  resolve(tokens: readonly string[], ids: readonly number[]): Promise<void>;
}

interface Entry {
  readonly team: Team | null;
  readonly untilMs: number;
}

export function createTeamCache(
  store: TeamStore,
  clock: Clock,
  options: { readonly tokenTtlMs: number; readonly idTtlMs: number; readonly capacityCount: number },
): TeamCache {
  const tokens = new Map<string, Entry>();
  const ids = new Map<number, Entry>();

  function read<Key>(map: Map<Key, Entry>, key: Key): Team | null | undefined {
    const entry = map.get(key);
    if (entry === undefined) return undefined;
    if (entry.untilMs > clock.monotonic()) return entry.team;
    map.delete(key);
    return undefined;
  }

  function keep<Key>(map: Map<Key, Entry>, key: Key, team: Team | undefined, ttlMs: number): void {
    if (map.size >= options.capacityCount) {
      const oldest = map.keys().next().value;
      if (oldest !== undefined) map.delete(oldest);
    }
    map.delete(key);
    map.set(key, { team: team ?? null, untilMs: clock.monotonic() + ttlMs });
  }

  return {
    byToken: (token) => read(tokens, token),
    byId: (id) => read(ids, id),
    async resolve(wantedTokens, wantedIds) {
      const [byToken, byId] = await Promise.all([
        wantedTokens.length > 0 ? store.byToken(wantedTokens) : [],
        wantedIds.length > 0 ? store.byId(wantedIds) : [],
      ]);
      wantedTokens.forEach((token, index) => keep(tokens, token, byToken[index], options.tokenTtlMs));
      wantedIds.forEach((id, index) => keep(ids, id, byId[index], options.idTtlMs));
    },
  };
}
