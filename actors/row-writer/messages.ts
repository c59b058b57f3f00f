import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';

/**
 * What every writer of rows understands, wherever its rows go: `clickhouse-writer` inserts them, `kafka-writer` produces them to
 * PostHog's output topics. Whoever makes rows tells one of the two and need not know which.
 */
export type RowWriterMessage =
  /** Fact rows that must be durable before any event row told after them. At least once. */
  | { readonly type: 'store-side-rows'; readonly rows: readonly SideRow[] }
  /** Event rows in offset order per distinct_id; each is settled through its `pending.settlement` when durable. */
  | { readonly type: 'store-events'; readonly rows: readonly EventRow[] }
  /** Write out what is pending without waiting for size or age; `replyTo` is told when nothing is pending any more. */
  | { readonly type: 'drain'; readonly replyTo: ActorRef<{ readonly type: 'drained' }> };
