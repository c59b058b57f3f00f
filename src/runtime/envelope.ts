/**
 * Trace of a sampled message, carried beside it: the async context of a queued nact message is the one of the message
 * BEFORE it (hazard F), so the context must travel in the envelope. Undefined for messages that are not sampled.
 */
export interface TraceContext {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** 16 lower-case hex digits. */
  readonly spanId: string;
}
