/** How events end in both row writers, and what is said of a flight that carried them. */
import type { TraceContext } from '../../src/domain/event.ts';
import { STORED, type Outcome, type Settlement } from '../../src/domain/outcome.ts';
import { warning } from '../../src/domain/warnings.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { isObserved, state as stateFact } from '../../src/observe/facts.ts';
import { poison } from '../dead-letter/messages.ts';
import type { RowlessEvent } from './messages.ts';
import type { RowWriterDeps } from './options.ts';

type Ending = Pick<EventRow['pending'], 'settlement' | 'offset'>;

/** A row whose partition was lost is the new owner's to settle. */
export function settle({ settlement, offset }: Ending, outcome: Outcome): void {
  if (settlement.active) settlement.settle(offset, outcome);
}

export function settleStored(rows: readonly { readonly pending: Ending }[]): void {
  for (const { pending } of rows) settle(pending, STORED);
}

/** Ends events without a row, whose side rows are durable now, and leaves none of them behind. */
export function settleRowless(rowless: RowlessEvent[]): void {
  for (const event of rowless.splice(0)) settle(event, event.outcome);
}

/** One settlement per partition and generation, of which a flight has a handful; each distinct_id has a settlement of its own. */
export function sourcesOf(settlements: Iterable<Settlement>): readonly Settlement[] {
  const sources: Settlement[] = [];
  for (const settlement of settlements) {
    let isKnown = false;
    for (let at = 0; at < sources.length && !isKnown; at++) isKnown = isSameSource(sources[at] ?? settlement, settlement);
    if (!isKnown) sources.push(settlement);
  }
  return sources;
}

function isSameSource(a: Settlement, b: Settlement): boolean {
  return a.partition === b.partition && a.generation === b.generation && a.topic === b.topic;
}

/** True while the process is sure to own all of them. */
export function areFresh(sources: readonly Settlement[], mayWrite: RowWriterDeps['mayWrite']): boolean {
  return sources.every(({ topic, partition, generation }) => mayWrite(topic, partition, generation));
}

/** Ends of events whose row can never be stored: their bytes go to the dead-letter topic, and their neighbours are stored. */
export interface Burials {
  /** ClickHouse could not hold it. */
  refused(row: Pick<EventRow, 'pending'>, detail: string): void;
  /** O-4: PostHog loses such an event with this warning (sharp edge 36); here its bytes are kept as well. */
  tooLarge(row: Pick<EventRow, 'pending' | 'uuid' | 'distinctId' | 'teamId'>, detail: string): void;
}

/** @param origin the kind of the writer, as dead letters name it */
export function createBurials({ deadLetter, warn, clock }: Pick<RowWriterDeps, 'deadLetter' | 'warn' | 'clock'>, origin: string): Burials {
  function bury(row: Pick<EventRow, 'pending'>, reason: 'row_refused' | 'row_too_large', detail: string): void {
    const told = deadLetter.tell({ type: 'dead-letter', records: [poison(row.pending, reason, origin, detail)] });
    // Its mailbox holds more than all credit can send; if it is gone, so is this tree, and the record comes again.
    if (told !== 'accepted') throw new Error(`the dead-letter actor refused a record: ${told}`);
  }

  return {
    refused: (row, detail) => bury(row, 'row_refused', detail),
    tooLarge(row, detail) {
      const { uuid: eventUuid, distinctId, teamId } = row;
      warn({ ...warning('message_size_too_large', { eventUuid, distinctId }), teamId, atMs: clock.now() });
      bury(row, 'row_too_large', detail);
    },
  };
}

/** Links of one span; more would say no more. */
const MAX_LINKS = 32;

/** One stage for all sampled events of a flight: the first is its parent, others are linked. */
export function tellStage(
  name: string,
  traces: readonly TraceContext[],
  flight: { readonly startMs: number; readonly endMs: number; readonly rows: number; readonly bytes: number },
): void {
  const [trace, ...others] = traces;
  if (trace === undefined || !isObserved('stage-ended')) return;
  const { startMs, endMs, rows, bytes } = flight;
  stateFact('stage-ended', { name, trace, startMs, endMs, attributes: { rows, bytes }, links: others.slice(0, MAX_LINKS) });
}
