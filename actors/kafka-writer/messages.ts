import type { RowWriterMessage } from '../row-writer/messages.ts';

export type KafkaWriterMessage = RowWriterMessage | KafkaWriterSelf;

/** Private: timers and answers of its own sends. */
export type KafkaWriterSelf =
  { readonly type: 'self:age-reached' } | { readonly type: 'self:flight-ended'; readonly error: unknown } | { readonly type: 'self:retry' };
