import type { Envelope } from '../../src/domain/event.ts';
import type { Team } from '../../src/domain/team.ts';
import { lookupToken } from '../../src/domain/token.ts';
import type { Ledger } from '../../src/kafka/ledger.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import { PostgresError, type PersonKey } from '../../src/postgres/port.ts';
import type { Clock, Random } from '../../src/runtime/clock.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import type { TeamCache } from './team-cache.ts';

/** A record that has passed the outer checks. `team` undefined: not yet looked up; null: there is no such team. */
export interface Arrival {
  readonly record: KafkaRecord;
  readonly envelope: Envelope;
  team: Team | null | undefined;
}

export interface TeamSource {
  readonly teams: TeamCache;
  readonly ledger: Ledger;
  readonly trustTeamId: boolean;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * Gives each arrival its team: from the cache, or by one query for all that it does not know. PostgreSQL away: the
 * partition waits. False when it was revoked meanwhile.
 */
export async function resolveTeams(arrivals: readonly Arrival[], from: TeamSource): Promise<boolean> {
  const { teams, ledger, trustTeamId } = from;
  const unknown: Arrival[] = [];
  const tokens = new Set<string>();
  const ids = new Set<number>();
  for (const arrival of arrivals) {
    const { teamId, token } = namedBy(arrival.envelope, trustTeamId);
    if (teamId !== undefined) arrival.team = teams.byId(teamId);
    else if (token !== undefined) arrival.team = teams.byToken(token);
    if (arrival.team !== undefined) continue;
    unknown.push(arrival);
    if (teamId !== undefined) ids.add(teamId);
    else if (token !== undefined) tokens.add(token);
  }
  if (tokens.size === 0 && ids.size === 0) return true;
  const patience = {
    clock: from.clock,
    random: from.random,
    passing: (error: unknown) => error instanceof PostgresError && error.kind === 'unavailable',
    givenUp: () => !ledger.settlement.active,
    minMs: 50,
    maxMs: 2000,
  };
  try {
    const found = await untilAvailable(patience, () => teams.resolve([...tokens], [...ids]));
    for (const arrival of unknown) {
      const { teamId, token } = namedBy(arrival.envelope, trustTeamId);
      if (teamId !== undefined) arrival.team = found.byId.get(teamId);
      else if (token !== undefined) arrival.team = found.byToken.get(token);
    }
  } catch (error) {
    if (ledger.settlement.active) throw error;
  }
  return ledger.settlement.active;
}

/** The (team, distinct_id) pairs of what will be dispatched, each once. */
export function personsOf(arrivals: readonly Arrival[]): readonly PersonKey[] {
  const seen = new Map<number, Set<string>>();
  const keys: PersonKey[] = [];
  for (const { team, envelope } of arrivals) {
    if (!team) continue;
    const { distinctId } = envelope;
    let ids = seen.get(team.id);
    if (ids === undefined) seen.set(team.id, (ids = new Set()));
    else if (ids.has(distinctId)) continue;
    ids.add(distinctId);
    keys.push({ teamId: team.id, distinctId });
  }
  return keys;
}

/** Rules T-2, T-3: what the record may name its team by. */
export function namedBy(
  { teamId, token }: Envelope,
  trustTeamId: boolean,
): { readonly teamId: number | undefined; readonly token: string | undefined } {
  if (trustTeamId && teamId !== undefined) return { teamId, token: undefined };
  return { teamId: undefined, token: token === undefined || token === '' ? undefined : lookupToken(token) };
}
