/**
 * Rows to PostHog's output topics: makes records, sends one flight at a time, settles what is acknowledged. States and messages are
 * those of every row writer (row-writer/behavior.ts); here is what a load is: records of events and side rows, in the order told.
 *
 * The topics promise less than ClickHouse's tables do: at least once, and no order between events, whose key is their uuid. What a
 * replay sends again has the same uuid and collapses in PostHog's ReplacingMergeTree (docs/delivery.md section 9).
 *
 * Invariants
 * V1 One flight is under way at a time (F1); within it, and over flights, rows of one group keep the order in which they were told.
 * V2 Side rows told before an event row are acknowledged before that event row is sent.
 * V3 A row is settled `stored` only after its record is acknowledged by all in-sync replicas.
 * V4 Of rows with one sorting key in a flight the first is sent; the others are settled `dropped(duplicate)`.
 * V5 A row whose partition was lost is neither sent nor settled: the new owner finds its record again.
 * V6 No event row is sent for a partition whose membership is not fresh.
 * V7 Kafka away: the same records wait and are sent again, those that were acknowledged not. Nothing is given up for an outage (F2).
 * V8 A row that is too large for its topic costs itself: its record is dead-lettered `row_too_large`, and its team is warned (O-4).
 *    PostHog loses the event here (sharp edge 36).
 * V9 An event without a row is settled when the side rows told before it are acknowledged, never before.
 */
import { eventJson, sideJson } from '../../src/domain/output-json.ts';
import { outputKey, outputOrder } from '../../src/domain/output-topics.ts';
import { rowFault } from '../../src/domain/row-fault.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { ProduceError, type OutgoingRecord } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import { createRowWriter, type RowWriterState } from '../row-writer/behavior.ts';
import type { Carrier, Outage } from '../row-writer/carrier.ts';
import type { RowlessEvent, RowWriterMessage, RowWriterSelf } from '../row-writer/messages.ts';
import { createBurials } from '../row-writer/settling.ts';
import { fly, takeOff, type Flight, type HeldEvent, type HeldSide } from './flight.ts';
import type { KafkaWriterDeps } from './options.ts';

const KIND = 'kafka-writer';
const MAX_RETRY_MS = 5_000;

export function createKafkaWriter(deps: KafkaWriterDeps): ActorSpec<RowWriterState<Flight>, RowWriterMessage | RowWriterSelf> {
  const { clock, options, strategy } = deps;
  const carrier = (): Carrier<Flight> => createRecordCarrier(deps);
  return createRowWriter({ kind: KIND, clock, options, strategy, carrier, outageOf, maxRetryMs: MAX_RETRY_MS });
}

function outageOf(error: unknown): Outage | undefined {
  if (!(error instanceof ProduceError)) return undefined;
  const { code, message } = error;
  const level = code === 'unknown-topic' ? 'error' : 'warn';
  return { level, message: 'Rows cannot be produced now; they wait.', fields: { code, error: message } };
}

function createRecordCarrier(deps: KafkaWriterDeps): Carrier<Flight> {
  const { clock, mayWrite, options, producer, topics } = deps;
  const maxRecordBytes = options.maxRecordBytes ?? 999_000;
  const burials = createBurials(deps, KIND);
  /** Waiting for a flight, in the order told. */
  let events: HeldEvent[] = [];
  let eventBytes = 0;
  let sides: HeldSide[] = [];
  let sideBytes = 0;
  let rowless: RowlessEvent[] = [];
  /** Events that the flight before had no room for: they have waited as long as its own. */
  let hasLeftOver = false;
  let flightCount = 0;

  function takeSide(row: SideRow): void {
    const [key, order] = [outputKey(row), outputOrder(row)];
    const record: OutgoingRecord = {
      key: key === null ? null : Buffer.from(key),
      value: Buffer.from(sideJson(row)),
      ...(order === undefined ? {} : { partitionBy: Buffer.from(order) }),
    };
    const held: HeldSide = { topic: topics[row.table], record, bytes: bytesOf(record) };
    if (held.bytes > maxRecordBytes) return tooLargeSide(held);
    sides.push(held);
    sideBytes += held.bytes;
  }

  /** V8 */
  function tooLarge(held: HeldEvent): void {
    burials.tooLarge(held, `a record of ${held.bytes} bytes is too large for topic ${topics.events}`);
  }

  /** The oldest events, as many as a flight may have; the others stay. */
  function cutEvents(): HeldEvent[] {
    let [count, bytes] = [0, 0];
    for (const event of events) {
      if (count > 0 && (count >= options.maxRowsCount || bytes + event.bytes > options.maxBytes)) break;
      count++;
      bytes += event.bytes;
    }
    const taken = events;
    events = taken.splice(count);
    eventBytes -= bytes;
    hasLeftOver = events.length > 0;
    return taken;
  }

  return {
    takeEvent(row) {
      const { uuid, event, teamId, distinctId, timestampMs, pending } = row;
      if (!pending.settlement.active) return; // V5
      const fault = rowFault(row);
      if (fault !== undefined) return burials.refused(row, fault);
      const record: OutgoingRecord = { key: Buffer.from(uuid), value: Buffer.from(eventJson(row)) };
      const held: HeldEvent = { uuid, event, teamId, distinctId, timestampMs, pending, record, bytes: bytesOf(record) };
      if (held.bytes > maxRecordBytes) return tooLarge(held);
      events.push(held);
      eventBytes += held.bytes;
    },
    takeSides(rows) {
      for (const row of rows) takeSide(row);
    },
    takeRowless: (ended) => void rowless.push(...ended),
    isEmpty: () => events.length === 0 && sides.length === 0 && rowless.length === 0,
    isFull: () => hasLeftOver || events.length >= options.maxRowsCount || eventBytes + sideBytes >= options.maxBytes,
    /** Takes along every side row that waits (V2). */
    takeOff() {
      const load = { events: cutEvents(), sides, rowless };
      [sides, sideBytes, rowless] = [[], 0, []];
      flightCount++;
      return takeOff(load, topics.events, options.maxBytes, clock);
    },
    fly: (flight, givenUp) => fly(flight, { producer, mayWrite, clock, tooLarge, tooLargeSide, givenUp }),
    landed: () => undefined,
    inspect: (flight) => ({
      rows: events.length,
      bytes: eventBytes + sideBytes,
      sideRows: sides.length,
      rowsInFlight: flight?.events.left.length ?? 0,
      flights: flightCount,
    }),
  };
}

/** The event that caused the row is not at fault and must not wait for ever: say it and go on. */
function tooLargeSide({ topic, bytes }: HeldSide): void {
  const fields = { topic, bytes };
  stateFact('log-written', { level: 'error', message: 'A side row is too large for its topic; it is left out.', fields });
}

const bytesOf = ({ key, value }: OutgoingRecord): number => (key?.length ?? 0) + value.length;
