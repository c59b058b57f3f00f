import type { Offset } from '../../src/domain/ids.ts';
import type { Outcome, Settlement } from '../../src/domain/outcome.ts';
import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import type { Drain } from '../../src/runtime/drain.ts';

/** An event that makes no row of its own, and how it ends. */
export interface RowlessEvent {
  readonly settlement: Settlement;
  readonly offset: Offset;
  readonly outcome: Outcome;
}

/**
 * What every writer of rows understands, wherever its rows go: `clickhouse-writer` inserts them, `kafka-writer` produces them to
 * PostHog's output topics. Whoever makes rows tells one of the two and need not know which.
 */
export type RowWriterMessage =
  /** Fact rows that must be durable before any event row told after them. At least once. */
  | { readonly type: 'store-side-rows'; readonly rows: readonly SideRow[] }
  /** Event rows in offset order per distinct_id; each is settled through its `pending.settlement` when durable. */
  | { readonly type: 'store-events'; readonly rows: readonly EventRow[] }
  /**
   * Settles these as soon as every side row told before is durable. A heatmap (L-4) or a warning that is always shown (L-3, PP-2) is all
   * that remains of its event: settled any earlier, a crash would lose it in silence.
   */
  | { readonly type: 'settle-after-side-rows'; readonly events: readonly RowlessEvent[] }
  /** Write out what is pending without waiting for size or age; `replyTo` is told when nothing is pending any more. */
  | Drain;

/** Private: timers and answers of a row writer's own sends. */
export type RowWriterSelf =
  { readonly type: 'self:age-reached' } | { readonly type: 'self:flight-ended'; readonly error: unknown } | { readonly type: 'self:retry' };
