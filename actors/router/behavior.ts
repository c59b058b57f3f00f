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
 * R4 Events in flight and their bytes stay within credit; no record at or beyond watermark + gapCount is dispatched.
 * R5 'batch-accepted' is told once per batch, after its last record was dispatched, parked or settled.
 * R6 An unknown team, a dropped token, an unreadable value cost that record alone.
 */
import { parseEnvelope } from '../../src/domain/envelope.ts';
import type { Envelope, EventGroup, TraceContext } from '../../src/domain/event.ts';
import { offset as toOffset } from '../../src/domain/ids.ts';
import type { Offset } from '../../src/domain/ids.ts';
import { dropped, type DeadLetterReason, type DropReason, type Settlement } from '../../src/domain/outcome.ts';
import { lookupToken, type DropList } from '../../src/domain/token.ts';
import type { Team } from '../../src/domain/team.ts';
import { newSpanId, parseTraceparent, sampleByUuid } from '../../src/domain/trace.ts';
import type { Ledger } from '../../src/kafka/ledger.ts';
import type { KafkaRecord, RecordBatch } from '../../src/kafka/port.ts';
import { PostgresError } from '../../src/postgres/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec } from '../../src/runtime/actor.ts';
import { untilAvailable } from '../../src/runtime/patience.ts';
import type { ActorRef, TellResult } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { TeamMessage } from '../team/messages.ts';
import { createLane, type Lane } from './lane.ts';
import type { BatchAccepted, RouterMessage } from './messages.ts';
import type { TeamCache } from './team-cache.ts';

export interface RouterDeps {
  readonly ledger: Ledger;
  readonly teams: TeamCache;
  /** Hands a message to the team's actor, starting it where needed. */
  readonly tellTeam: (team: Team, message: TeamMessage) => TellResult;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  readonly dropList: DropList;
  /** Offsets below it may have been worked on by a previous owner. */
  readonly replayedBelow: number;
  readonly options: RouterOptions;
  readonly strategy: Strategy;
}

export interface RouterOptions {
  /** Events dispatched and not yet settled. Raising it costs memory (about 4 kB an event), lowering it throughput. */
  readonly creditCount: number;
  readonly creditBytes: number;
  /** Share of one team, so that one that hangs lets the others pass. */
  readonly teamCreditCount: number;
  /** Share of one distinct_id in its team's, so that a hot key lets the others of its team pass. */
  readonly distinctIdCreditCount: number;
  /** How far the watermark may lag behind what is dispatched, and how many events may be parked. */
  readonly gapCount: number;
  /** Records handled in one turn. */
  readonly sliceCount: number;
  /** A `team_id` in the envelope is believed without a token (T-2, the behaviour of 2024); else only the token counts. */
  readonly trustTeamId: boolean;
  /** Share of events traced when the producer did not decide. */
  readonly traceSampleRatio: number;
}

interface Waiting {
  readonly batch: RecordBatch;
  readonly replyTo: ActorRef<BatchAccepted>;
  position: number;
}

export interface RouterState {
  readonly lanes: Map<number, Lane>;
  waiting: Waiting | undefined;
  inFlightCount: number;
  parkedCount: number;
  /** Bytes in flight, by the offset at which they are all settled. */
  readonly spent: { readonly upTo: number; readonly bytes: number }[];
  spentBytes: number;
  /** Messages that a full team mailbox refused. */
  refused: { readonly team: Team; readonly groups: EventGroup[] }[];
  wakePending: boolean;
  skippedCount: number;
}

/** A record that has passed the outer checks. */
interface Arrival {
  readonly record: KafkaRecord;
  readonly envelope: Envelope;
}

