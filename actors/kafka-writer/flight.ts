/** What is sent together, and the order in which: side rows first, then the event rows (V2). */
import { createEqualRows, type KeyedRow } from '../../src/domain/equal-rows.ts';
import type { TraceContext } from '../../src/domain/event.ts';
import { dropped } from '../../src/domain/outcome.ts';
import type { OutgoingRecord } from '../../src/kafka/port.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { GivenUpError, NotFreshError } from '../row-writer/carrier.ts';
import type { RowlessEvent } from '../row-writer/messages.ts';
import { areFresh, settleRowless, settleStored, sourcesOf, tellStage } from '../row-writer/settling.ts';
import { deliver, type Cargo } from './cargo.ts';
import type { KafkaWriterDeps } from './options.ts';

/** What is kept of an event row once it is a record: its texts are the most of what an event in flight weighs. */
export interface HeldEvent extends KeyedRow {
  readonly record: OutgoingRecord;
  readonly bytes: number;
}

/** A side row as its record. */
export interface HeldSide {
  readonly topic: string;
  readonly record: OutgoingRecord;
  readonly bytes: number;
}

export interface Flight {
  readonly sides: readonly Cargo<HeldSide>[];
  readonly events: Cargo<HeldEvent>;
  /** Settled when the side rows are acknowledged (V9). */
  readonly rowless: RowlessEvent[];
  readonly rowCount: number;
  readonly sideCount: number;
  readonly bytes: number;
  /** Of sampled events. */
  readonly traces: readonly TraceContext[];
  readonly startedMs: number;
  readonly startedWallMs: number;
  hasLanded: boolean;
}

export interface FlightDeps extends Pick<KafkaWriterDeps, 'producer' | 'mayWrite' | 'clock'> {
  readonly tooLarge: (event: HeldEvent) => void;
  readonly tooLargeSide: (side: HeldSide) => void;
  /** True once nobody waits any more: nothing further is begun. */
  readonly givenUp: () => boolean;
}

/** Rows that leave together. */
export interface Load {
  readonly events: readonly HeldEvent[];
  readonly sides: readonly HeldSide[];
  readonly rowless: RowlessEvent[];
}

/** Makes a flight of a load. Of event rows with one key the first goes along, the others are settled here (V4). */
export function takeOff({ events, sides, rowless }: Load, eventsTopic: string, maxBytes: number, clock: Clock): Flight {
  const left = withoutEqualRows(events);
  return {
    sides: [...Map.groupBy(sides, ({ topic }) => topic)].flatMap(([topic, items]) => cut(topic, items, maxBytes)),
    events: { topic: eventsTopic, left, isOrdered: false, isOneByOne: false },
    rowless,
    rowCount: left.length,
    sideCount: sides.length,
    bytes: sumOf(left) + sumOf(sides),
    traces: left.flatMap(({ pending }) => pending.trace ?? []),
    startedMs: clock.monotonic(),
    startedWallMs: clock.now(),
    hasLanded: false,
  };
}

const sumOf = (held: readonly { readonly bytes: number }[]): number => held.reduce((sum, { bytes }) => sum + bytes, 0);

function withoutEqualRows(events: readonly HeldEvent[]): HeldEvent[] {
  const known = createEqualRows();
  return events.filter((event) => {
    const { settlement, offset } = event.pending;
    if (!settlement.active) return false; // V5
    if (known.has(event)) {
      settlement.settle(offset, dropped('duplicate'));
      return false;
    }
    known.add(event);
    return true;
  });
}

/** Cargos of one topic, none larger than one call may be. They are sent side by side, in order all the same: a lane keeps it. */
function cut(topic: string, items: readonly HeldSide[], maxBytes: number): Cargo<HeldSide>[] {
  const cargos: Cargo<HeldSide>[] = [];
  let bytes = Infinity;
  for (const item of items) {
    if (bytes + item.bytes > maxBytes) {
      cargos.push({ topic, left: [], isOrdered: item.record.partitionBy !== undefined, isOneByOne: false });
      bytes = 0;
    }
    cargos.at(-1)?.left.push(item);
    bytes += item.bytes;
  }
  return cargos;
}

/**
 * Resolves when every row has its end. Called again after a failure it goes on where it was.
 * @throws ProduceError that time or an operator can cure; NotFreshError; GivenUpError
 */
export async function fly(flight: Flight, deps: FlightDeps): Promise<void> {
  if (flight.hasLanded) return;
  await deliverSides(flight, deps);
  settleRowless(flight.rowless); // V9
  const { events } = flight;
  events.left = events.left.filter(({ pending }) => pending.settlement.active); // V5
  if (events.left.length > 0) {
    if (deps.givenUp()) throw new GivenUpError();
    if (!areFresh(sourcesOf(events.left.map(({ pending }) => pending.settlement)), deps.mayWrite)) throw new NotFreshError(); // V6
    await deliver(events, deps.producer, { acknowledged: settleStored, refused: deps.tooLarge }); // V3
  }
  flight.hasLanded = true;
  report(flight, deps.clock);
}

async function deliverSides({ sides }: Flight, { producer, givenUp, tooLargeSide }: FlightDeps): Promise<void> {
  const left = sides.filter((cargo) => cargo.left.length > 0);
  if (left.length > 0 && givenUp()) throw new GivenUpError();
  const results = await Promise.allSettled(
    left.map((cargo) => deliver(cargo, producer, { acknowledged: () => undefined, refused: tooLargeSide })),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

function report({ rowCount: rows, sideCount: sideRows, bytes, traces, startedMs, startedWallMs }: Flight, clock: Clock): void {
  stateFact('output-flight-landed', { rows, sideRows, bytes, durationMs: clock.monotonic() - startedMs });
  tellStage('kafka output', traces, { startMs: startedWallMs, endMs: clock.now(), rows, bytes });
}
