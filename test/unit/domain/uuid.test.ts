import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { sha1 } from '../../../src/domain/sha1.ts';
import { isUuid, personUuid, uuidFromBytes, uuidV5, uuidV7 } from '../../../src/domain/uuid.ts';
import { seededRandom } from './build.ts';

describe('uuid', () => {
  test.each([
    [1, 'test', '246f7a43-5507-564f-b687-793ee3c2dd79'],
    [2, 'test', '00ce873a-549c-548e-bbec-cc804a385dd8'],
    [1, 'test2', '45c17302-ee44-5596-916a-0eba21f4b638'],
  ])('P-1: team %i, id %s -> %s', (team, id, uuid) => {
    expect(personUuid(team, id)).toBe(uuid);
  });

  test('sha1 agrees with node:crypto on every length up to 300 and one beyond the scratch buffer', () => {
    for (const length of [...Array(300).keys(), 10_000]) {
      const input = Uint8Array.from({ length }, (_, i) => (i * 31 + length) & 255);
      expect(Buffer.from(sha1(input, length)).toString('hex')).toBe(createHash('sha1').update(input).digest('hex'));
    }
  });

  test.each(['é', '日本語', '😀'.repeat(400), 'x'.repeat(5_000), '', '\ud800'])(
    'version 5 hashes the UTF-8 bytes of the name (%#)',
    (name) => {
      const namespace = Uint8Array.from({ length: 16 }, (_, i) => i);
      const hash = createHash('sha1').update(namespace).update(Buffer.from(name)).digest();
      hash[6] = ((hash[6] ?? 0) & 15) | 0x50;
      hash[8] = ((hash[8] ?? 0) & 63) | 0x80;
      expect(uuidV5(namespace, name)).toBe(uuidFromBytes(hash));
    },
  );

  test('bytes become text', () => {
    const text = '0123abcd-ef45-6789-abcd-ef0123456789';
    expect(uuidFromBytes(Buffer.from(`${text.replaceAll('-', '')}0000`, 'hex'))).toBe(text);
  });

  test.each([
    ['0123abcd-ef45-6789-abcd-ef0123456789', true],
    ['0123ABCD-EF45-0000-0000-EF0123456789', true],
    ['0123abcd-ef45-6789-abcd-ef012345678', false],
    ['0123abcd-ef45-6789-abcd-ef0123456789 ', false],
    ['g123abcd-ef45-6789-abcd-ef0123456789', false],
    ['0123abcdef456789abcdef0123456789', false],
    [{ toString: null }, false],
    [undefined, false],
  ])('T-4: %j is a uuid: %j', (value, expected) => {
    expect(isUuid(value)).toBe(expected);
  });

  test('version 7 carries the milliseconds, sorts by them, and floors times before 1970', () => {
    const random = Uint8Array.from({ length: 10 }, () => 0xff);
    expect(uuidV7({ nowMs: 0x0123456789ab, random })).toBe('01234567-89ab-7fff-bfff-ffffffffffff');
    expect(uuidV7({ nowMs: -5, random })).toBe('00000000-0000-7fff-bfff-ffffffffffff');
    const next = seededRandom(3);
    const uuids = Array.from({ length: 50 }, (_, i) =>
      uuidV7({ nowMs: 1_700_000_000_000 + i, random: Uint8Array.from({ length: 10 }, () => next() * 256) }),
    );
    expect(uuids.toSorted()).toEqual(uuids);
    expect(uuids.every(isUuid)).toBe(true);
  });
});
