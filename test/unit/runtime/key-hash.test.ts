import { expect, test } from 'vitest';
import { keyHash } from '../../../src/runtime/key-hash.ts';

test('a hash is eight characters that nact accepts, whatever the key', () => {
  for (const key of ['', 'a', 'user@example.com', 'ключ', '𝒳', '\u0000', 'x'.repeat(100_000)])
    expect(keyHash(key)).toMatch(/^[0-9A-Za-z_-]{8}$/);
});

test('keys that differ little get names that differ: no collision among 200,000 distinct_ids of one team', () => {
  const names = new Set(Array.from({ length: 200_000 }, (_, i) => keyHash(`1:${String(i)}`)));
  expect(names.size).toBe(200_000);
});
