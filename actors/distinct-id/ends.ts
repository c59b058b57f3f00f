/** How an event ends before it has become a row (D3), and what a reader hears of it. */
import { dropped, type DeadLetterReason, type DropReason } from '../../src/domain/outcome.ts';
import type { PendingEvent } from '../../src/domain/event.ts';
import type { SideRow } from '../../src/domain/rows.ts';
import { warningRow } from '../../src/domain/side-rows.ts';
import type { IngestionWarning } from '../../src/domain/warnings.ts';
import { state as stateFact } from '../../src/observe/facts.ts';
import { poison } from '../dead-letter/messages.ts';
import { taken, type Ctx, type Shared } from './asking.ts';
import type { Item, Work } from './state.ts';

/** D4: a rule that throws is a bug on this event; its bytes are kept and its neighbours go on. */
export function guard(shared: Shared, pending: PendingEvent, origin: string, run: () => void, item?: Item): void {
  try {
    run();
  } catch (error) {
    if (item !== undefined) item.ended = true;
    deadLetter(shared, pending, 'processing_error', origin, error instanceof Error ? error.message : 'not an Error was thrown');
  }
}

/** The item goes no further: its event is poison. */
export function end(shared: Shared, item: Item, reason: DeadLetterReason, origin: string, detail: string): void {
  item.ended = true;
  deadLetter(shared, item.pending, reason, origin, detail);
}

/** The dead-letter actor keeps the bytes and settles the offset. Throws when its mailbox is full (a bug: see `taken`). */
export function deadLetter(shared: Shared, pending: PendingEvent, reason: DeadLetterReason, origin: string, detail: string): void {
  taken(
    shared.deps.deadLetter.tell({ type: 'dead-letter', records: [poison(pending, reason, `distinct-id:${origin}`, detail)] }),
    'the dead-letter actor',
  );
  reportEnd(pending, 'dead-lettered', reason);
}

/** A rule or a plugin wants no row of this event: settled at once. */
export function drop(pending: PendingEvent, reason: DropReason): void {
  pending.settlement.settle(pending.offset, dropped(reason));
  reportEnd(pending, 'dropped', reason);
}

/**
 * A drop that the team is told of. One that is always shown is all that remains of the event, so the event ends when the row writer
 * has it; one that may be debounced is a hint, and its event does not wait for it.
 */
export function dropWithWarning(
  shared: Shared,
  work: Work,
  pending: PendingEvent,
  reason: DropReason,
  warning: IngestionWarning,
  ctx: Ctx,
): void {
  if (!warning.alwaysSend) {
    warn(shared, work, warning, ctx);
    return drop(pending, reason);
  }
  stateFact('warning-raised', { type: warning.type, debounced: false });
  endWithRows(shared, pending, reason, [warningRow(work.message.team.id, warning, ctx.clock.now())]);
}

/** L-3, L-4: the event makes these rows and none of its own; it is settled when they are durable. */
export function endWithRows(shared: Shared, pending: PendingEvent, reason: DropReason, rows: readonly SideRow[]): void {
  if (rows.length === 0) return drop(pending, reason);
  const { rowWriter } = shared.deps;
  const { settlement, offset } = pending;
  taken(rowWriter.tell({ type: 'store-side-rows', rows }), 'the row writer');
  taken(rowWriter.tell({ type: 'settle-after-side-rows', events: [{ settlement, offset, outcome: dropped(reason) }] }), 'the row writer');
  reportEnd(pending, 'dropped', reason);
}

/** For "where is my event?": only for the few that make no row; the others are found by their row. */
function reportEnd({ envelope, teamId, offset, settlement }: PendingEvent, outcome: string, reason: string): void {
  if (typeof envelope.uuid !== 'string') return;
  const { topic, partition } = settlement;
  stateFact('event-ended', { uuid: envelope.uuid, teamId, topic, partition, offset, outcome, reason });
}

/** An ingestion warning for the team, or none when one of its kind was shown this hour (redis-buffer Z3). A lost one costs no event. */
export function warn(shared: Shared, work: Work, warning: Omit<IngestionWarning, 'type'> & { readonly type: string }, ctx: Ctx): void {
  shared.deps.redisBuffer.tell({
    type: 'warn',
    warning: { ...warning, teamId: work.message.team.id, atMs: ctx.clock.now() },
  });
}

/** TS-9: said once, where the timestamp is settled for good. */
export function noteTimestampWarnings(shared: Shared, work: Work, warnings: readonly IngestionWarning[], ctx: Ctx): void {
  for (const warning of warnings) {
    shared.findings.note(warning.type === 'event_timestamp_in_future' ? 'timestamp-in-future' : 'timestamp-ignored', ctx.clock);
    warn(shared, work, warning, ctx);
  }
}

/** A crash is a bug here: what was under way is kept with its bytes and settled, so that the partition goes on. */
export function bury(shared: Shared, events: readonly PendingEvent[], detail: string): void {
  for (const pending of events) {
    if (pending.settlement.active) deadLetter(shared, pending, 'actor_crashed', 'crash', detail);
  }
}

/** Events of a work that nobody has settled, dead-lettered or told as a row. */
export function unendedOf({ items, preparedCount, message }: Work): readonly PendingEvent[] {
  return [...items.filter((item) => !item.ended).map((item) => item.pending), ...message.group.events.slice(preparedCount)];
}
