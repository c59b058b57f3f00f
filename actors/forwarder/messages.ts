import type { Offset } from '../../src/domain/ids.ts';
import type { Settlement } from '../../src/domain/outcome.ts';
import type { Drain } from '../../src/runtime/drain.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';

/** A record that goes to another topic instead of on: settled `redirected(topic)` only after Kafka acknowledged it there. */
export interface RedirectedRecord {
  readonly settlement: Settlement;
  readonly offset: Offset;
  /** Null: any partition (B-4). */
  readonly key: Buffer | null;
  readonly value: Buffer;
  /** As read; they arrive unchanged (K-13). */
  readonly headers: Readonly<Record<string, unknown>> | undefined;
  readonly timestampMs: number;
}

/** Answer to `copy`. `too-large`: no topic can ever take it, so the sender goes on without. */
export interface Copied {
  readonly type: 'copied';
  readonly ticket: number;
  readonly result: 'acknowledged' | 'too-large';
}

export type ForwarderMessage =
  /** Sets records aside. At least once: after a crash between acknowledgement and commit they are redirected again. */
  | { readonly type: 'redirect'; readonly topic: string; readonly records: readonly RedirectedRecord[] }
  /**
   * Produces one record beside the way of its event (rule X-2), and tells `replyTo` once it is acknowledged: `ticket` is given back so
   * that the sender knows which. Kafka away: it is tried for ever, and the answer waits. At least once.
   */
  | {
      readonly type: 'copy';
      readonly ticket: number;
      readonly topic: string;
      readonly key: Buffer | null;
      readonly value: Buffer;
      readonly headers?: Readonly<Record<string, string | Buffer>>;
      readonly replyTo: ActorRef<Copied>;
    }
  | Drain
  | { readonly type: 'self:sent'; readonly topic: string; readonly error: unknown }
  | { readonly type: 'self:retry'; readonly topic: string };
