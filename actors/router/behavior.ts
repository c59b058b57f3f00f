/**
 * One router per assigned partition and generation. It owns the partition's ledger and is the only place in Troupe that
 * waits (delivery.md section 4): everyone below it accepts or refuses at once.
 *
 *     idle ──batch──▶ working ──all dispatched──▶ idle            (batch-accepted)
 *                       │  ▲
 *      credit is spent  ▼  │ self:credit-freed
 *                      waiting                                    (the partition is not fetched meanwhile)
 *
 * Invariants
 * R1 Every record read is tracked in the ledger, and is then settled once: here, or by whoever it was dispatched to.
 * R2 A record that the ledger knows as settled (stored by a previous owner) is skipped before it is parsed.
 * R3 Events of one (team, distinct_id) are dispatched in offset order.
 * R4 Events in flight and their bytes stay within credit (a slice or a group may overshoot it by itself, never two); no record
 *    at or beyond watermark + gapCount is dispatched. What the router itself sent to the dead letters is in flight too.
 * R5 'batch-accepted' is told once per batch, after its last record was dispatched, parked or settled.
 * R6 An unknown team, a dropped token, an unreadable value cost that record alone.
 * R7 Records that are too many of their key leave for another topic where the intake's policy says so (overflow.ts); they are in flight
 *    until Kafka has acknowledged them there.
 */
import type { Envelope, EventGroup } from '../../src/domain/event.ts';
import { offset as toOffset } from '../../src/domain/ids.ts';
import type { Offset } from '../../src/domain/ids.ts';
import { dropped, type DeadLetterReason, type DropReason, type Settlement } from '../../src/domain/outcome.ts';
import type { DropList } from '../../src/domain/token.ts';
import { warning } from '../../src/domain/warnings.ts';
import type { Team } from '../../src/domain/team.ts';
import type { Ledger } from '../../src/kafka/ledger.ts';
import type { KafkaRecord, RecordBatch } from '../../src/kafka/port.ts';
import { isObserved, state as stateFact } from '../../src/observe/facts.ts';
import type { PersonKey } from '../../src/postgres/port.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import type { ActorRef, TellResult } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { ForwarderMessage } from '../forwarder/messages.ts';
import type { RedisBufferMessage } from '../redis-buffer/messages.ts';
import type { TeamMessage } from '../team/messages.ts';
import { admit, type Admission } from './admission.ts';
import { personsOf, resolveTeams, type Arrival } from './arrivals.ts';
import { createLane, type Lane } from './lane.ts';
import type { RouterMessage } from './messages.ts';
import { overflowModeOf, redirection, type OverflowPolicy } from './overflow.ts';
import { sizesOf } from './sizes.ts';
import { freshState, type RouterOptions, type RouterState, type WaitReason, type Waiting } from './state.ts';
import type { TeamCache } from './team-cache.ts';
import { createTracing } from './tracing.ts';

export interface RouterDeps {
  readonly ledger: Ledger;
  readonly teams: TeamCache;
  /** Hands a message to the team's actor, starting it where needed. */
  readonly tellTeam: (team: Team, message: TeamMessage) => TellResult;
  /** Has the persons of these keys at hand by the time their events are folded; resolves also when it cannot. */
  readonly prefetch: (keys: readonly PersonKey[]) => Promise<void>;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly dropList: DropList;
  readonly forwarder: ActorRef<ForwarderMessage>;
  /** Takes the warnings of an overflow topic (B-7). */
  readonly redisBuffer: ActorRef<RedisBufferMessage>;
  readonly overflow: OverflowPolicy;
  /** Offsets below it may have been worked on by a previous owner. */
  readonly replayedBelow: number;
  readonly options: RouterOptions;
  readonly strategy: Strategy;
}

