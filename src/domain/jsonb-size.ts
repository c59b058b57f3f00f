import type { Json } from './event.ts';

/**
 * How many bytes PostgreSQL's `jsonb` takes for a JSON object: what `pg_column_size` says of it before compression, which is what a
 * CHECK constraint on the column measures.
 *
 *     4  length of the datum
 *     container = [pad to 4]  4 count  +  4 per element (2 × 4 per pair of an object)  +  keys  +  values
 *     text: its bytes · null, true, false: none · number: [pad to 4] a `numeric` · array, object: a container
 *
 * An object's pairs stand by length of their key, then by its bytes; the padding depends on that order.
 */
export function jsonbBytes(object: Readonly<Json>): number {
  return 4 + endOf(object, 0);
}

/** Offset at which a value ends that begins at `at`, its padding included. */
function endOf(value: unknown, at: number): number {
  if (typeof value === 'string') return at + textBytes(value);
  if (typeof value === 'number') return Number.isFinite(value) ? aligned(at) + numericBytes(value) : at; // JSON has no NaN: null
  if (typeof value !== 'object' || value === null) return at;
  if (Array.isArray(value)) return value.reduce<number>((end, element) => endOf(element, end), aligned(at) + 4 + 4 * value.length);
  const pairs = Object.entries(value)
    .filter(([, one]) => one !== undefined)
    .map(([key, one]: [string, unknown]) => ({ key: Buffer.from(withoutNul(key)), value: one }))
    .sort((a, b) => a.key.length - b.key.length || Buffer.compare(a.key, b.key));
  const start = aligned(at) + 4 + 8 * pairs.length + pairs.reduce((sum, { key }) => sum + key.length, 0);
  return pairs.reduce((end, pair) => endOf(pair.value, end), start);
}

/** UTF-8, as it is stored: a null byte becomes U+FFFD (Z-1), and so does half a surrogate pair. */
export function textBytes(text: string): number {
  return Buffer.byteLength(withoutNul(text));
}

const withoutNul = (text: string): string => (text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text);
const aligned = (at: number): number => (at + 3) & ~3;

/** A `numeric`: its length, a header, and two bytes for each four decimal digits between its first and its last that is not 0. */
function numericBytes(value: number): number {
  const [, whole = '', fraction = '', exponent = '0'] = /^-?(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(value)) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  if (digits === '') return 6;
  const last = Number(exponent) - fraction.length; // the decimal place of the last digit written
  const weight = Math.floor((last + digits.length - 1) / 4);
  const groups = weight - Math.floor((last + digits.length - digits.replace(/0+$/, '').length) / 4) + 1;
  const isShort = last >= -63 && weight >= -64 && weight <= 63;
  return (isShort ? 6 : 8) + 2 * groups;
}
