import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/domain/event.ts';
import { personId } from '../../../src/domain/ids.ts';
import { decideMerge, isIllegalDistinctId, mappingsOfBoth, mergedState, mergeIdsOf } from '../../../src/domain/merge.ts';
import { aPerson, anEvent, anUpdate, UUID } from './build.ts';

const into = aPerson({ rowId: '1', id: personId('00000000-0000-5000-8000-000000000001') });
const other = aPerson({ rowId: '2', id: personId('00000000-0000-5000-8000-000000000002') });
const identified = { ...other, isIdentified: true };

describe('which ids', () => {
  test.each<[string, string, Json, string | undefined]>([
    ['3.5: $create_alias', '$create_alias', { alias: 'x' }, 'x'],
    ['3.5: $merge_dangerously', '$merge_dangerously', { alias: 'x' }, 'x'],
    ['3.5: $identify', '$identify', { $anon_distinct_id: 'x' }, 'x'],
    ['3.5: an alias that is a number', '$create_alias', { alias: 5 }, '5'],
    ['3.5: no alias', '$create_alias', {}, undefined],
    ['3.5: a falsy alias', '$create_alias', { alias: 0 }, undefined],
    ['3.5: no anon id', '$identify', {}, undefined],
    ['3.5: an anon id that is null', '$identify', { $anon_distinct_id: null }, 'null'],
    ['3.5: the id that stopped a partition (#101518)', '$identify', { $anon_distinct_id: { toString: null } }, '[object Object]'],
    ['N-1: U+0000 in an alias', '$create_alias', { alias: 'a\0' }, 'a\uFFFD'],
    ['3.5: another event', 'click', { alias: 'x', $anon_distinct_id: 'x' }, undefined],
  ])('%s', (_, event, properties, id) => {
    expect(mergeIdsOf(anEvent({ event, properties }))?.other).toBe(id);
  });

  test.each([
    '',
    '  ',
    'Anonymous',
    'GUEST',
    'uNdEfInEd',
    "'email'",
    '"0"',
    'NaN',
    'None',
    'none',
    'null',
    "'null'",
    '[object Object]',
    'x'.repeat(401),
  ])('3.6: %j is illegal', (id) => expect(isIllegalDistinctId(id)).toBe(true));

  test.each([' null', 'NULL', 'nan', '00', 'anonymous1', '\'email"', 'x'.repeat(400)])('3.6: %j is legal', (id) =>
    expect(isIllegalDistinctId(id)).toBe(false),
  );
});

describe('decideMerge', () => {
  const ask = { eventName: '$identify', eventUuid: UUID, into: 'i', other: 'o', intoPerson: undefined, otherPerson: undefined };
  test.each<[string, Partial<Parameters<typeof decideMerge>[0]>, object]>([
    ['other is into', { other: 'i' }, { type: 'none' }],
    ['both are one illegal id', { into: 'null', other: 'null' }, { type: 'none' }],
    [
      'into is illegal, asked first',
      { into: 'null', other: 'None', intoPerson: into, otherPerson: other },
      {
        type: 'illegal',
        warning: {
          type: 'cannot_merge_with_illegal_distinct_id',
          alwaysSend: true,
          details: { illegalDistinctId: 'null', otherDistinctId: 'None', eventUuid: UUID },
        },
      },
    ],
    [
      'other is illegal: roles swapped',
      { other: 'guest' },
      { type: 'illegal', warning: { details: { illegalDistinctId: 'guest', otherDistinctId: 'i' } } },
    ],
    [
      'the same person already',
      { intoPerson: identified, otherPerson: { ...identified, version: 9 } },
      { type: 'already-same', person: identified },
    ],
    ['only into exists', { intoPerson: into }, { type: 'add-distinct-id', to: into, distinctId: 'o' }],
    ['only other exists', { otherPerson: identified }, { type: 'add-distinct-id', to: identified, distinctId: 'i' }],
    ['nobody exists', {}, { type: 'create-with-both', into: 'i', other: 'o' }],
    [
      'other is identified',
      { intoPerson: into, otherPerson: identified },
      {
        type: 'refused',
        into,
        warning: {
          type: 'cannot_merge_already_identified',
          alwaysSend: true,
          details: { sourcePersonDistinctId: 'o', targetPersonDistinctId: 'i', eventUuid: UUID },
        },
      },
    ],
    ['$create_alias is refused as well', { eventName: '$create_alias', intoPerson: into, otherPerson: identified }, { type: 'refused' }],
    [
      '$merge_dangerously is not',
      { eventName: '$merge_dangerously', intoPerson: into, otherPerson: identified },
      { type: 'merge', into, from: identified },
    ],
    ['both exist', { intoPerson: into, otherPerson: other }, { type: 'merge', into, from: other }],
    ['into identified never blocks', { intoPerson: { ...into, isIdentified: true }, otherPerson: other }, { type: 'merge' }],
    [
      'one uuid in two rows is two persons (sharp edge 17)',
      { intoPerson: into, otherPerson: { ...other, id: into.id } },
      { type: 'merge' },
    ],
  ])('3.5: %s', (_, merge, decision) => {
    expect(decideMerge({ ...ask, ...merge })).toMatchObject(decision);
  });
});

describe('what a merge writes', () => {
  test.each([
    ['both new', false, false, 'i', 0],
    ['other used before', false, true, 'o', 0],
    ['into used before', true, false, 'i', 0],
    ['both used before', true, true, 'i', 1],
  ])('M-2: %s', (_, intoExisted, otherExisted, uuidFrom, version) => {
    expect(mappingsOfBoth({ into: 'i', other: 'o', intoExisted, otherExisted })).toEqual({
      uuidFrom,
      distinctIds: [
        { distinctId: 'i', version: 0 },
        { distinctId: 'o', version },
      ],
    });
  });

  test('M-3 (a): earlier birth, own properties over the other ones, then the event, identified, version above both', () => {
    const a = aPerson({ ...into, createdAtMs: 500, properties: { x: 'into', only: 1 }, version: 2 });
    const b = aPerson({ ...other, createdAtMs: 100, properties: { x: 'other', y: 'other', z: 1 }, version: 8 });
    const before = JSON.stringify([a, b]);
    expect(
      mergedState(a, b, anUpdate({ eventName: '$identify', set: { n: 1 }, setOnce: { y: 2, m: 2 }, unset: ['z'] })).folded.person,
    ).toEqual({
      ...a,
      createdAtMs: 100,
      properties: { x: 'into', only: 1, y: 'other', n: 1, m: 2 },
      isIdentified: true,
      version: 9,
    });
    expect(JSON.stringify([a, b])).toBe(before);
  });
});
