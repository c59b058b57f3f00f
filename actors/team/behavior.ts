/**
 * One actor per active team: its settings and plugins, its quota, and the fan-out of a batch to the distinct_id actors.
 * It is a room of its own because a team is the unit of trust and of fairness: what one team does wrong stays here.
 *
 *     ready ──a distinct_id actor is full──▶ holding ──all offered groups taken──▶ ready
 *
 * Invariants
 * T1 Groups of one distinct_id are handed on in the order they came: while one is held, later ones queue behind it.
 * T2 It never waits and never does I/O: it hands on, holds (bounded by the routers' credit), or settles.
 * T3 Each event is handed on once or settled once; or nothing, when its partition is lost or the tree is torn down.
 */
import type { EventGroup } from '../../src/domain/event.ts';
import type { TeamId } from '../../src/domain/ids.ts';
import { dropped } from '../../src/domain/outcome.ts';
import type { Team } from '../../src/domain/team.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import type { ActorRef, TellResult } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import { poison, type DeadLetterMessage } from '../dead-letter/messages.ts';
import type { DistinctIdMessage, GroupMessage, PluginHandle } from '../distinct-id/messages.ts';
import type { RedisBufferMessage } from '../redis-buffer/messages.ts';
import type { TeamMessage } from './messages.ts';

export interface TeamDeps {
  /** Tells a (team, distinct_id) actor, starting it where needed. */
  readonly tellDistinctId: (teamId: TeamId, distinctId: string, message: DistinctIdMessage) => TellResult;
  readonly pluginsOf: (teamId: TeamId) => readonly PluginHandle[];
  /** The quota hook: how many of so many events of a team may pass now. Synchronous, so it decides from what it has. */
  readonly quota: (team: Team, eventCount: number) => number;
  readonly redisBuffer: ActorRef<RedisBufferMessage>;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly options: { readonly mailboxCapacityCount: number };
  readonly strategy: Strategy;
}

export interface TeamState {
  readonly held: GroupMessage[];
  readonly heldIds: Set<string>;
  name: string;
  handedOnCount: number;
  overQuotaCount: number;
}

export function createTeam(deps: TeamDeps): ActorSpec<TeamState, TeamMessage> {
  function receive(state: TeamState, message: TeamMessage, ctx: ActorContext<TeamMessage>): TeamState {
    if (message.type === 'self:offer-again') {
      const held = state.held.splice(0);
      state.heldIds.clear();
      for (const one of held) handOn(state, one, ctx);
      return state;
    }
    const { team } = message;
    state.name = team.name;
    const plugins = deps.pluginsOf(team.id);
    for (const group of withinQuota(state, team, message.groups)) handOn(state, { type: 'group', team, plugins, group }, ctx);
    deps.redisBuffer.tell({ type: 'seen', teamId: team.id, member: 'events', atMs: ctx.clock.now() });
    return state;
  }

  /** The first ones pass; the rest ends as dropped(quota). */
  function withinQuota(state: TeamState, team: Team, groups: readonly EventGroup[]): readonly EventGroup[] {
    const asked = groups.reduce((sum, group) => sum + group.events.length, 0);
    let left = deps.quota(team, asked);
    if (left >= asked) return groups;
    state.overQuotaCount += asked - left;
    return groups.flatMap((group) => {
      const passing = group.events.slice(0, left);
      for (const pending of group.events.slice(left)) pending.settlement.settle(pending.offset, dropped('quota'));
      left -= passing.length;
      return passing.length > 0 ? [{ ...group, events: passing }] : [];
    });
  }

  function handOn(state: TeamState, message: GroupMessage, ctx: ActorContext<TeamMessage>): void {
    const { group } = message;
    if (!state.heldIds.has(group.distinctId)) {
      const told = deps.tellDistinctId(group.teamId, group.distinctId, message);
      if (told === 'accepted') {
        state.handedOnCount += group.events.length;
        return;
      }
    }
    if (state.held.length === 0) ctx.after(OFFER_AGAIN_MS, { type: 'self:offer-again' });
    state.held.push(message);
    state.heldIds.add(group.distinctId);
  }

  function bury(groups: readonly EventGroup[], detail: string): void {
    const records = groups.flatMap((group) =>
      group.events.filter((one) => one.settlement.active).map((one) => poison(one, 'actor_crashed', 'team', detail)),
    );
    if (records.length > 0) deps.deadLetter.tell({ type: 'dead-letter', records });
  }

  return {
    kind: 'team',
    start: () => ({ held: [], heldIds: new Set(), name: '', handedOnCount: 0, overQuotaCount: 0 }),
    receive,
    failed(state, message, error) {
      const detail = error instanceof Error ? error.message : 'not an Error was thrown';
      bury([...state.held.map((one) => one.group), ...(message.type === 'groups' ? message.groups : [])], detail);
    },
    refused(message, reason) {
      // 'stopped' is a tree that is being torn down: the records come again.
      if (message.type === 'groups' && reason === 'quarantined') bury(message.groups, 'the actor is quarantined');
    },
    mailbox: { capacityCount: deps.options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({ held: state.held.length, handedOn: state.handedOnCount, overQuota: state.overQuotaCount }),
  };
}

const OFFER_AGAIN_MS = 20;

/** Whether a team actor may be passivated: nothing is held. */
export const isTeamIdle = (state: TeamState): boolean => state.held.length === 0;
