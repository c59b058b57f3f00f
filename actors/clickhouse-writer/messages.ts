import type { RowWriterMessage } from '../row-writer/messages.ts';

export type ClickHouseWriterMessage = RowWriterMessage | ClickHouseWriterSelf;

/** Private: timers and answers of its own inserts. */
export type ClickHouseWriterSelf =
  { readonly type: 'self:age-reached' } | { readonly type: 'self:block-ended'; readonly error: unknown } | { readonly type: 'self:retry' };