export function createRouter(deps: RouterDeps): ActorSpec<RouterState, RouterMessage> {
  const { ledger, options } = deps;
  const { topic, partition } = ledger.settlement;

  function start(): RouterState {
    return {
      lanes: new Map(),
      waiting: undefined,
      inFlightCount: 0,
      parkedCount: 0,
      spent: [],
      spentBytes: 0,
      refused: [],
      wakePending: false,
      skippedCount: 0,
    };
  }

  function receive(state: RouterState, message: RouterMessage, ctx: ActorContext<RouterMessage>): RouterState | Promise<RouterState> {
    switch (message.type) {
      case 'batch': {
        if (state.waiting !== undefined) throw new Error('a partition hands over one batch at a time');
        state.waiting = { batch: message.batch, replyTo: message.replyTo, position: 0 };
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
        finish(state, waiting);
        break;
      }
      const slice = take(state, waiting);
      if (slice.length === 0 && waiting.position < waiting.batch.records.length) break; // R4: wait for credit
      const arrivals = admit(slice);
      await resolveTeams(arrivals, ctx);
      dispatch(state, arrivals, ctx);
      if (waiting.position >= waiting.batch.records.length) finish(state, waiting);
    }
    return state;
  }

  function finish(state: RouterState, waiting: Waiting): void {
    state.waiting = undefined;
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
        if (slice.length === 0) stateFact('router-backpressure-changed', { topic, partition, waiting: true, reason: waits });
        break;
      }
      const tracked = ledger.track(toOffset(record.offset));
      if (tracked === 'full') break;
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
      state.spent.push({ upTo: last.offset, bytes });
      state.spentBytes += bytes;
    }
    return slice;
  }

  /** R4. Undefined when the record may go. */
  function whyWait(state: RouterState, record: KafkaRecord, takenCount: number, takenBytes: number): 'credit' | 'gap' | 'full' | undefined {
    if (state.refused.length > 0) return 'full';
    const inFlightCount = state.inFlightCount + takenCount;
    if (inFlightCount >= options.creditCount) return 'credit';
    // One record larger than the whole credit still goes, alone.
    if (inFlightCount > 0 && state.spentBytes + takenBytes >= options.creditBytes) return 'credit';
    if (record.offset >= ledger.watermark() + options.gapCount || state.parkedCount >= options.gapCount) return 'gap';
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

  /** R6: unreadable values and dropped tokens end here. */
  function admit(slice: readonly KafkaRecord[]): Arrival[] {
    const arrivals: Arrival[] = [];
    for (const record of slice) {
      const parsed = parseEnvelope(record.value);
      if (!parsed.ok) {
        deadLetter(record, parsed.reason, parsed.detail);
        continue;
      }
      const { envelope } = parsed;
      const reason = deps.dropList.reasonFor(envelope);
      if (reason !== undefined) {
        drop(envelope, toOffset(record.offset), reason);
        continue;
      }
      arrivals.push({ record, envelope });
    }
    return arrivals;
  }

  function deadLetter(record: KafkaRecord, reason: DeadLetterReason, detail: string): void {
    deps.deadLetter.tell({
      type: 'dead-letter',
      records: [
        {
          settlement: ledger.settlement,
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
  }

  /** One query for all tokens and ids of the slice that the cache does not know. PostgreSQL away: the partition waits. */
  async function resolveTeams(arrivals: readonly Arrival[], ctx: ActorContext<RouterMessage>): Promise<void> {
    const tokens = new Set<string>();
    const ids = new Set<number>();
    for (const { envelope } of arrivals) {
      if (options.trustTeamId && envelope.teamId !== undefined) {
        if (deps.teams.byId(envelope.teamId) === undefined) ids.add(envelope.teamId);
      } else if (envelope.token !== undefined) {
        const token = lookupToken(envelope.token);
        if (deps.teams.byToken(token) === undefined) tokens.add(token);
      }
    }
    if (tokens.size === 0 && ids.size === 0) return;
    const patience = {
      clock: ctx.clock,
      random: ctx.random,
      passing: (error: unknown) => error instanceof PostgresError && error.kind === 'unavailable',
      givenUp: () => !ledger.settlement.active,
      minMs: 50,
      maxMs: 2000,
    };
    await untilAvailable(patience, () => deps.teams.resolve([...tokens], [...ids]));
  }

  function dispatch(state: RouterState, arrivals: readonly Arrival[], ctx: ActorContext<RouterMessage>): void {
    const byLane = new Map<Lane, Map<string, EventGroup & { readonly settlement: Settlement }>>();
    for (const { record, envelope } of arrivals) {
      const offset = toOffset(record.offset);
      const team = teamOf(envelope, offset);
      if (team === undefined) continue;
      const lane = laneOf(state, team, ctx);
      let groups = byLane.get(lane);
      if (groups === undefined) byLane.set(lane, (groups = new Map()));
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
        trace: traceOf(record, envelope, ctx),
      });
    }
    for (const [lane, groups] of byLane) send(state, lane, [...groups.values()], ctx);
  }

  /** Rules T-2, T-3. A record that names no team it may name is settled here. */
  function teamOf(envelope: Envelope, offset: Offset): Team | undefined {
    if (options.trustTeamId && envelope.teamId !== undefined) {
      const team = deps.teams.byId(envelope.teamId);
      if (team) return team;
      return drop(envelope, offset, 'invalid_token');
    }
    if (envelope.token === undefined || envelope.token === '') {
      return drop(envelope, offset, 'no_token');
    }
    const team = deps.teams.byToken(lookupToken(envelope.token));
    if (team) return team;
    return drop(envelope, offset, 'invalid_token');
  }

  function drop(envelope: Envelope, offset: Offset, reason: DropReason): undefined {
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
        freed: (freed) => {
          state.inFlightCount--;
          const wanted = state.waiting !== undefined || freed.parkedCount > 0;
          if (wanted && !state.wakePending) {
            state.wakePending = true;
            ctx.after(0, { type: 'self:credit-freed' });
          }
        },
      });
      state.lanes.set(team.id, lane);
    }
    return lane;
  }

  /** Hands on what the team's share allows; the lane parks the rest (L2, L3). */
  function send(state: RouterState, lane: Lane, groups: readonly EventGroup[], ctx: ActorContext<RouterMessage>): void {
    const parkedBefore = lane.parkedCount;
    const leaving = lane.offer(groups);
    state.parkedCount += lane.parkedCount - parkedBefore;
    dispatchGroups(state, lane, leaving, ctx);
  }

  function unpark(state: RouterState, ctx: ActorContext<RouterMessage>): void {
    for (const lane of state.lanes.values()) {
      if (lane.parkedCount === 0) continue;
      const parkedBefore = lane.parkedCount;
      const leaving = lane.unpark();
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

  function traceOf(record: KafkaRecord, envelope: Envelope, ctx: ActorContext<RouterMessage>): TraceContext | undefined {
    const header = record.headers?.['traceparent'];
    const parent = header === undefined ? undefined : parseTraceparent(header.toString('latin1'));
    const traceId =
      parent === undefined
        ? typeof envelope.uuid === 'string' && sampleByUuid(envelope.uuid, options.traceSampleRatio)
        : parent.sampled && parent.traceId;
    if (typeof traceId !== 'string') return undefined;
    const spanId = newSpanId(() => ctx.random.next());
    const nowMs = ctx.clock.now();
    stateFact('stage-ended', {
      name: `process ${topic}`,
      trace: { traceId, spanId: parent?.spanId ?? ROOT_SPAN },
      spanId,
      startMs: record.timestampMs,
      endMs: nowMs,
      attributes: {
        'messaging.destination.name': topic,
        'messaging.destination.partition.id': String(partition),
        'kafka.offset': record.offset,
      },
    });
    return { traceId, spanId };
  }

  function reportRead(batch: RecordBatch): void {
    const last = batch.records.at(-1);
    const bytes = batch.records.reduce((sum, record) => sum + (record.value?.length ?? 0), 0);
    const lag = last === undefined ? 0 : Math.max(0, batch.highWatermark - last.offset - 1);
    stateFact('router-batch-read', { topic, partition, records: batch.records.length, bytes, lag });
  }

  return {
    kind: 'router',
    start,
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
/** Parent of a trace that starts here: no span has this id, so a viewer shows ours as the root. */
const ROOT_SPAN = '0000000000000000';
