import { describe, expect, it } from 'vitest';
import { jsonbText } from '../../../src/postgres/json.ts';

describe('jsonbText', () => {
  it('is plain JSON where nothing needs care', () => {
    const value = { a: [1, null, 'two'], ключ: '\u{1F600}', quote: '"\\/' };
    expect(jsonbText(value)).toBe(JSON.stringify(value));
  });

  it('Z-1: replaces an escaped null, and, as PostHog does, its six characters written out', () => {
    expect(JSON.parse(jsonbText({ a: 'x\0y', b: '\\u0000' }))).toEqual({ a: 'x\uFFFDy', b: '\\uFFFD' });
  });

  it('replaces lone surrogates and leaves pairs alone', () => {
    expect(JSON.parse(jsonbText({ a: '\uD83D', b: 'x\uDFFFy', c: '\u{1F600}' }))).toEqual({ a: '\uFFFD', b: 'x\uFFFDy', c: '\u{1F600}' });
  });

  it('leaves a surrogate that is only spelled out, behind any number of backslashes', () => {
    for (const slashes of [1, 2, 3, 4]) {
      const value = { a: `${'\\'.repeat(slashes)}ud83d` };
      expect(JSON.parse(jsonbText(value))).toEqual(value);
    }
  });
});
