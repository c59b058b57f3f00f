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
  /** The fields of a hash; none when there is no such key. */
  fields(key: string): Promise<ReadonlyMap<string, string>>;
  /** Makes the hash anew: fields that are not named are gone. At least one is named. */
  setFields(key: string, fields: Readonly<Record<string, string>>, ttlMs: number): Promise<void>;
  /**
   * Takes from counters that say what is left, as much as is there: a counter never falls below zero, whoever asks at the same time, and its time
   * to live stays. What has no counter has no limit. One round trip.
   */
  takeAllowances(wanted: readonly AllowanceWanted[]): Promise<readonly Allowance[]>;
  /** Gives back what was taken, unless the counter has ended since, or was made anew with another end. One round trip. */
  returnAllowances(unused: readonly AllowanceUnused[]): Promise<void>;
  /**
   * Asks rates for events that are to pass now, by the clock of the store. Each grants as many as conform; `wholly`, each grants all or none, and
   * where one grants none nothing is taken from any. One round trip.
   */
  takeRates(wanted: readonly RateWanted[], wholly: boolean): Promise<readonly RateTaken[]>;
  close(): Promise<void>;
}

export interface AllowanceWanted {
  readonly key: string;
  /** At least 1. */
  readonly count: number;
}
export interface Allowance {
  readonly granted: number;
  /** What is left now; undefined when there is no limit. */
  readonly remaining: number | undefined;
  /** When the counter ends and what it limits is free again, epoch ms; undefined when it does not end. */
  readonly endsMs: number | undefined;
  /** Something is there that is no whole number: it limits nothing. */
  readonly isUnreadable: boolean;
}
export interface AllowanceUnused extends AllowanceWanted {
  /** As it was when they were taken. */
  readonly endsMs: number | undefined;
}

export interface RateWanted {
  readonly key: string;
  /** At least 1. */
  readonly count: number;
  /** What one event costs of the time: a whole number of microseconds, at least 1. */
  readonly intervalUs: number;
  /** Events that may pass at once after a rest, at least 1. */
  readonly burstCount: number;
}
export interface RateTaken {
  readonly granted: number;
  /** Until what was not granted would be; 0 when all was. */
  readonly waitMs: number;
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
