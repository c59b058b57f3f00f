/** What the two row writers differ in: what a load is made of, and how it gets to where its rows go. */
import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import type { RowlessEvent } from './messages.ts';

/**
 * Holds the load and carries its flights; one for each life of a row writer. `behavior.ts` decides when, and never has two flights.
 * Rows keep the order in which they are told, and side rows told before an event row are durable before it is sent.
 */
export interface Carrier<Flight> {
  takeEvent(row: EventRow): void;
  takeSides(rows: readonly SideRow[]): void;
  /** Settled when the side rows taken before are durable. */
  takeRowless(events: readonly RowlessEvent[]): void;
  /** Nothing waits for a flight. */
  isEmpty(): boolean;
  /** The load need not grow older: it is full, or rows in it have waited for a flight already. */
  isFull(): boolean;
  /** Begins a new load, with what one flight cannot carry. */
  takeOff(): Flight;
  /**
   * Resolves when every row has its end. Called again after a failure it goes on where it was.
   * @throws what the {@link Outage} of the writer knows, {@link NotFreshError}, {@link GivenUpError}; all else is a bug
   */
  fly(flight: Flight, givenUp: () => boolean): Promise<void>;
  /** The flight has no row left. */
  landed(flight: Flight): void;
  /** For the inspector. */
  inspect(flight: Flight | undefined): Readonly<Record<string, number>>;
}

/** Why a flight waits, to be said in the log. */
export interface Outage {
  readonly level: 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | undefined>>;
}

/** The last heartbeat is too old: whether the partition is still ours will be known soon. */
export class NotFreshError extends Error {}
/** The writer has stopped; what is left comes again from Kafka. */
export class GivenUpError extends Error {}
