import { describe, expect, test } from 'vitest';
import { fits, hourOf, noDefinitions, propertyTypeOf, type Definitions, type PropertyType } from '../../../src/domain/definitions.ts';
import type { Json } from '../../../src/domain/event.ts';
import { KnownDefinitions } from '../../../src/domain/known-definitions.ts';

const NOW_MS = Date.UTC(2026, 0, 1, 12, 34);
const HOUR_MS = Date.UTC(2026, 0, 1, 12);

function collector(capacityCount = 10_000) {
  const known = new KnownDefinitions(capacityCount);
  return {
    known,
    see: (event: string, properties: Json, parts: { readonly teamId?: number; readonly nowMs?: number } = {}): Definitions => {
      const into = noDefinitions();
      const groupTypeIndex = (type: string): number | undefined => ({ company: 0, project: 3 })[type];
      known.collect({ teamId: parts.teamId ?? 1, event, properties, groupTypeIndex }, parts.nowMs ?? NOW_MS, into);
      return into;
    },
  };
}
/** `parent:name:type` of each, groups with their index. */
const propertiesOf = ({ properties }: Definitions): string[] =>
  properties.map(({ parent, groupTypeIndex, name, propertyType }) => `${parent}${groupTypeIndex ?? ''}:${name}:${propertyType ?? '-'}`);

describe('propertyTypeOf', () => {
  test.each<[string, unknown, PropertyType | undefined]>([
    ['utm_source', 5, 'String'],
    ['utm_source', null, 'String'],
    ['$feature/a', true, 'String'],
    ['$survey_response_2', 7, 'String'],
    ['$feature_flag_response', false, 'String'],
    ['a', 'true', 'Boolean'],
    ['a', ' FALSE ', 'Boolean'],
    ['a', 'True', 'String'],
    ['a', '2', 'String'],
    ['a', '2024-01-01', 'String'],
    ['a', 2, 'Numeric'],
    ['sent_time', 2, 'DateTime'],
    ['TIMESTAMP', 2, 'DateTime'],
    ['Time', 2, 'Numeric'],
    ['sent_time', 'x', 'String'],
    ['a', true, 'Boolean'],
    ['a', null, undefined],
    ['a', [1], undefined],
    ['a', { b: 1 }, undefined],
  ])('D-5: %s = %j is %s', (key, value, expected) => {
    expect(propertyTypeOf(key, value)).toBe(expected);
  });
});

