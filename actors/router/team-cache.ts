import type { Team } from '../../src/domain/team.ts';
import type { TeamStore } from '../../src/postgres/port.ts';
import type { Clock } from '../../src/runtime/clock.ts';

/**
 * Tokens and ids to teams, shared by all routers of a process (rule T-5). Negative answers are kept too: a token made
 * after a failed look-up may be refused for up to `tokenTtlMs`; a revoked one, and an old setting, may count for up to `idTtlMs`.
 *
 * Invariants
 * C1 Never more than `capacityCount` entries a map (oldest out first).
 * C2 One query for what a batch needs.
 * C3 What `resolve` found is in its answer: the cache may have let go of it again before the caller looks, and "forgotten" must
 *    never read as "no such team".
 */
export interface TeamCache {
  /** undefined: not known here, `resolve` first. null: there is no such team. */
  byToken(token: string): Team | null | undefined;
  byId(id: number): Team | null | undefined;
  /** Loads these; null in the answer: there is no such team. @throws PostgresError */
  resolve(tokens: readonly string[], ids: readonly number[]): Promise<ResolvedTeams>;
  /** F-1: these teams have had an event; what is kept of them says so from now on. */
  noteIngested(ids: readonly number[]): void;
}

export interface ResolvedTeams {
  readonly byToken: ReadonlyMap<string, Team | null>;
  readonly byId: ReadonlyMap<number, Team | null>;
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

  function keep<Key>(map: Map<Key, Entry>, key: Key, team: Team | null, ttlMs: number): void {
    map.delete(key);
    if (map.size >= options.capacityCount) {
      const oldest = map.keys().next().value;
      if (oldest !== undefined) map.delete(oldest);
    }
    map.set(key, { team, untilMs: clock.monotonic() + ttlMs });
  }

  function patch<Key>(map: Map<Key, Entry>, key: Key): void {
    const entry = map.get(key);
    if (entry?.team) map.set(key, { ...entry, team: { ...entry.team, ingestedEvent: true } });
  }

  return {
    noteIngested(teamIds) {
      const wanted = new Set(teamIds);
      for (const id of wanted) patch(ids, id);
      for (const [token, { team }] of tokens) if (team && wanted.has(team.id)) patch(tokens, token);
    },
    byToken: (token) => read(tokens, token),
    byId: (id) => read(ids, id),
    async resolve(wantedTokens, wantedIds) {
      const [byToken, byId] = await Promise.all([
        wantedTokens.length > 0 ? store.byToken(wantedTokens) : [],
        wantedIds.length > 0 ? store.byId(wantedIds) : [],
      ]);
      const found = {
        byToken: new Map(wantedTokens.map((token, index) => [token, byToken[index] ?? null])),
        byId: new Map(wantedIds.map((id, index) => [id, byId[index] ?? null])),
      };
      // T-5: that a token is nobody's is kept for long; whose it is, and what that team has set, for as long as by the team's id.
      const teamTtlMs = Math.min(options.tokenTtlMs, options.idTtlMs);
      found.byToken.forEach((team, token) => keep(tokens, token, team, team === null ? options.tokenTtlMs : teamTtlMs));
      found.byId.forEach((team, id) => keep(ids, id, team, options.idTtlMs));
      return found;
    },
  };
}
