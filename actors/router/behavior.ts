/**
 * One router per assigned partition and generation. It owns the partition's ledger and is the only place in Troupe that
 * waits (delivery.md section 4): everyone below it accepts or refuses at once.
 *
 *     idle ──batch──▶ working ──all dispatched──▶ idle            (batch-accepted)
 *                       │  ▲
 *      credit is spent  ▼  │ self:credit-freed
 *                      waiting                                    (the partition is not fetched meanwhile)
 *
 * The rooms: taking.ts (from the batch to what can be dispatched), dispatching.ts (on to the teams), endings.ts (what goes no
 * further), credit.ts (how much may be under way).
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
import type { RecordBatch } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import { personsOf } from './arrivals.ts';
import { dispatch, offerAgain, unpark } from './dispatching.ts';
import type { RouterMessage } from './messages.ts';
import { overflowModeOf } from './overflow.ts';
import type { Ctx, RouterDeps, Shared } from './shared.ts';
import { sizesOf } from './sizes.ts';
import { freshState, type RouterState, type Waiting } from './state.ts';
import { sift, take } from './taking.ts';
import { createTracing } from './tracing.ts';

export function createRouter(deps: RouterDeps): ActorSpec<RouterState, RouterMessage> {
  const { ledger, options } = deps;
  const { topic, partition } = ledger.settlement;
  const shared: Shared = {
    deps,
    partition: ledger.settlement,
    overflowMode: overflowModeOf(deps.overflow),
    tracing: createTracing(topic, partition, options.traceSampleRatio),
  };

  function receive(state: RouterState, message: RouterMessage, ctx: Ctx): RouterState | Promise<RouterState> {
    switch (message.type) {
      case 'batch': {
        if (state.waiting !== undefined) throw new Error('a partition hands over one batch at a time');
        state.waiting = { batch: message.batch, replyTo: message.replyTo, sinceMs: ctx.clock.monotonic(), position: 0 };
        reportRead(message.batch);
        return work(state, ctx);
      }
      case 'self:credit-freed':
        state.wakePending = false;
        unpark(shared, state, ctx);
        return work(state, ctx);
      case 'self:offer-again':
        offerAgain(shared, state, ctx);
        return work(state, ctx);
    }
  }

  /** Dispatches as much of the waiting batch as credit allows. */
  async function work(state: RouterState, ctx: Ctx): Promise<RouterState> {
    for (let { waiting } = state; waiting !== undefined; { waiting } = state) {
      if (!ledger.settlement.active) {
        // Revoked: what is left comes again to the new owner.
        finish(state, waiting, ctx);
        break;
      }
      const slice = take(shared, state, waiting);
      if (slice.length === 0 && waiting.position < waiting.batch.records.length) break; // R4: wait for credit
      const arrivals = await sift(shared, state, slice, ctx);
      if (arrivals === undefined) continue; // revoked meanwhile
      await deps.prefetch(personsOf(arrivals));
      if (!ledger.settlement.active) continue;
      dispatch(shared, state, arrivals, ctx);
      if (waiting.position >= waiting.batch.records.length) finish(state, waiting, ctx);
    }
    return state;
  }

  function finish(state: RouterState, waiting: Waiting, ctx: Ctx): void {
    state.waiting = undefined;
    const durationMs = ctx.clock.monotonic() - waiting.sinceMs;
    stateFact('router-batch-taken', { topic, records: waiting.batch.records.length, durationMs });
    waiting.replyTo.tell({ type: 'batch-accepted' }); // R5
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
