/**
 * Shared fast state: what Redis is in production and a local store is in embedded mode. Narrow on purpose; it grows
 * with what needs it. Keys and values are strings. All methods reject with StateStoreError when the store is away.
 */
export interface StateStore {
  ping(): Promise<void>;
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string, ttlMs: number): Promise<void>;
  /** For each key: true when it was absent and is now set for its ttl (debounce, locks). One round trip. */
  setIfAbsent(entries: readonly { readonly key: string; readonly ttlMs: number }[]): Promise<readonly boolean[]>;
  delete(keys: readonly string[]): Promise<void>;
  /**
   * Adds members with scores to sorted sets, keeping the greater score; refreshes the ttl of each set. Members with a score
   * below `keepFrom` leave their set: what is refreshed for ever would grow for ever. One round trip.
   */
  rankAdd(entries: readonly RankEntry[]): Promise<void>;
  /** Members with score at or above `from`, ascending by score. */
  rankFrom(key: string, from: number): Promise<readonly { readonly member: string; readonly score: number }[]>;
  /** Adds `by` to a counter with a ttl set on first use; resolves to the new value. */
  increment(key: string, by: number, ttlMs: number): Promise<number>;
  close(): Promise<void>;
}
/** One member of a sorted set: its score, and how long the set lives on from now. */
export interface RankEntry {
  readonly key: string;
  readonly member: string;
  readonly score: number;
  readonly ttlMs: number;
  readonly keepFrom?: number;
}

/** The store did not answer, in time or at all. Whoever asked goes on without. */
export class StateStoreError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StateStoreError';
  }
}
