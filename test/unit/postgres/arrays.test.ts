import { describe, expect, it } from 'vitest';
import { boolArray, int4Array, int8Array, textArray, uuidArray } from '../../../src/postgres/arrays.ts';

describe('binary array parameters', () => {
  it('an empty array has no dimension', () => {
    expect(textArray([]).toString('hex')).toBe('000000000000000000000019');
    expect(int4Array([]).length).toBe(12);
  });

  it('a text array says its element type, its length, and each text in UTF-8 with its byte length', () => {
    const array = textArray(['é', '']);
    expect(array.readInt32BE(8)).toBe(25);
    expect(array.readInt32BE(12)).toBe(2);
    expect(array.subarray(20).toString('hex')).toBe('00000002c3a900000000');
  });

  it('every byte of the buffer belongs to the array, whatever the texts hold', () => {
    for (const text of ['', 'a', 'ünïcödé', '\u{1F600}', 'lone\uD800', 'nul\0', 'x'.repeat(10_000)]) {
      const array = textArray([text, text]);
      const bytes = array.readInt32BE(20);
      expect(array.length).toBe(20 + 2 * (4 + bytes));
    }
  });

  it('Z-1: a null byte and a lone surrogate become U+FFFD', () => {
    expect(textArray(['\0']).subarray(24).toString()).toBe('\uFFFD');
    expect(textArray(['\uD800']).subarray(24).toString()).toBe('\uFFFD');
  });

  it('bigints keep all of their digits, given as text', () => {
    expect(int8Array(['9007199254740993']).readBigInt64BE(24)).toBe(9_007_199_254_740_993n);
  });

  it('booleans are one byte, uuids sixteen', () => {
    expect(boolArray([true, false]).subarray(20).toString('hex')).toBe('00000001010000000100');
    expect(uuidArray(['932979b4-65c3-4424-8467-0b66ec27bc22']).subarray(20).toString('hex')).toBe(
      '00000010932979b465c3442484670b66ec27bc22',
    );
  });

  it('what is no uuid or no integer is refused before it is sent', () => {
    expect(() => uuidArray(['not-a-uuid'])).toThrow(RangeError);
    expect(() => int4Array([2 ** 31])).toThrow(RangeError);
  });
});
