/**
 * The hash by which Kafka's Java client (and KafkaJS, and librdkafka's `murmur2_random`) choose a record's partition.
 * Every producer of one topic must agree on it, or one key's records land on two partitions and their order is lost.
 */
const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** MurmurHash2, 32 bit, little-endian blocks, as Java's `Utils.murmur2`; signed result. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  let h = SEED ^ length;
  let at = 0;
  for (const end = length - (length & 3); at < end; at += 4) {
    let k = byte(data, at) | (byte(data, at + 1) << 8) | (byte(data, at + 2) << 16) | (byte(data, at + 3) << 24);
    k = Math.imul(k, M);
    k ^= k >>> R;
    h = Math.imul(h, M) ^ Math.imul(k, M);
  }
  const rest = length & 3;
  if (rest > 0) {
    if (rest === 3) h ^= byte(data, at + 2) << 16;
    if (rest >= 2) h ^= byte(data, at + 1) << 8;
    h = Math.imul(h ^ byte(data, at), M);
  }
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
}

/** The partition of a key among `partitions`: the hash with its sign bit cleared, modulo the count (Java: `toPositive`). */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

function byte(data: Uint8Array, at: number): number {
  return data[at] ?? 0;
}
