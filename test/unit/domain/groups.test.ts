import { describe, expect, test } from 'vitest';
import { foldGroup } from '../../../src/domain/group-fold.ts';
import { assignGroups, groupIdentifyOf, groupTypesOf } from '../../../src/domain/groups.ts';
import type { Json } from '../../../src/domain/event.ts';
import { anEvent } from './build.ts';

const identify = (properties: Json): ReturnType<typeof anEvent> => anEvent({ event: '$groupidentify', properties });

describe('groups of an event', () => {
  test.each<[string, Json, readonly string[]]>([
    ['G-1: every type of $groups', { $groups: { company: 'c', team: 't' } }, ['company', 'team']],
    ['no $groups', {}, []],
    ['$groups that is a text', { $groups: 'company' }, []],
    ['types that the table cannot hold', { $groups: { 'a\0': 1, ['x'.repeat(401)]: 1, '': 1, '\ud800': 1, ok: 1 } }, ['ok']],
  ])('%s', (_, properties, types) => {
    expect(groupTypesOf(anEvent({ properties }))).toEqual(types);
  });

  test('an event cannot make the pipeline look up more than a bounded number of types', () => {
    const $groups = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`t${i}`, 'k']));
    expect(groupTypesOf(anEvent({ properties: { $groups } })).length).toBe(100);
  });

  test('G-3: $group_type with a key or a set is registered, alone it is not', () => {
    expect(groupTypesOf(identify({ $group_type: 'company', $group_key: 'c' }))).toEqual(['company']);
    expect(groupTypesOf(identify({ $group_type: 'company', $group_set: {} }))).toEqual(['company']);
    expect(groupTypesOf(identify({ $group_type: 'company' }))).toEqual([]);
  });

  test('G-1, G-2, G-4: known types get their index, others nothing, what was sent is overwritten', () => {
    const event = anEvent({ properties: { $groups: { company: { id: 1 }, sixth: 's' }, $group_0: 'sent', $group_1: 'direct' } });
    assignGroups(
      event,
      new Map([
        ['company', 0],
        ['sixth', undefined],
      ]),
    );
    expect(event.properties).toEqual({ $groups: { company: { id: 1 }, sixth: 's' }, $group_0: { id: 1 }, $group_1: 'direct' });
  });

  test.each<[string, Json, object | undefined]>([
    [
      'G-3: type, key and set',
      { $group_type: 'company', $group_key: 5, $group_set: { a: 1 } },
      { type: 'upsert', groupType: 'company', groupKey: '5', set: { a: 1 } },
    ],
    ['GU-3: a key without a text of its own', { $group_type: 'c', $group_key: { toString: null } }, { groupKey: '[object Object]' }],
    ['GU-1: a set that is no object is empty', { $group_type: 'c', $group_key: 'k', $group_set: 'x' }, { set: {} }],
    ['G-3: no key', { $group_type: 'company', $group_set: {} }, undefined],
    ['G-3: no type', { $group_key: 'k' }, undefined],
    [
      'G-5: a key too long',
      { $group_type: 'c', $group_key: 'k'.repeat(401) },
      { type: 'refused', warning: { type: 'group_key_too_long' } },
    ],
  ])('%s', (_, properties, expected) => {
    const found = groupIdentifyOf(identify(properties));
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toMatchObject(expected);
  });

  test('G-3: no other event upserts a group', () => {
    expect(groupIdentifyOf(anEvent({ properties: { $group_type: 'c', $group_key: 'k' } }))).toBeUndefined();
  });
});

describe('foldGroup', () => {
  test.each<[string, Json | undefined, Json, Json, boolean]>([
    ['a new group', undefined, {}, {}, true],
    ['a missing key', { a: 1 }, { b: null }, { a: 1, b: null }, true],
    ['loosely equal', { a: 1, b: true, c: null }, { a: '1', b: 1, c: null }, { a: 1, b: true, c: null }, false],
    ['another value', { a: 1 }, { a: 2 }, { a: 2 }, true],
    ['objects always differ', { a: { x: 1 } }, { a: { x: 1 } }, { a: { x: 1 } }, true],
    ['an object without a text against a text', { a: 'x' }, { a: { toString: null } }, { a: { toString: null } }, true],
    ['an inherited name is missing', {}, { toString: 't' }, { toString: 't' }, true],
  ])('GU-2: %s', (_, existing, set, properties, changed) => {
    expect(foldGroup(existing && Object.freeze(existing), set)).toEqual({ properties, changed });
  });
});
