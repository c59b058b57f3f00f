/**
 * Rows to PostHog's output topics: makes records, sends one flight at a time, settles what is acknowledged.
 *
 *     gathering ──rows | bytes | age | drain──▶ sending ──every record has its end──▶ gathering (or sending, when more is due)
 *                                                │  ▲
 *                                     Kafka away ▼  │ self:retry
 *                                              waiting              (the same flight; what comes meanwhile waits behind it)
 *
 * The topics promise less than ClickHouse's tables do: at least once, and no order between events, whose key is their uuid. What a
 * replay sends again has the same uuid and collapses in PostHog's ReplacingMergeTree (docs/delivery.md section 9).
 *
 * Invariants
 * V1 One flight is under way at a time; within it, and over flights, rows of one group keep the order in which they were told.
 * V2 Side rows told before an event row are acknowledged before that event row is sent.
 * V3 A row is settled `stored` only after its record is acknowledged by all in-sync replicas.
 * V4 Of rows with one sorting key in a flight the first is sent; the others are settled `dropped(duplicate)`.
 * V5 A row whose partition was lost is neither sent nor settled: the new owner finds its record again.
 * V6 No event row is sent for a partition whose membership is not fresh.
 * V7 Kafka away: the same records wait and are sent again, those that were acknowledged not. Nothing is given up for an outage, and
 *    credit upstream bounds what waits.
 * V8 A row that is too large for its topic costs itself: its record is dead-lettered `row_too_large`, and its team is warned (O-4).
 *    PostHog loses the event here (sharp edge 36).
 * V9 An event without a row is settled when the side rows told before it are acknowledged, never before.
 */
import { eventJson, sideJson } from '../../src/domain/output-json.ts';
import { outputKey, outputOrder } from '../../src/domain/output-topics.ts';
import { rowFault } from '../../src/domain/row-fault.ts';
import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import { warning } from '../../src/domain/warnings.ts';
import { ProduceError, type OutgoingRecord } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorContext, ActorSpec, StopReason } from '../../src/runtime/actor.ts';
import type { Timer } from '../../src/runtime/clock.ts';
import { sleep } from '../../src/runtime/patience.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import { poison } from '../dead-letter/messages.ts';
import type { RowlessEvent } from '../row-writer/messages.ts';
import { fly, GivenUpError, NotFreshError, takeOff, type Flight, type HeldEvent, type HeldSide } from './flight.ts';
import type { KafkaWriterMessage } from './messages.ts';
import type { KafkaWriterDeps } from './options.ts';

export interface KafkaWriterState {
  /** Waiting for a flight, in the order told. */
  events: HeldEvent[];
  eventBytes: number;
  sides: HeldSide[];
  sideBytes: number;
  rowless: RowlessEvent[];
  flight: Flight | undefined;
  /** The attempt under way; it ends without ever rejecting. */
  attempt: Promise<unknown> | undefined;
  age: Timer | undefined;
  isDue: boolean;
  retryMs: number;
  isWaiting: boolean;
  isGivenUp: boolean;
  readonly drains: ActorRef<{ readonly type: 'drained' }>[];
  flightCount: number;
}

type Context = ActorContext<KafkaWriterMessage>;

const RETRY_MS = { first: 100, max: 5_000 } as const;
const NOT_FRESH_RETRY_MS = 100;
const ORIGIN = 'kafka-writer';