describe('KnownDefinitions', () => {
  test('D-2, D-4: an event names itself in this hour, its properties, and the properties of its person', () => {
    const { see } = collector();
    const seen = see('click', {
      a: 1,
      b: 'x',
      c: undefined,
      $set: { p: true },
      $set_once: { q: null },
      $groups: { company: 'x' },
      $group_0: 'x',
    });
    expect(seen.events).toEqual([{ teamId: 1, name: 'click', hourMs: HOUR_MS }]);
    expect(propertiesOf(seen)).toEqual(['1:a:Numeric', '1:b:String', '2:p:Boolean', '2:q:-']);
    expect(seen.eventProperties).toEqual([
      { teamId: 1, event: 'click', property: 'a' },
      { teamId: 1, event: 'click', property: 'b' },
    ]);
  });

  test('D-4: of a $groupidentify only $group_set counts, under the index of its type', () => {
    const { see } = collector();
    const seen = see('$groupidentify', { $group_type: 'project', $group_key: 'k', $group_set: { seats: 5 }, other: 1, $set: { p: 1 } });
    expect([seen.events.length, propertiesOf(seen), seen.eventProperties]).toEqual([1, ['33:seats:Numeric'], []]);
    expect(propertiesOf(see('$groupidentify', { $group_type: 'company', $group_set: { seats: 5 } }))).toEqual(['30:seats:Numeric']);
  });

  test.each<[string, Json]>([
    ['a type that is no text', { $group_type: 5, $group_set: { a: 1 } }],
    ['a sixth type', { $group_type: 'sixth', $group_set: { a: 1 } }],
    ['no $group_set', { $group_type: 'company' }],
  ])('D-4: a $groupidentify with %s names no property', (_, properties) => {
    expect(propertiesOf(collector().see('$groupidentify', properties))).toEqual([]);
  });

  test.each<[string, string, Json]>([
    ['$$plugin_metrics', '$$plugin_metrics', { a: 1 }],
    ['an event name of 201 bytes', 'é'.repeat(100) + 'x', { a: 1 }],
    ['10,001 updates from one event', 'click', Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`k${at}`, 1]))],
  ])('D-1: %s is skipped as a whole', (_, event, properties) => {
    expect(collector().see(event, properties)).toEqual(noDefinitions());
  });

  test('D-1: a property name of more than 200 bytes is skipped, its neighbours are kept', () => {
    expect(propertiesOf(collector().see('click', { ['é'.repeat(101)]: 1, ['é'.repeat(100)]: 1 }))).toEqual([
      `1:${'é'.repeat(100)}:Numeric`,
    ]);
    expect([fits('x'.repeat(200)), fits('x'.repeat(201))]).toEqual([true, false]);
  });

  test('D-2: last_seen_at is floored to the hour, and written once an hour', () => {
    const { see } = collector();
    see('click', { a: 1 });
    expect(see('click', { a: 1 }, { nowMs: NOW_MS + 60_000 })).toEqual(noDefinitions());
    const later = see('click', { a: 1 }, { nowMs: NOW_MS + 3_600_000 });
    expect(later).toEqual({ ...noDefinitions(), events: [{ teamId: 1, name: 'click', hourMs: HOUR_MS + 3_600_000 }] });
    expect(hourOf(NOW_MS)).toBe(HOUR_MS);
  });

  test('K3: what is known is not handed out again; another team, event or property is', () => {
    const { see } = collector();
    see('click', { a: 1, $set: { p: 1 } });
    expect(see('click', { a: 2, $set: { p: 'other type' } })).toEqual(noDefinitions());
    expect(propertiesOf(see('click', { a: 1 }, { teamId: 2 }))).toEqual(['1:a:Numeric']);
    const other = see('view', { a: 1 });
    expect([other.eventProperties.length, propertiesOf(other)]).toEqual([1, []]);
    expect(propertiesOf(see('click', { a: 1, b: 1 }))).toEqual(['1:b:Numeric']);
  });

  test('D-3: a property whose first value said nothing learns its type from a later one, once', () => {
    const { see } = collector();
    expect(propertiesOf(see('click', { a: null, $set: { p: [] } }))).toEqual(['1:a:-', '2:p:-']);
    expect(see('click', { a: null, $set: { p: null } })).toEqual(noDefinitions());
    const typed = see('click', { a: 'x', $set: { p: 1 } });
    expect([propertiesOf(typed), typed.eventProperties]).toEqual([['1:a:String', '2:p:Numeric'], []]);
    expect(see('click', { a: 5, $set: { p: 'x' } })).toEqual(noDefinitions());
  });

  test('K1: it stays bounded, and what is asked for stays known', () => {
    const { see } = collector(1_000);
    see('often', { a: 1 });
    let again = 0;
    for (let at = 0; at < 20_000; at++) {
      see(`event-${at}`, { [`property-${at}`]: 1 });
      again += see('often', { a: 1 }).eventProperties.length;
    }
    expect(again).toBe(0);
    expect(see('event-5', { 'property-5': 1 }).eventProperties).toHaveLength(1);
    expect(see('event-19999', { 'property-19999': 1 })).toEqual(noDefinitions());
  });

  test('K1: one event with ever new names does not take all memory', () => {
    const { known, see } = collector(1_000);
    for (let at = 0; at < 20_000; at++) see('click', { [`p${at}`]: 1 });
    expect(known.size).toBeLessThan(2_500);
  });

  test('K2, D-7: everything is handed out again after 24 hours', () => {
    const { see } = collector();
    see('click', { a: 1 });
    expect(see('click', { a: 1 }, { nowMs: NOW_MS + 24 * 3_600_000 }).eventProperties).toHaveLength(1);
  });

  test('names that objects have by themselves are names like others', () => {
    const properties = JSON.parse('{"__proto__":1,"constructor":"x","toString":true}') as Json;
    expect(propertiesOf(collector().see('constructor', properties))).toEqual([
      '1:__proto__:Numeric',
      '1:constructor:String',
      '1:toString:Boolean',
    ]);
  });
});
