/** From arrivals to groups in the hands of their teams, by way of the lanes. */
import type { EventGroup } from '../../src/domain/event.ts';
import { offset as toOffset } from '../../src/domain/ids.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { Team } from '../../src/domain/team.ts';
import { warning } from '../../src/domain/warnings.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import { namedBy, type Arrival } from './arrivals.ts';
import { freed } from './credit.ts';
import { deadLetter, drop } from './endings.ts';
import { createLane, type Lane } from './lane.ts';
import type { Ctx, Shared } from './shared.ts';
import type { RouterState } from './state.ts';

const OFFER_AGAIN_MS = 20;

/** A group of the slice while it grows, with what its events are settled through. */
type GrowingGroup = EventGroup & { readonly settlement: Settlement };
type Groups = Map<string, GrowingGroup>;

/** Groups a slice by team and distinct_id (R3) and hands on what the lanes let go. An unknown team costs its record alone (R6). */
export function dispatch(shared: Shared, state: RouterState, arrivals: readonly Arrival[], ctx: Ctx): void {
  const { deps, partition, overflowMode, tracing } = shared;
  const { overflow } = deps;
  const byLane = new Map<Lane, Groups>();
  let events = 0;
  for (const { record, envelope, team } of arrivals) {
    const offset = toOffset(record.offset);
    if (team === undefined || team === null) {
      const { teamId } = namedBy(envelope, deps.options.trustTeamId);
      // T-2: a producer that is trusted and wrong. Clients cannot send this.
      if (teamId !== undefined) deadLetter(shared, state, record, 'unknown_team_id', `no team has the id ${teamId}`, ctx);
      else drop(shared, envelope, offset, team === undefined ? 'no_token' : 'invalid_token');
      continue;
    }
    const lane = laneOf(shared, state, team, ctx);
    let groups = byLane.get(lane);
    if (groups === undefined) byLane.set(lane, (groups = new Map() as Groups));
    let group = groups.get(envelope.distinctId);
    if (group === undefined) {
      group = { teamId: team.id, distinctId: envelope.distinctId, events: [], settlement: lane.settlementFor(envelope.distinctId) };
      groups.set(envelope.distinctId, group);
    }
    events++;
    group.events.push({
      offset,
      settlement: group.settlement,
      envelope,
      teamId: team.id,
      raw: record.value ?? Buffer.alloc(0),
      key: record.key,
      headers: record.headers,
      timestampMs: record.timestampMs,
      maybeReplayed: record.offset < deps.replayedBelow,
      trace: tracing.traceOf(record, envelope, ctx),
    });
  }
  let groupCount = 0;
  let groupsAtOnce = 0;
  for (const [lane, groups] of byLane) {
    groupCount += groups.size;
    if (overflow.type === 'warn') for (const group of groups.values()) warnOfOverflow(shared, group, ctx);
    groupsAtOnce += send(shared, state, lane, [...groups.values()], ctx);
  }
  if (events > 0) stateFact('router-slice-dispatched', { topic: partition.topic, events, groups: groupCount, groupsAtOnce, overflowMode });
}

/** B-7. Once for all events of a key: it is shown once an hour. One that is lost (the buffer is bounded) costs no event. */
function warnOfOverflow({ deps }: Shared, { teamId, distinctId }: EventGroup, ctx: Ctx): void {
  const told = warning('ingestion_capacity_overflow', { overflowDistinctId: distinctId });
  deps.redisBuffer.tell({ type: 'warn', warning: { ...told, teamId, atMs: ctx.clock.now() } });
}

function laneOf({ deps: { ledger, options } }: Shared, state: RouterState, team: Team, ctx: Ctx): Lane {
  let lane = state.lanes.get(team.id);
  if (lane === undefined) {
    lane = createLane({
      team,
      below: ledger.settlement,
      creditCount: options.teamCreditCount,
      distinctIdCreditCount: options.distinctIdCreditCount,
      isSettled: (offset) => ledger.isSettled(offset),
      freed: () => freed(state, ctx),
    });
    state.lanes.set(team.id, lane);
  }
  lane.team = team;
  return lane;
}

/** Hands on what the team's share allows, and answers how many groups; the lane parks the rest (L2, L3). */
function send(shared: Shared, state: RouterState, lane: Lane, groups: readonly EventGroup[], ctx: Ctx): number {
  const parkedBefore = lane.parkedCount;
  const leaving = lane.offer(groups);
  state.parkedCount += lane.parkedCount - parkedBefore;
  handOn(shared, state, lane, leaving, ctx);
  return leaving.length;
}

/** Hands on what was parked, as far as credit has come back. */
export function unpark(shared: Shared, state: RouterState, ctx: Ctx): void {
  for (const lane of state.lanes.values()) {
    if (lane.parkedCount === 0) continue;
    const roomCount = shared.deps.options.creditCount - state.inFlightCount;
    if (roomCount <= 0) break;
    const parkedBefore = lane.parkedCount;
    const leaving = lane.unpark(roomCount);
    state.parkedCount += lane.parkedCount - parkedBefore;
    handOn(shared, state, lane, leaving, ctx);
  }
}

function handOn(shared: Shared, state: RouterState, lane: Lane, groups: EventGroup[], ctx: Ctx): void {
  if (groups.length === 0) return;
  for (const group of groups) state.inFlightCount += group.events.length;
  offer(shared, state, lane.team, groups, ctx);
}

/** Behind a message that a full team mailbox refused everything waits. */
function offer({ deps }: Shared, state: RouterState, team: Team, groups: EventGroup[], ctx: Ctx): void {
  if (state.refused.length === 0 && deps.tellTeam(team, { type: 'groups', team, groups }) === 'accepted') return;
  if (state.refused.length === 0) ctx.after(OFFER_AGAIN_MS, { type: 'self:offer-again' });
  state.refused.push({ team, groups });
}

export function offerAgain(shared: Shared, state: RouterState, ctx: Ctx): void {
  const refused = state.refused;
  state.refused = [];
  if (!shared.deps.ledger.settlement.active) return;
  for (const { team, groups } of refused) offer(shared, state, team, groups, ctx);
}
