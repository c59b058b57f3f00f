import { expect, test } from 'vitest';
import { murmur2, partitionOfKey } from '../../../src/domain/murmur2.ts';

test('murmur2 gives the numbers that the Java client gives', () => {
  const known: readonly (readonly [string, number])[] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [text, hash] of known) expect(murmur2(Buffer.from(text)), text).toBe(hash);
});

test('a negative hash still names a partition that exists', () => {
  for (const text of ['21', 'foobar', '', 'x']) {
    const partition = partitionOfKey(Buffer.from(text), 7);
    expect(partition).toBeGreaterThanOrEqual(0);
    expect(partition).toBeLessThan(7);
  }
});
