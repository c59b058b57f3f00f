/**
 * Rows into ClickHouse: fills blocks, stores one at a time, settles what is durable.
 *
 *     filling ──rows | bytes | age | drain──▶ storing ──every row settled──▶ filling (or storing, when the next is due)
 *                                               │  ▲
 *                              ClickHouse away  ▼  │ self:retry
 *                                             waiting                 (the same block; the next one fills meanwhile)
 *
 * Invariants
 * W1 One event block is in flight at a time, hence one per partition: rows of a distinct_id are stored in the order told.
 * W2 Side rows told before an event row are durable before its insert begins.
 * W3 Of rows with one sorting key in a block the first is stored; the others are settled `dropped(duplicate)`.
 * W4 Nothing is lost or given up for an outage: the same block is tried again, and credit upstream bounds what waits.
 * W5-W9 store-block.ts
 * W10 An event without a row is settled when the side rows told before it are durable, never before (flight.ts).
 */
import { newSpanId } from '../../src/domain/trace.ts';
import { dropped } from '../../src/domain/outcome.ts';
import { warning } from '../../src/domain/warnings.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { ClickHouseError } from '../../src/clickhouse/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec, StopReason } from '../../src/runtime/actor.ts';
import type { Timer } from '../../src/runtime/clock.ts';
import { sleep } from '../../src/runtime/patience.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import { poison } from '../dead-letter/messages.ts';
import type { ClickHouseWriterMessage } from './messages.ts';
import type { ClickHouseWriterDeps } from './options.ts';
import { isFull, offerRow, type BlockLimits, type OpenBlock } from './state.ts';
import { fly, isEmptyLoad, newLoad, takeOff, unload, type Flight, type Load } from './flight.ts';
import { GivenUpError, NotFreshError } from './store-block.ts';

export interface ClickHouseWriterState {
  filling: Load;
  /** Emptied buffers of the load before. */
  spare: Load | undefined;
  flight: Flight | undefined;
  /** The attempt under way; it ends without ever rejecting. */
  attempt: Promise<unknown> | undefined;
  /** Rows that found the filling block full while another was in flight, in order. */
  readonly queue: EventRow[];
  age: Timer | undefined;
  isDue: boolean;
  retryMs: number;
  isWaiting: boolean;
  isGivenUp: boolean;
  readonly drains: ActorRef<{ readonly type: 'drained' }>[];
  insertCount: number;
  readonly writerId: string;
}

type Context = ActorContext<ClickHouseWriterMessage>;

const RETRY_MS = { first: 100, max: 10_000 } as const;
const NOT_FRESH_RETRY_MS = 100;

