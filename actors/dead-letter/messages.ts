import type { DeadLetterReason } from '../../src/domain/outcome.ts';
import type { PendingEvent } from '../../src/domain/event.ts';
import type { Offset } from '../../src/domain/ids.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { Drain } from '../../src/runtime/drain.ts';

/** A poison record with its original bytes; settled `dead-lettered` only after Kafka acknowledged the copy. */
export interface PoisonRecord {
  readonly settlement: Settlement;
  readonly offset: Offset;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, unknown>> | undefined;
  readonly timestampMs: number;
  readonly reason: DeadLetterReason;
  /** Where it was found, e.g. `router`, `distinct-id:normalise`, `clickhouse-writer`. */
  readonly origin: string;
  /** What was wrong, for a person to read; cut to 500 characters. */
  readonly detail: string;
  /** Of an event whose team is known: that team is shown the event (L-2). */
  readonly teamId?: number;
  /** As the envelope names it (K-13). */
  readonly eventUuid?: string;
}
export const poison = (pending: PendingEvent, reason: DeadLetterReason, origin: string, detail: string): PoisonRecord => ({
  settlement: pending.settlement,
  offset: pending.offset,
  key: pending.key,
  value: pending.raw,
  headers: pending.headers,
  timestampMs: pending.timestampMs,
  reason,
  origin,
  detail: detail.slice(0, 500),
  teamId: pending.teamId,
  ...(typeof pending.envelope.uuid === 'string' ? { eventUuid: pending.envelope.uuid } : {}),
});

export type DeadLetterMessage =
  | { readonly type: 'dead-letter'; readonly records: readonly PoisonRecord[] }
  | Drain
  | { readonly type: 'self:produced'; readonly error: unknown }
  | { readonly type: 'self:retry' };
