import { createDistinctId, isIdle } from '../actors/distinct-id/index.ts';
import type { DistinctIdMessage, PluginHandle } from '../actors/distinct-id/messages.ts';
import type { PrefetchedPersons } from '../actors/person-writer/messages.ts';
import { createTeam, isTeamIdle } from '../actors/team/index.ts';
import type { TeamMessage } from '../actors/team/messages.ts';
import type { TeamId } from '../src/domain/ids.ts';
import type { Team } from '../src/domain/team.ts';
import type { Entities } from '../src/runtime/entities.ts';
import type { TellResult } from '../src/runtime/ref.ts';
import type { ActorSystem } from '../src/runtime/system.ts';
import { DISTINCT_ID_STRATEGY, TEAM_STRATEGY } from './budgets.ts';
import type { TroupeDeps } from './deps.ts';
import type { Writers } from './writers.ts';

export interface Teams {
  readonly teams: Entities<string, TeamMessage>;
  readonly people: Entities<string, DistinctIdMessage>;
  tellTeam(team: Team, message: TeamMessage): TellResult;
}

/** The key of a distinct_id actor. The team id has no colon, so no two pairs share a key. */
export const personKey = (teamId: number, distinctId: string): string => `${teamId}:${distinctId}`;

/**
 * Entities: a team's actor and a distinct_id's actor start with their first message and are passivated when idle.
 * `people` is a sibling of `teams`, not a child of each team: a nact parent that receives messages pays for each child on
 * each message (docs/adr/0002, hazard N), so both stand under parents that never receive any.
 */
export function startTeams(
  system: ActorSystem,
  deps: TroupeDeps,
  writers: Writers,
  prefetched: PrefetchedPersons,
  pluginsOf: (teamId: TeamId) => readonly PluginHandle[],
): Teams {
  const { settings } = deps;
  const distinctIdSpec = createDistinctId({
    personWriter: writers.personWriter,
    prefetched,
    rowWriter: writers.rowWriter,
    deadLetter: writers.deadLetter,
    redisBuffer: writers.redisBuffer,
    definitions: writers.definitions,
    exceptions: settings.exceptionsTopic === undefined ? undefined : { forwarder: writers.forwarder, topic: settings.exceptionsTopic },
    options: { mailboxCapacityCount: settings.people.mailboxCount },
    strategy: DISTINCT_ID_STRATEGY,
  });
  const people = system.entities({
    parent: 'people',
    kind: 'distinct-id',
    spec: () => distinctIdSpec,
    canPassivate: isIdle,
    idleMs: settings.people.idleMs,
    activeLimitCount: settings.people.activeCount,
    inFlightLimitCount: settings.people.inFlightCount,
    sweepEveryMs: settings.people.sweepEveryMs,
    bufferCount: settings.people.mailboxCount,
  });
  const teamSpec = createTeam({
    tellDistinctId: (teamId, distinctId, message) => people.tell(personKey(teamId, distinctId), message),
    pluginsOf,
    quota: deps.quota ?? ((_team, eventCount) => eventCount),
    redisBuffer: writers.redisBuffer,
    deadLetter: writers.deadLetter,
    options: { mailboxCapacityCount: settings.teams.mailboxCount },
    strategy: TEAM_STRATEGY,
  });
  const teams = system.entities({
    parent: 'teams',
    kind: 'team',
    spec: () => teamSpec,
    canPassivate: isTeamIdle,
    idleMs: settings.teams.idleMs,
    activeLimitCount: settings.teams.activeCount,
    inFlightLimitCount: settings.people.inFlightCount,
    sweepEveryMs: settings.people.sweepEveryMs,
    bufferCount: settings.teams.mailboxCount,
  });
  return { teams, people, tellTeam: (team, message) => teams.tell(String(team.id), message) };
}
