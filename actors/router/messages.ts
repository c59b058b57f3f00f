import type { RecordBatch } from '../../src/kafka/port.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';

export type RouterMessage =
  /** Records of this partition. `replyTo` is told once all were accepted: dispatched, parked or settled at once. */
  | { readonly type: 'batch'; readonly batch: RecordBatch; readonly replyTo: ActorRef<BatchAccepted> }
  /** Settlement freed credit while a batch was waiting for it. */
  | { readonly type: 'self:credit-freed' }
  /** A team's mailbox was full: offer again. */
  | { readonly type: 'self:offer-again' };

export interface BatchAccepted {
  readonly type: 'batch-accepted';
}
