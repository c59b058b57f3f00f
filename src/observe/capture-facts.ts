/** What capture states about payloads, batches and the records it sends; facts.ts has the rest. */
export interface CaptureFacts {
  /** Events that were answered 200 and will not be stored. */
  'capture-events-dropped': { readonly cause: string; readonly count: number };
  /** Events that went to another topic than their name says. */
  'capture-events-rerouted': {
    readonly to: 'overflow' | 'historical' | 'dead-letters' | 'custom-topic';
    readonly reason: 'force_limited' | 'rate_limited' | 'timestamp' | 'event_restriction' | 'replay_limited';
    readonly count: number;
  };
  'capture-overflow-keys-counted': { readonly count: number };
  /** A payload was unwrapped. `decodedBytes` is undefined when it was larger than its limit. */
  'capture-payload-decoded': {
    readonly encoding: 'gzip' | 'deflate' | 'br' | 'zstd' | 'lz64' | 'none';
    readonly wireBytes: number;
    readonly decodedBytes: number | undefined;
    readonly limitBytes: number;
  };
  /** The rest of a refused upload was read to its end, or given up. */
  'capture-body-drained': { readonly path: string; readonly outcome: 'drained' | 'given-up'; readonly reason: 'too-large' | 'busy' };
  'capture-batch-ended': {
    readonly verdict: 'taken' | 'over-quota' | 'refused' | 'too-large' | 'unavailable';
    readonly events: number;
    /** Events that are durable now. */
    readonly ingested: number;
    /** The client's clock minus ours; undefined when it did not tell. */
    readonly clientSkewMs: number | undefined;
    /** distinct_ids with blanks around them. */
    readonly paddedIds: number;
  };
  /** Kafka's answer to the records that one request has for a topic. `late`: none in time. */
  'capture-records-sent': {
    readonly topic: string;
    readonly records: number;
    readonly bytes: number;
    readonly durationMs: number;
    readonly outcome: 'acknowledged' | 'too-large' | 'refused' | 'late';
  };
  /** Events left out for the quota of their token. */
  'capture-quota-exceeded': { readonly resource: string; readonly count: number };
  /** Redis has said which tokens are limited. */
  'capture-quotas-read': { readonly resource: string; readonly tokens: number };
  /** Redis has said which sessions send too many recordings. */
  'capture-replay-overflow-read': { readonly sessions: number };
  /** What a token has left of a type of events, after a request has taken of it. `who` is not the token, but what people know it by. */
  'capture-allowance-taken': { readonly resource: string; readonly who: string; readonly remaining: number };
  /** The counter of a token is no whole number, and limits nothing. */
  'capture-allowance-unreadable': { readonly resource: string; readonly who: string };
  /** Events beyond the rate of their token, and what became of them. */
  'capture-rate-exceeded': { readonly over: 'overflow' | 'drop' | 'refuse'; readonly count: number };
  /** Events of keys that send too many over all processes; a dry run changes nothing. */
  'capture-keys-limited': { readonly reason: 'limited' | 'dry_run'; readonly count: number };
  /** A field in the settings of a token cannot be read, and does not hold. */
  'capture-token-settings-malformed': { readonly who: string; readonly field: string; readonly problem: string };
  /** Events of one request that a restriction was applied to (spec/capture.md 7.4). */
  'capture-restrictions-applied': { readonly type: string; readonly pipeline: string; readonly count: number };
  /** What became of the question for the restrictions of a type. */
  'capture-restrictions-fetched': { readonly type: string; readonly result: 'success' | 'not_found' | 'error' | 'parse_error' };
  /** All types of restrictions are known and fresh: how many entries a pipeline has, and of how many tokens. */
  'capture-restrictions-read': { readonly pipeline: string; readonly entries: number; readonly tokens: number; readonly atMs: number };
  /** Restrictions of a type no longer apply: they could not be read for too long. */
  'capture-restrictions-stale': { readonly type: string };
  /** An entry among the restrictions that cannot be read, and is left out. */
  'capture-restriction-malformed': { readonly type: string; readonly index: number; readonly problem: string };
  /** Requests that wait for their turn (CONCURRENCY_LIMIT). */
  'capture-requests-waiting-changed': { readonly count: number };
  'capture-connections-changed': { readonly count: number };
  /** A replay ended without everything acknowledged; it begins again after a pause. What makes a spill that does not shrink is told here. */
  'spill-replay-failed': { readonly topic: string; readonly code: string; readonly message: string };
}
