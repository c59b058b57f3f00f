/**
 * Which records are too many of one key (rules B-3, sharp edge 3): a token bucket for each, and the records' own Kafka timestamps are
 * the only clock. A backlog that is read in a minute is judged by the hour in which it was written.
 *
 * Invariants
 * O1 A key's first record finds a full bucket; each record takes one token; none left is an overflow, and takes nothing.
 * O2 Time that goes backwards refills nothing, and is forgotten: the next refill counts from the newest record of the key.
 * O3 At most `maxBuckets` buckets. A bucket that is full again is as good as none, so those go first; when there are none, those whose
 *    keys gain least by it: an answer can only change from "overflow" to "pass", and for a quiet key.
 */
export interface OverflowLimiter {
  /** Takes a token of `key`, whose record has this Kafka timestamp. False: too many. */
  take(key: string, timestampMs: number): boolean;
  readonly bucketCount: number;
}

export interface OverflowLimits {
  /** Records that a key may have at once. EVENT_OVERFLOW_BUCKET_CAPACITY. */
  readonly capacityCount: number;
  /** Records a second that it may have for ever. EVENT_OVERFLOW_BUCKET_REPLENISH_RATE. */
  readonly replenishPerSecond: number;
  /** @defaultValue 200,000: about 30 MB of keys and numbers */
  readonly maxBuckets?: number;
}

interface Bucket {
  tokens: number;
  /** Kafka timestamp up to which it was refilled. */
  refilledMs: number;
}

/** Share of the buckets that is let go at once, so that the search for them is paid by many records. */
const FREED_RATIO = 0.1;

export function createOverflowLimiter({ capacityCount, replenishPerSecond, maxBuckets = 200_000 }: OverflowLimits): OverflowLimiter {
  const buckets = new Map<string, Bucket>();
  let newestMs = -Infinity;

  const tokensAt = ({ tokens, refilledMs }: Bucket, nowMs: number): number =>
    nowMs <= refilledMs ? tokens : Math.min(capacityCount, tokens + ((nowMs - refilledMs) / 1_000) * replenishPerSecond);

  /** O3 */
  function makeRoom(): void {
    const target = Math.min(maxBuckets - 1, Math.floor(maxBuckets * (1 - FREED_RATIO)));
    // Twice as many missing tokens are forgiven in each pass: capacity is reached after a handful of them.
    for (let missing = 0; buckets.size > target; missing = Math.max(1, missing * 2)) {
      for (const [key, bucket] of buckets) {
        if (capacityCount - tokensAt(bucket, newestMs) <= missing) buckets.delete(key);
        if (missing > 0 && buckets.size <= target) return;
      }
    }
  }

  return {
    take(key, timestampMs) {
      newestMs = Math.max(newestMs, timestampMs);
      let bucket = buckets.get(key);
      if (bucket === undefined) {
        if (buckets.size >= maxBuckets) makeRoom();
        buckets.set(key, (bucket = { tokens: capacityCount, refilledMs: timestampMs })); // O1
      } else if (timestampMs > bucket.refilledMs) {
        bucket.tokens = tokensAt(bucket, timestampMs);
        bucket.refilledMs = timestampMs; // O2
      }
      if (bucket.tokens < 1) return false;
      bucket.tokens -= 1;
      return true;
    },
    get bucketCount() {
      return buckets.size;
    },
  };
}
