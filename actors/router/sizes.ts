import type { KafkaRecord } from '../../src/kafka/port.ts';

/** 16 MiB: no broker takes a larger record. */
const MAX_EXPONENT = 24;

/** Bytes of the values, and how many values have at most `2 ** n` of them. */
export function sizesOf(records: readonly KafkaRecord[]): { readonly bytes: number; readonly counts: readonly number[] } {
  let bytes = 0;
  const counts = Array<number>(MAX_EXPONENT + 1).fill(0);
  for (const { value } of records) {
    const size = value?.length ?? 0;
    bytes += size;
    const exponent = Math.min(MAX_EXPONENT, size <= 1 ? 0 : 32 - Math.clz32(size - 1));
    counts[exponent] = (counts[exponent] ?? 0) + 1;
  }
  return { bytes, counts };
}