export function createKafkaWriter(deps: KafkaWriterDeps): ActorSpec<KafkaWriterState, KafkaWriterMessage> {
  const { clock, deadLetter, options, topics } = deps;
  const maxRecordBytes = options.maxRecordBytes ?? 999_000;

  function receive(state: KafkaWriterState, message: KafkaWriterMessage, ctx: Context): KafkaWriterState {
    switch (message.type) {
      case 'store-events':
        for (const row of message.rows) takeEvent(state, row);
        break;
      case 'store-side-rows':
        for (const row of message.rows) takeSide(state, row);
        break;
      case 'settle-after-side-rows':
        state.rowless.push(...message.events);
        break;
      case 'drain':
        state.drains.push(message.replyTo);
        break;
      case 'self:age-reached':
        state.age = undefined;
        state.isDue = true;
        break;
      case 'self:flight-ended':
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

  // ── gathering ────────────────────────────────────────────────────────────────────────────────────────────────────

  function takeEvent(state: KafkaWriterState, row: EventRow): void {
    const { uuid, event, teamId, distinctId, timestampMs, pending } = row;
    if (!pending.settlement.active) return; // V5
    const fault = rowFault(row);
    if (fault !== undefined) return bury(row, 'row_refused', fault);
    const record: OutgoingRecord = { key: Buffer.from(uuid), value: Buffer.from(eventJson(row)) };
    const bytes = bytesOf(record);
    const held: HeldEvent = { uuid, event, teamId, distinctId, timestampMs, pending, record, bytes };
    if (bytes > maxRecordBytes) return tooLarge(held);
    state.events.push(held);
    state.eventBytes += bytes;
  }

  function takeSide(state: KafkaWriterState, row: SideRow): void {
    const [key, order] = [outputKey(row), outputOrder(row)];
    const record: OutgoingRecord = {
      key: key === null ? null : Buffer.from(key),
      value: Buffer.from(sideJson(row)),
      ...(order === undefined ? {} : { partitionBy: Buffer.from(order) }),
    };
    const held: HeldSide = { topic: topics[row.table], record, bytes: bytesOf(record) };
    if (held.bytes > maxRecordBytes) return tooLargeSide(held);
    state.sides.push(held);
    state.sideBytes += held.bytes;
  }

  /** V8, O-4 */
  function tooLarge({ uuid, distinctId, teamId, pending, bytes }: HeldEvent): void {
    const told = warning('message_size_too_large', { eventUuid: uuid, distinctId });
    deps.warn({ ...told, teamId, atMs: clock.now() });
    bury({ pending }, 'row_too_large', `a record of ${bytes} bytes is too large for topic ${topics.events}`);
  }

  /** The event that caused the row is not at fault and must not wait for ever: say it and go on. */
  function tooLargeSide({ topic, bytes }: HeldSide): void {
    const fields = { topic, bytes };
    stateFact('log-written', { level: 'error', message: 'A side row is too large for its topic; it is left out.', fields });
  }

  function bury(row: Pick<EventRow, 'pending'>, reason: 'row_refused' | 'row_too_large', detail: string): void {
    const told = deadLetter.tell({ type: 'dead-letter', records: [poison(row.pending, reason, ORIGIN, detail)] });
    // Its mailbox holds more than all credit can send; if it is gone, so is this tree, and the record comes again.
    if (told !== 'accepted') throw new Error(`the dead-letter actor refused a record: ${told}`);
  }

  // ── launching ────────────────────────────────────────────────────────────────────────────────────────────────────

  function launchIfDue(state: KafkaWriterState, ctx: Context): void {
    if (state.flight === undefined) {
      if (!hasWork(state)) tellDrained(state);
      else if (state.isDue || state.drains.length > 0 || isFull(state)) {
        state.flight = launch(state);
        attempt(state, ctx);
      }
    }
    if (state.age === undefined && !state.isDue && isLoaded(state)) state.age = ctx.after(options.maxAgeMs, { type: 'self:age-reached' });
  }

  function isFull({ events, eventBytes, sideBytes }: KafkaWriterState): boolean {
    return events.length >= options.maxRowsCount || eventBytes + sideBytes >= options.maxBytes;
  }

  /** Takes along every side row that waits (V2), and as many event rows as a flight may have. */
  function launch(state: KafkaWriterState): Flight {
    state.age?.cancel();
    state.age = undefined;
    let [count, bytes] = [0, 0];
    for (const event of state.events) {
      if (count > 0 && (count >= options.maxRowsCount || bytes + event.bytes > options.maxBytes)) break;
      count++;
      bytes += event.bytes;
    }
    const events = state.events;
    state.events = events.splice(count);
    state.eventBytes -= bytes;
    // What does not fit has waited as long as what does.
    state.isDue = state.events.length > 0;
    const { sides, rowless } = state;
    state.sides = [];
    state.sideBytes = 0;
    state.rowless = [];
    state.flightCount++;
    return takeOff({ events, sides, rowless }, topics.events, options.maxBytes, clock);
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Begins to send the flight and returns; the end comes as a message. */
  function attempt(state: KafkaWriterState, ctx: Context): void {
    const { flight } = state;
    if (flight === undefined || state.isGivenUp) return;
    const tell = (error: unknown): void => {
      const message = { type: 'self:flight-ended', error } as const;
      if (ctx.self.tell(message) === 'full') ctx.after(0, message); // the urgent lane has always room
    };
    state.attempt = send(state, flight).then(() => tell(undefined), tell);
  }

  function send(state: KafkaWriterState, flight: Flight): Promise<void> {
    const { producer, maySend } = deps;
    return fly(flight, { producer, maySend, clock, tooLarge, tooLargeSide, givenUp: () => state.isGivenUp });
  }

  function ended(state: KafkaWriterState, error: unknown, ctx: Context): void {
    if (state.flight === undefined) return; // the stop has finished it
    if (error === undefined) {
      finish(state);
    } else if (error instanceof ProduceError) {
      waitToRetry(state, error, ctx);
    } else if (error instanceof NotFreshError || error instanceof GivenUpError) {
      state.isWaiting = true;
      ctx.after(NOT_FRESH_RETRY_MS, { type: 'self:retry' });
    } else {
      throw error instanceof Error ? error : new Error('the writer failed', { cause: error }); // a bug of ours: begin anew from Kafka
    }
  }

  function finish(state: KafkaWriterState): void {
    state.flight = undefined;
    state.retryMs = RETRY_MS.first;
  }

  /** V7 */
  function waitToRetry(state: KafkaWriterState, error: ProduceError, ctx: Context): void {
    const fields = { code: error.code, retryMs: state.retryMs, error: error.message };
    const level = error.code === 'unknown-topic' ? 'error' : 'warn';
    stateFact('log-written', { level, message: 'Rows cannot be produced now; they wait.', fields });
    state.isWaiting = true;
    ctx.after(state.retryMs * (1 + ctx.random.next() * 0.2), { type: 'self:retry' });
    state.retryMs = Math.min(state.retryMs * 2, RETRY_MS.max);
  }

  function tellDrained(state: KafkaWriterState): void {
    for (const replyTo of state.drains.splice(0)) replyTo.tell({ type: 'drained' });
  }

  // ── stopping ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Sends what is left when asked to stop; after a crash the same rows come again from Kafka, so nothing is tried. */
  async function stopping(state: KafkaWriterState, reason: StopReason): Promise<void> {
    const limit = clock.after(options.stopFlushMs ?? 10_000, () => {
      state.isGivenUp = true;
    });
    if (reason === 'restarted' || reason === 'budget-spent') state.isGivenUp = true;
    if (!state.isWaiting && !state.isGivenUp) await state.attempt;
    while (!state.isGivenUp && hasWork(state)) {
      state.flight ??= launch(state);
      try {
        await send(state, state.flight);
        finish(state);
      } catch (error) {
        if (!(error instanceof ProduceError || error instanceof NotFreshError || error instanceof GivenUpError)) throw error;
        await sleep(clock, RETRY_MS.first);
      }
    }
    limit.cancel();
    if (!hasWork(state)) tellDrained(state);
    state.isGivenUp = true;
  }

  return {
    kind: 'kafka-writer',
    start: () => ({
      events: [],
      eventBytes: 0,
      sides: [],
      sideBytes: 0,
      rowless: [],
      flight: undefined,
      attempt: undefined,
      age: undefined,
      isDue: false,
      retryMs: RETRY_MS.first,
      isWaiting: false,
      isGivenUp: false,
      drains: [],
      flightCount: 0,
    }),
    receive,
    stopping,
    mailbox: { capacityCount: options.mailboxCapacityCount },
    supervision: deps.strategy,
    inspect: (state) => ({
      phase: state.flight === undefined ? 'gathering' : state.isWaiting ? 'waiting' : 'sending',
      rows: state.events.length,
      bytes: state.eventBytes + state.sideBytes,
      sideRows: state.sides.length,
      rowsInFlight: state.flight?.events.left.length ?? 0,
      flights: state.flightCount,
    }),
  };
}

const bytesOf = ({ key, value }: OutgoingRecord): number => (key?.length ?? 0) + value.length;

/** Something waits for a flight. */
function isLoaded({ events, sides, rowless }: KafkaWriterState): boolean {
  return events.length > 0 || sides.length > 0 || rowless.length > 0;
}

/** Something is on its way or waits for it. */
function hasWork(state: KafkaWriterState): boolean {
  return state.flight !== undefined || isLoaded(state);
}
