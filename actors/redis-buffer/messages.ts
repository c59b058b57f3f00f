import type { Drain } from '../../src/runtime/drain.ts';

export type RedisBufferMessage =
  /** Presence: these (team, distinct_id hash) had events at this time. Fire and forget, coalesced, bounded. */
  | { readonly type: 'seen'; readonly teamId: number; readonly member: string; readonly atMs: number }
  /** A warning that may be debounced (W-1): answered by `emit` with those that are first in their hour. */
  | { readonly type: 'warn'; readonly warning: Warning }
  | Drain
  | { readonly type: 'self:flush' }
  | { readonly type: 'self:flushed'; readonly error: unknown; readonly firsts: readonly boolean[] };

export interface Warning {
  readonly teamId: number;
  readonly type: string;
  /** Extra part of the debounce key; '' when there is none. */
  readonly debounceKey: string;
  readonly alwaysSend: boolean;
  readonly details: Readonly<Record<string, unknown>>;
  readonly atMs: number;
}
