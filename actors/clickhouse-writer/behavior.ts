/**
 * Rows into ClickHouse: fills blocks, stores one at a time, settles what is durable. States and messages are those of every row
 * writer (row-writer/behavior.ts); here is what a load is: one block of events, the side rows and the events without a row before it.
 *
 * Invariants
 * W1 One event block is in flight at a time (F1), hence one per partition: rows of a distinct_id are stored in the order told.
 * W2 Side rows told before an event row are durable before its insert begins.
 * W3 Of rows with one sorting key in a block the first is stored; the others are settled `dropped(duplicate)`.
 * W4 Nothing is lost or given up for an outage (F2): the same block is tried again.
 * W5-W9 store-block.ts
 * W10 An event without a row is settled when the side rows told before it are durable, never before (flight.ts).
 */
import { ClickHouseError } from '../../src/clickhouse/port.ts';
import { dropped } from '../../src/domain/outcome.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { newSpanId } from '../../src/domain/trace.ts';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import type { Random } from '../../src/runtime/clock.ts';
import { createRowWriter, type RowWriterState } from '../row-writer/behavior.ts';
import type { Carrier, Outage } from '../row-writer/carrier.ts';
import type { RowWriterMessage, RowWriterSelf } from '../row-writer/messages.ts';
import { createBurials, settle } from '../row-writer/settling.ts';
import { fly, isEmptyLoad, newLoad, takeOff, unload, type Flight, type Load } from './flight.ts';
import type { ClickHouseWriterDeps } from './options.ts';
import { isFull, offerRow, type BlockLimits } from './state.ts';

const KIND = 'clickhouse-writer';
const MAX_RETRY_MS = 10_000;

export function createClickHouseWriter(deps: ClickHouseWriterDeps): ActorSpec<RowWriterState<Flight>, RowWriterMessage | RowWriterSelf> {
  const { clock, options, strategy } = deps;
  const carrier = (random: Random): Carrier<Flight> => createBlockCarrier(deps, random);
  return createRowWriter({ kind: KIND, clock, options, strategy, carrier, outageOf, maxRetryMs: MAX_RETRY_MS });
}

function outageOf(error: unknown): Outage | undefined {
  if (!(error instanceof ClickHouseError)) return undefined;
  const { kind, code, message } = error;
  const level = kind === 'misconfigured' ? 'error' : 'warn';
  return { level, message: 'A block cannot be stored now; it waits.', fields: { kind, code, error: message } };
}

function createBlockCarrier(deps: ClickHouseWriterDeps, random: Random): Carrier<Flight> {
  const { clickhouse, clock, mayWrite, options } = deps;
  const limits: BlockLimits = { maxRowBytes: 16 * 1024 * 1024, maxTablePartitionsCount: 100, ...options };
  const burials = createBurials(deps, KIND);
  const writerId = newSpanId(() => random.next());
  let insertCount = 0;
  let filling = newLoad(clickhouse);
  /** Emptied buffers of the load before. */
  let spare: Load | undefined;
  /** Rows that found the filling block full while another was in flight, in order. */
  const queue: EventRow[] = [];

  /** False when the filling block has no room for the row. */
  function offer(row: EventRow): boolean {
    if (!row.pending.settlement.active) return true;
    const result = offerRow(filling.block, row, limits);
    switch (result.type) {
      case 'taken':
        return true;
      case 'no-room':
        return false;
      case 'duplicate': // W3
        settle(row.pending, dropped('duplicate'));
        return true;
      case 'too-large':
        burials.tooLarge(row, `a row of ${result.bytes} bytes; at most ${limits.maxRowBytes} are stored`);
        return true;
      case 'refused':
        burials.refused(row, result.detail);
        return true;
    }
  }

  /** Moves rows that waited into the new block, as far as it has room. */
  function refill(): void {
    const movedCount = queue.findIndex((row) => !offer(row));
    queue.splice(0, movedCount === -1 ? queue.length : movedCount);
  }

  return {
    takeEvent(row) {
      // Behind a row that waits everything waits (W1).
      if (queue.length > 0 || !offer(row)) queue.push(row);
    },
    takeSides(rows) {
      const nowMs = clock.now();
      for (const row of rows) filling.side.append(row, nowMs);
    },
    takeRowless: (events) => void filling.rowless.push(...events),
    isEmpty: () => isEmptyLoad(filling) && queue.length === 0,
    isFull: () => queue.length > 0 || isFull(filling.block, limits) || filling.side.byteCount >= limits.maxBytes,
    takeOff() {
      const flight = takeOff(filling, clock);
      filling = spare ?? newLoad(clickhouse);
      spare = undefined;
      refill();
      return flight;
    },
    fly: (flight, givenUp) =>
      fly(flight, {
        clickhouse,
        clock,
        mayWrite,
        refused: (row, detail) => burials.refused(row, detail),
        nextNonce: () => `${writerId}-${++insertCount}`,
        givenUp,
      }),
    landed(flight) {
      spare = unload(flight);
    },
    inspect: (flight) => ({
      rows: filling.block.rows.length,
      bytes: filling.block.builder.byteCount,
      sideRows: filling.side.rowCount,
      rowsInFlight: flight?.block.rows.length ?? 0,
      rowsQueued: queue.length,
      inserts: insertCount,
    }),
  };
}
