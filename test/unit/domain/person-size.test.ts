import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/domain/event.ts';
import { jsonbBytes } from '../../../src/domain/jsonb-size.ts';
import { mergedState } from '../../../src/domain/merge.ts';
import { foldPerson, newPerson } from '../../../src/domain/person-fold.ts';
import { isTooLarge, MAX_PERSON_BYTES, trimmed, TRIMMED_PERSON_BYTES } from '../../../src/domain/person-size.ts';
import { teamId } from '../../../src/domain/ids.ts';
import { aPerson, anUpdate, NOW_MS, UUID } from './build.ts';

/** One text property that makes the person exactly so large: 4 length, 4 count, 8 for the pair, 1 for its key. */
const ofBytes = (bytes: number, key = 'k'): Json => ({ [key]: 'x'.repeat(bytes - 16 - key.length) });

describe('Z-3: how large a person is', () => {
  test.each<[string, Json, number]>([
    ['nothing', {}, 8],
    ['a text', { k: 'abc' }, 8 + 8 + 1 + 3],
    ['a number of four digits, padded', { k: 1234 }, 8 + 8 + 1 + 3 + 8],
    ['a number of five digits', { k: 12_345 }, 8 + 8 + 1 + 3 + 10],
    ['a list of lists', { k: [[], [true, null]] }, 8 + 8 + 1 + 3 + 4 + 8 + 4 + 4 + 8],
    ['a null byte, stored as U+FFFD', { k: '\0' }, 8 + 8 + 1 + 3],
    ['half a surrogate pair', { k: '\ud83d' }, 8 + 8 + 1 + 3],
  ])('%s', (_, properties, bytes) => {
    expect(jsonbBytes(properties)).toBe(bytes);
  });

  test('at the limit it fits, a byte above it does not', () => {
    expect([jsonbBytes(ofBytes(MAX_PERSON_BYTES)), isTooLarge(ofBytes(MAX_PERSON_BYTES))]).toEqual([MAX_PERSON_BYTES, false]);
    expect(isTooLarge(ofBytes(MAX_PERSON_BYTES + 1))).toBe(true);
  });

  test('what is too large is never taken for small by its text: no text grows more than sixfold', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<unknown>), (properties) => {
        expect(jsonbBytes(properties)).toBeLessThanOrEqual(JSON.stringify(properties).length * 6 + 8);
      }),
      { seed: 1, numRuns: 500 },
    );
    const digits = { k: Array.from({ length: 60_000 }, () => 1) }; // 120,007 characters, 720,000 bytes
    expect(isTooLarge(digits)).toBe(true);
  });
});

describe('Z-3: a person that must be made smaller', () => {
  const large = (count: number, bytes: number): Json =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`p${n}`, 'x'.repeat(bytes + n)]));

  test('loses its largest properties until it has 512 KiB, and no more of them', () => {
    const properties = { ...large(70, 10_000), small: 1 };
    const kept = trimmed(properties);
    expect(jsonbBytes(kept)).toBeLessThanOrEqual(TRIMMED_PERSON_BYTES);
    expect(jsonbBytes(kept)).toBeGreaterThan(TRIMMED_PERSON_BYTES - 10_200);
    expect(Object.keys(kept)).toEqual(Object.keys(properties).filter((key) => key in kept));
    expect(['small' in kept, 'p0' in kept, 'p69' in kept]).toEqual([true, true, false]);
  });

  test('keeps what it is known by, as long as that fits', () => {
    const known = {
      $creator_event_uuid: UUID,
      email: 'e'.repeat(300_000),
      $initial_referrer: 'r'.repeat(200_000),
      utm_source: 's',
      name: 'n',
    };
    expect(trimmed({ ...known, ...large(2, 150_000) })).toEqual(known);
    expect(Object.keys(trimmed({ ...known, name: 'n'.repeat(400_000), other: 1 }))).toEqual([
      '$creator_event_uuid',
      'email',
      '$initial_referrer',
      'utm_source',
    ]);
  });

  test('fits, whatever it holds', () => {
    const value = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>;
    fc.assert(
      fc.property(fc.dictionary(fc.string(), value, { minKeys: 3 }), fc.nat(40), (some, size) => {
        const properties = Object.fromEntries(Object.entries(some).map(([key, one]) => [key, [one, 'x'.repeat(size * 10_000)]]));
        const kept = trimmed(properties);
        expect(isTooLarge(kept)).toBe(false);
        if (jsonbBytes(properties) <= TRIMMED_PERSON_BYTES - 100) expect(kept).toEqual(properties);
      }),
      { seed: 1, numRuns: 40 },
    );
  });
});

describe('Z-3: updates of a person', () => {
  const person = aPerson({ properties: ofBytes(MAX_PERSON_BYTES - 100) });

  test('one that makes it too large is refused whole: nothing of it is stored', () => {
    const update = anUpdate({ set: { a: 1, note: 'x'.repeat(100) }, unset: ['k'] });
    expect(foldPerson(person, { ...update, unset: undefined })).toEqual({ person, changed: false, limited: 'refused' });
    expect(foldPerson(person, update)).toMatchObject({ changed: true, limited: undefined }); // $unset makes the room
  });

  test('one that is refused identifies all the same', () => {
    const { person: after, changed, limited } = foldPerson(person, anUpdate({ set: { note: 'x'.repeat(100) }, isIdentified: true }));
    expect([changed, limited, after.isIdentified]).toEqual([true, 'refused', true]);
    expect(after.properties).toBe(person.properties);
  });

  test('a person that is too large already gets it, and is trimmed', () => {
    const before = aPerson({ properties: { ...ofBytes(MAX_PERSON_BYTES), b: 'b' } });
    expect(foldPerson(before, anUpdate({ set: { a: 1 } }))).toEqual({
      person: { ...before, properties: { b: 'b', a: 1 } },
      changed: true,
      limited: 'trimmed',
    });
    expect(foldPerson(before, anUpdate({ set: { b: 'b' } }))).toMatchObject({ changed: false, limited: undefined });
  });

  test('a person that is to be made is made, trimmed, and its columns name what it has', () => {
    const update = anUpdate({ set: ofBytes(MAX_PERSON_BYTES), setOnce: { a: 1 } });
    const born = newPerson({ teamId: teamId(1), distinctId: 'd', createdAtMs: NOW_MS, eventUuid: UUID, update, isIdentified: false });
    expect(born.person.properties).toEqual({ a: 1, $creator_event_uuid: UUID });
    expect([born.limited, born.propertiesLastOperation, Object.keys(born.propertiesLastUpdatedAt)]).toEqual([
      'trimmed',
      { a: 'set_once' },
      ['a'],
    ]);
  });

  test('two persons that are too much together become one all the same', () => {
    const other = aPerson({ rowId: '8', properties: { ...ofBytes(200_000, 'o'), b: 'b' } });
    const { folded } = mergedState(person, other, anUpdate({ set: { a: 1 } }));
    expect([folded.limited, folded.person.properties]).toEqual(['trimmed', { ...ofBytes(200_000, 'o'), b: 'b', a: 1 }]);
  });
});
