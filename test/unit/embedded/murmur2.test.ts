import { expect, test } from 'vitest';
import { murmur2, partitionOfKey } from '../../../src/domain/murmur2.ts';
import { MURMUR2_OF_JAVA } from '../../kit/murmur2-of-java.ts';

test('murmur2 gives the numbers that the Java client gives', () => {
  for (const [text, hash] of MURMUR2_OF_JAVA) expect(murmur2(Buffer.from(text)), text).toBe(hash);
});

test('a negative hash still names a partition that exists', () => {
  for (const text of ['21', 'foobar', '', 'x']) {
    const partition = partitionOfKey(Buffer.from(text), 7);
    expect(partition).toBeGreaterThanOrEqual(0);
    expect(partition).toBeLessThan(7);
  }
});