export function createRouter(deps: RouterDeps): ActorSpec<RouterState, RouterMessage> {
  const { ledger, options, overflow } = deps;
  const { topic, partition } = ledger.settlement;
  const overflowMode = overflowModeOf(overflow);
  const tracing = createTracing(topic, partition, options.traceSampleRatio);

  function receive(state: RouterState, message: RouterMessage, ctx: ActorContext<RouterMessage>): RouterState | Promise<RouterState> {
    switch (message.type) {
      case 'batch': {
        if (state.waiting !== undefined) throw new Error('a partition hands over one batch at a time');
        state.waiting = { batch: message.batch, replyTo: message.replyTo, sinceMs: ctx.clock.monotonic(), position: 0 };
        reportRead(message.batch);
        return work(state, ctx);
      }
      case 'self:credit-freed':
        state.wakePending = false;
        unpark(state, ctx);
        return work(state, ctx);
      case 'self:offer-again':
        offerAgain(state, ctx);
        return work(state, ctx);
    }
  }

  /** Dispatches as much of the waiting batch as credit allows. */
  async function work(state: RouterState, ctx: ActorContext<RouterMessage>): Promise<RouterState> {
    for (let { waiting } = state; waiting !== undefined; { waiting } = state) {
      if (!ledger.settlement.active) {
        // Revoked: what is left comes again to the new owner.
        finish(state, waiting, ctx);
        break;
      }
      const slice = take(state, waiting);
      if (slice.length === 0 && waiting.position < waiting.batch.records.length) break; // R4: wait for credit
      const { arrivals, overflowed } = admitted(state, slice, ctx);
      const unresolved = [...arrivals, ...[...overflowed.values()].map(({ first }) => first)];
      if (!(await resolveTeams(unresolved, { ...deps, trustTeamId: options.trustTeamId, clock: ctx.clock, random: ctx.random }))) continue; // revoked meanwhile
      for (const { first, count } of overflowed.values())
        stateFact('router-keys-overflowed', { topic, teamId: first.team?.id, records: count });
      await deps.prefetch(personsOf(arrivals));
      if (!ledger.settlement.active) continue;
      dispatch(state, arrivals, ctx);
      if (waiting.position >= waiting.batch.records.length) finish(state, waiting, ctx);
    }
    return state;
  }

  function finish(state: RouterState, waiting: Waiting, ctx: ActorContext<RouterMessage>): void {
    state.waiting = undefined;
    const durationMs = ctx.clock.monotonic() - waiting.sinceMs;
    stateFact('router-batch-taken', { topic, records: waiting.batch.records.length, durationMs });
    waiting.replyTo.tell({ type: 'batch-accepted' }); // R5
  }

  /** The next records that credit allows (R4); tracks each (R1) and skips what is stored (R2). */
  function take(state: RouterState, waiting: Waiting): KafkaRecord[] {
    release(state);
    const slice: KafkaRecord[] = [];
    const { records } = waiting.batch;
    let bytes = 0;
    while (slice.length < options.sliceCount && waiting.position < records.length) {
      const record = records[waiting.position];
      if (record === undefined) break;
      const waits = whyWait(state, record, slice.length, bytes);
      if (waits !== undefined) {
        if (slice.length === 0) noteWait(state, waits);
        break;
      }
      const tracked = ledger.track(toOffset(record.offset));
      if (tracked === 'full') {
        if (slice.length === 0) noteWait(state, 'gap');
        break;
      }
      waiting.position++;
      if (tracked !== 'pending') {
        state.skippedCount++;
        continue;
      }
      bytes += record.value?.length ?? 0;
      slice.push(record);
    }
    const last = slice.at(-1);
    if (last !== undefined) {
      noteWait(state, undefined);
      state.spent.push({ upTo: last.offset, bytes });
      state.spentBytes += bytes;
    }
    return slice;
  }

  function noteWait(state: RouterState, reason: WaitReason | undefined): void {
    const before = state.waitsFor;
    if (reason === before) return;
    state.waitsFor = reason;
    if (reason !== undefined) stateFact('router-backpressure-changed', { topic, partition, waiting: true, reason });
    else if (before !== undefined) stateFact('router-backpressure-changed', { topic, partition, waiting: false, reason: before });
  }

  /** R4. Undefined when the record may go. */
  function whyWait(state: RouterState, record: KafkaRecord, takenCount: number, takenBytes: number): WaitReason | undefined {
    if (state.refused.length > 0) return 'full';
    const inFlightCount = state.inFlightCount + takenCount;
    if (inFlightCount >= options.creditCount) return 'credit';
    // One record larger than the whole credit still goes, alone.
    if (inFlightCount > 0 && state.spentBytes + takenBytes >= options.creditBytes) return 'credit';
    // With nothing pending there is no gap to bound: a log may begin far above the watermark (expired, compacted).
    if (ledger.pendingCount() > 0 && record.offset >= ledger.watermark() + options.gapCount) return 'gap';
    if (state.parkedCount >= options.gapCount) return 'gap';
    return undefined;
  }

  /** Bytes are freed when the watermark has passed the slice they came in. */
  function release(state: RouterState): void {
    const watermark = ledger.watermark();
    while (state.spent[0] !== undefined && state.spent[0].upTo < watermark) {
      state.spentBytes -= state.spent[0].bytes;
      state.spent.shift();
    }
  }

  /** R6, R7: what ends here, or goes elsewhere, without a team having been looked up. */
  function admitted(state: RouterState, slice: readonly KafkaRecord[], ctx: ActorContext<RouterMessage>): Admission {
    const admission = admit(slice, { dropList: deps.dropList, overflow, trustTeamId: options.trustTeamId });
    for (const { record, failure } of admission.unreadable) deadLetter(state, record, failure.reason, failure.detail, ctx);
    for (const { record, envelope, reason } of admission.dropped) drop(envelope, toOffset(record.offset), reason);
    redirect(state, admission.aside, ctx);
    reportAuth(admission.arrivals);
    return admission;
  }

  /** T-7 */
  function reportAuth(arrivals: readonly Arrival[]): void {
    if (arrivals.length === 0 || !isObserved('router-auth-seen')) return;
    const seen = { neither: 0, token: 0, teamId: 0, both: 0 };
    for (const { envelope } of arrivals) {
      if (envelope.teamId === undefined) seen[envelope.token === undefined ? 'neither' : 'token']++;
      else seen[envelope.token === undefined ? 'teamId' : 'both']++;
    }
    stateFact('router-auth-seen', seen);
  }

  /** B-4 */
  function redirect(state: RouterState, aside: readonly KafkaRecord[], ctx: ActorContext<RouterMessage>): void {
    if (overflow.type !== 'redirect' || aside.length === 0) return;
    state.inFlightCount += aside.length; // R7
    const told = deps.forwarder.tell(redirection(overflow, aside, ownSettlement(state, ctx)));
    // 'stopped' is a tree that is being torn down: the records come again.
    if (told === 'full') throw new Error('the mailbox of the forwarder is full although it is sized for all credit');
  }

  function deadLetter(
    state: RouterState,
    record: KafkaRecord,
    reason: DeadLetterReason,
    detail: string,
    ctx: ActorContext<RouterMessage>,
  ): void {
    state.inFlightCount++;
    const told = deps.deadLetter.tell({
      type: 'dead-letter',
      records: [
        {
          settlement: ownSettlement(state, ctx),
          offset: toOffset(record.offset),
          key: record.key,
          value: record.value,
          headers: record.headers,
          timestampMs: record.timestampMs,
          reason,
          origin: 'router',
          detail,
        },
      ],
    });
    // 'stopped' is a tree that is being torn down: the record comes again.
    if (told === 'full') throw new Error('the mailbox of the dead-letter actor is full although it is sized for all credit');
  }

  function ownSettlement(state: RouterState, ctx: ActorContext<RouterMessage>): Settlement {
    const below = ledger.settlement;
    return (state.own ??= {
      topic,
      partition,
      generation: below.generation,
      get active() {
        return below.active;
      },
      settle(offset, outcome) {
        const counts = below.active && !ledger.isSettled(offset);
        below.settle(offset, outcome);
        if (counts) freed(state, ctx);
      },
    });
  }

  /** One event less in flight: whoever waits for credit, or for the watermark, looks again. */
  function freed(state: RouterState, ctx: ActorContext<RouterMessage>): void {
    state.inFlightCount--;
    if ((state.waiting === undefined && state.parkedCount === 0) || state.wakePending) return;
    state.wakePending = true;
    ctx.after(0, { type: 'self:credit-freed' });
  }

  function dispatch(state: RouterState, arrivals: readonly Arrival[], ctx: ActorContext<RouterMessage>): void {
    type Groups = Map<string, EventGroup & { readonly settlement: Settlement }>;
    const byLane = new Map<Lane, Groups>();
    for (const { record, envelope, team } of arrivals) {
      const offset = toOffset(record.offset);
      if (team === undefined || team === null) {
        drop(envelope, offset, team === undefined ? 'no_token' : 'invalid_token');
        continue;
      }
      const lane = laneOf(state, team, ctx);
      const groups = byLane.get(lane) ?? (new Map() as Groups);
      byLane.set(lane, groups);
      let group = groups.get(envelope.distinctId);
      if (group === undefined) {
        group = { teamId: team.id, distinctId: envelope.distinctId, events: [], settlement: lane.settlementFor(envelope.distinctId) };
        groups.set(envelope.distinctId, group);
      }
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
    let [events, groupCount, groupsAtOnce] = [0, 0, 0];
    for (const [lane, groups] of byLane) {
      groupCount += groups.size;
      for (const group of groups.values()) events += group.events.length;
      if (overflow.type === 'warn') for (const group of groups.values()) warnOfOverflow(group, overflow.per, ctx);
      groupsAtOnce += send(state, lane, [...groups.values()], ctx);
    }
    if (events > 0) stateFact('router-slice-dispatched', { topic, events, groups: groupCount, groupsAtOnce, overflowMode });
  }

  /** B-7. A warning that is lost (the buffer is bounded) costs no event. */
  function warnOfOverflow({ teamId, distinctId, events }: EventGroup, per: 'group' | 'event', ctx: ActorContext<RouterMessage>): void {
    const { type, details, debounceKey, alwaysSend } = warning('ingestion_capacity_overflow', { overflowDistinctId: distinctId });
    const atMs = ctx.clock.now();
    for (let count = per === 'group' ? 1 : events.length; count > 0; count--)
      deps.redisBuffer.tell({ type: 'warn', warning: { teamId, type, details, debounceKey, alwaysSend, atMs } });
  }

  function drop(envelope: Envelope, offset: Offset, reason: DropReason): void {
    ledger.settlement.settle(offset, dropped(reason));
    if (typeof envelope.uuid === 'string') {
      stateFact('event-ended', { uuid: envelope.uuid, teamId: undefined, topic, partition, offset, outcome: 'dropped', reason });
    }
  }

  function laneOf(state: RouterState, team: Team, ctx: ActorContext<RouterMessage>): Lane {
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
  function send(state: RouterState, lane: Lane, groups: readonly EventGroup[], ctx: ActorContext<RouterMessage>): number {
    const parkedBefore = lane.parkedCount;
    const leaving = lane.offer(groups);
    state.parkedCount += lane.parkedCount - parkedBefore;
    dispatchGroups(state, lane, leaving, ctx);
    return leaving.length;
  }

  function unpark(state: RouterState, ctx: ActorContext<RouterMessage>): void {
    for (const lane of state.lanes.values()) {
      if (lane.parkedCount === 0) continue;
      const roomCount = options.creditCount - state.inFlightCount;
      if (roomCount <= 0) break;
      const parkedBefore = lane.parkedCount;
      const leaving = lane.unpark(roomCount);
      state.parkedCount += lane.parkedCount - parkedBefore;
      dispatchGroups(state, lane, leaving, ctx);
    }
  }

  function dispatchGroups(state: RouterState, lane: Lane, groups: EventGroup[], ctx: ActorContext<RouterMessage>): void {
    if (groups.length === 0) return;
    state.inFlightCount += groups.reduce((sum, group) => sum + group.events.length, 0);
    offer(state, lane.team, groups, ctx);
  }

  function offer(state: RouterState, team: Team, groups: EventGroup[], ctx: ActorContext<RouterMessage>): void {
    if (state.refused.length === 0 && deps.tellTeam(team, { type: 'groups', team, groups }) === 'accepted') return;
    if (state.refused.length === 0) ctx.after(OFFER_AGAIN_MS, { type: 'self:offer-again' });
    state.refused.push({ team, groups });
  }

  function offerAgain(state: RouterState, ctx: ActorContext<RouterMessage>): void {
    const refused = state.refused;
    state.refused = [];
    if (!ledger.settlement.active) return;
    for (const { team, groups } of refused) offer(state, team, groups, ctx);
  }

  function reportRead(batch: RecordBatch): void {
    const last = batch.records.at(-1);
    const { bytes, counts } = sizesOf(batch.records);
    const lag = last === undefined ? 0 : Math.max(0, batch.highWatermark - last.offset - 1);
    stateFact('router-batch-read', { topic, partition, records: batch.records.length, bytes, lag });
    stateFact('router-records-sized', { topic, counts, bytes });
  }

  return {
    kind: 'router',
    start: freshState,
    receive,
    mailbox: { capacityCount: 16 },
    supervision: deps.strategy,
    inspect: (state) => ({
      topic,
      partition,
      watermark: ledger.watermark(),
      pending: ledger.pendingCount(),
      inFlight: state.inFlightCount,
      inFlightBytes: state.spentBytes,
      parked: state.parkedCount,
      waiting: state.waiting !== undefined,
      alreadyStored: state.skippedCount,
    }),
  };
}

const OFFER_AGAIN_MS = 20;
