import type { RecordsByTopic } from './records.ts';

/**
 * What became of the records of one request. `acknowledged`: every one of them is durable. `too-large`: one can never be
 * stored as it is. `unavailable`: nobody knows of `missing` that it is durable, though some of it may be; records of
 * other topics are.
 */
export type SinkResult =
  | { readonly type: 'acknowledged'; readonly spilled?: Spilled }
  | { readonly type: 'too-large'; readonly detail: string }
  | { readonly type: 'unavailable'; readonly missing: RecordsByTopic; readonly error: Error };

/** Records are durable on disk and not in Kafka yet: what Kafka said (a code of ProduceError, or 'late'). */
export interface Spilled {
  readonly code: string;
  readonly error: string;
}

/**
 * Where the records of a request become durable, so that its 200 may be said (spec/capture.md 8). One sink may stand
 * around another one: what the inner one is still missing goes elsewhere.
 */
export interface EventSink {
  /**
   * Takes the records of one request, in the order of its events. Resolves within `limitMs`; never rejects for what the
   * outside does. Work that is late goes on, so a record may become durable after its `unavailable`: readers know it by its uuid.
   */
  send(records: RecordsByTopic, limitMs: number): Promise<SinkResult>;
  /** Bytes that it could take now, whatever they are; more is `unavailable` for certain. Absent: nothing is certain. */
  readonly roomBytes?: () => number;
}