export function createClickHouseWriter(deps: ClickHouseWriterDeps): ActorSpec<ClickHouseWriterState, ClickHouseWriterMessage> {
  const { clickhouse, clock, deadLetter, options } = deps;
  const limits: BlockLimits = { maxRowBytes: 16 * 1024 * 1024, maxTablePartitionsCount: 100, ...options };

  function start(ctx: Context): ClickHouseWriterState {
    return {
      filling: newLoad(clickhouse),
      spare: undefined,
      flight: undefined,
      attempt: undefined,
      queue: [],
      age: undefined,
      isDue: false,
      retryMs: RETRY_MS.first,
      isWaiting: false,
      isGivenUp: false,
      drains: [],
      insertCount: 0,
      writerId: newSpanId(() => ctx.random.next()),
    };
  }

  function receive(state: ClickHouseWriterState, message: ClickHouseWriterMessage, ctx: Context): ClickHouseWriterState {
    switch (message.type) {
      case 'store-events':
        for (const row of message.rows) take(state, row);
        break;
      case 'store-side-rows': {
        const nowMs = clock.now();
        for (const row of message.rows) state.filling.side.append(row, nowMs);
        break;
      }
      case 'settle-after-side-rows':
        state.filling.rowless.push(...message.events);
        break;
      case 'drain':
        state.drains.push(message.replyTo);
        break;
      case 'self:age-reached':
        state.age = undefined;
        state.isDue = true;
        break;
      case 'self:block-ended':
        ended(state, message.error, ctx);
        break;
      case 'self:retry':
        state.isWaiting = false;
        attempt(state, ctx);
        break;
    }
    launchIfDue(state, ctx);
    return state;
  }

  // ── filling ──────────────────────────────────────────────────────────────────────────────────────────────────────

  function take(state: ClickHouseWriterState, row: EventRow): void {
    // Behind a row that waits everything waits (W1).
    if (state.queue.length > 0 || !offer(state.filling.block, row)) state.queue.push(row);
  }

  /** False when the block has no room for the row. */
  function offer(block: OpenBlock, row: EventRow): boolean {
    if (!row.pending.settlement.active) return true;
    const result = offerRow(block, row, limits);
    switch (result.type) {
      case 'taken':
        return true;
      case 'no-room':
        return false;
      case 'duplicate': // W3
        row.pending.settlement.settle(row.pending.offset, dropped('duplicate'));
        return true;
      case 'too-large':
        warnTooLarge(row);
        bury(row, 'row_too_large', `a row of ${result.bytes} bytes; at most ${limits.maxRowBytes} are stored`);
        return true;
      case 'refused':
        bury(row, 'row_refused', result.detail);
        return true;
    }
  }

  /** O-4: PostHog loses such an event with this warning; here its bytes are kept as well. */
  function warnTooLarge({ uuid, distinctId, teamId }: EventRow): void {
    const { type, details, debounceKey, alwaysSend } = warning('message_size_too_large', { eventUuid: uuid, distinctId });
    deps.warn({ teamId, type, details, debounceKey, alwaysSend, atMs: clock.now() });
  }

  function bury(row: Pick<EventRow, 'pending'>, reason: 'row_refused' | 'row_too_large', detail: string): void {
    const told = deadLetter.tell({ type: 'dead-letter', records: [poison(row.pending, reason, 'clickhouse-writer', detail)] });
    // Its mailbox holds more than all credit can send; if it is gone, so is this tree, and the record comes again.
    if (told !== 'accepted') throw new Error(`the dead-letter actor refused a record: ${told}`);
  }

  // ── launching ────────────────────────────────────────────────────────────────────────────────────────────────────

  function launchIfDue(state: ClickHouseWriterState, ctx: Context): void {
    if (state.flight === undefined) {
      const isDue = state.isDue || state.drains.length > 0 || state.queue.length > 0 || isFullLoad(state.filling);
      if (!hasWork(state)) tellDrained(state);
      else if (isDue) {
        state.flight = launch(state);
        attempt(state, ctx);
      }
    }
    if (state.age === undefined && !state.isDue && !isEmptyLoad(state.filling))
      state.age = ctx.after(options.maxAgeMs, { type: 'self:age-reached' });
  }

  function isFullLoad({ block, side }: Load): boolean {
    return isFull(block, limits) || side.byteCount >= limits.maxBytes;
  }

  /** Takes the filling load off, and begins the next one with the rows that waited. */
  function launch(state: ClickHouseWriterState): Flight {
    state.age?.cancel();
    state.age = undefined;
    state.isDue = false;
    const flight = takeOff(state.filling, clock);
    state.filling = state.spare ?? newLoad(clickhouse);
    state.spare = undefined;
    refill(state);
    return flight;
  }

  /** Moves rows that waited into the new block, as far as it has room. */
  function refill(state: ClickHouseWriterState): void {
    const movedCount = state.queue.findIndex((row) => !offer(state.filling.block, row));
    state.queue.splice(0, movedCount === -1 ? state.queue.length : movedCount);
  }

  // ── storing ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Begins to store the flight and returns; the end comes as a message. */
  function attempt(state: ClickHouseWriterState, ctx: Context): void {
    const { flight } = state;
    if (flight === undefined || state.isGivenUp) return;
    const tell = (error: unknown): void => {
      const message = { type: 'self:block-ended', error } as const;
      if (ctx.self.tell(message) === 'full') ctx.after(0, message); // the urgent lane has always room
    };
    state.attempt = store(state, flight).then(() => tell(undefined), tell);
  }

  function store(state: ClickHouseWriterState, flight: Flight): Promise<void> {
    return fly(flight, {
      clickhouse,
      clock,
      mayInsert: deps.mayInsert,
      refused: (row, detail) => bury(row, 'row_refused', detail),
      nextNonce: () => `${state.writerId}-${++state.insertCount}`,
      givenUp: () => state.isGivenUp,
    });
  }

  function ended(state: ClickHouseWriterState, error: unknown, ctx: Context): void {
    const { flight } = state;
    if (flight === undefined) return; // the stop has finished it
    if (error === undefined) {
      finish(state, flight);
    } else if (!isPassing(error)) {
      throw error instanceof Error ? error : new Error('the writer failed', { cause: error }); // a bug of ours: begin anew from Kafka
    } else if (error instanceof ClickHouseError) {
      waitToRetry(state, error, ctx);
    } else {
      state.isWaiting = true;
      ctx.after(NOT_FRESH_RETRY_MS, { type: 'self:retry' });
    }
  }

  function finish(state: ClickHouseWriterState, flight: Flight): void {
    state.spare = unload(flight);
    state.flight = undefined;
    state.retryMs = RETRY_MS.first;
  }

  /** W4 */
  function waitToRetry(state: ClickHouseWriterState, error: ClickHouseError, ctx: Context): void {
    const fields = { kind: error.kind, code: error.code, retryMs: state.retryMs, error: error.message };
    const level = error.kind === 'misconfigured' ? 'error' : 'warn';
    stateFact('log-written', { level, message: 'A block cannot be stored now; it waits.', fields });
    state.isWaiting = true;
    ctx.after(state.retryMs * (1 + ctx.random.next() * 0.2), { type: 'self:retry' });
    state.retryMs = Math.min(state.retryMs * 2, RETRY_MS.max);
  }

  function tellDrained(state: ClickHouseWriterState): void {
    for (const replyTo of state.drains.splice(0)) replyTo.tell({ type: 'drained' });
  }

  // ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Stores what is left when asked to stop; after a crash the same rows come again from Kafka, so nothing is tried. */
  async function stopping(state: ClickHouseWriterState, reason: StopReason): Promise<void> {
    const limit = clock.after(options.stopFlushMs ?? 10_000, () => {
      state.isGivenUp = true;
    });
    if (reason === 'restarted' || reason === 'budget-spent') state.isGivenUp = true;
    if (!state.isWaiting) await state.attempt;
    while (!state.isGivenUp && hasWork(state)) {
      state.flight ??= launch(state);
      try {
        await store(state, state.flight);
        finish(state, state.flight);
      } catch (error) {
        if (!isPassing(error)) throw error;
        await sleep(clock, RETRY_MS.first);
      }
    }
    limit.cancel();
    if (!hasWork(state)) tellDrained(state);
    state.isGivenUp = true;
  }

  return {
    kind: 'clickhouse-writer',
    start,
    receive,
    stopping,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      phase: state.flight === undefined ? 'filling' : state.isWaiting ? 'waiting' : 'storing',
      rows: state.filling.block.rows.length,
      bytes: state.filling.block.builder.byteCount,
      sideRows: state.filling.side.rowCount,
      rowsInFlight: state.flight?.block.rows.length ?? 0,
      rowsQueued: state.queue.length,
      inserts: state.insertCount,
    }),
  };
}

/** Something is on its way, being filled or waiting. */
function hasWork({ flight, filling, queue }: ClickHouseWriterState): boolean {
  return flight !== undefined || !isEmptyLoad(filling) || queue.length > 0;
}

/** Ours or ClickHouse's to wait out, and no bug. */
function isPassing(error: unknown): boolean {
  return error instanceof ClickHouseError || error instanceof NotFreshError || error instanceof GivenUpError;
}
