import { describe, expect, test } from 'vitest';
import type { Json, PluginEvent } from '../../../src/domain/event.ts';
import { normalise, setsOutsidePersonEvents } from '../../../src/domain/normalise.ts';
import { decidePersonMode, isForceUpgrade, storedPersonMode, stripPersonUpdates } from '../../../src/domain/person-mode.ts';
import { INITIAL_NAME, isVolatile, propertyKeyLabel } from '../../../src/domain/person-properties.ts';
import { anEvent, stored } from './build.ts';

function normalised(fields: Partial<PluginEvent>): PluginEvent {
  const event = anEvent(fields);
  normalise(event);
  return event;
}

describe('normalise', () => {
  test.each<[string, Partial<PluginEvent>, Json]>([
    [
      'N-3, A-1, A-2: top-level $set wins, explicit wins over automatic',
      { properties: { $browser: 'Chrome', $set: { a: 5 } }, $set: { someProp: 'value' } },
      { $browser: 'Chrome', $set: { $browser: 'Chrome', a: 5, someProp: 'value' }, $set_once: { $initial_browser: 'Chrome' } },
    ],
    [
      'N-3: per key, the top level wins',
      { properties: { $set: { a: 1, b: 1 } }, $set: { a: 2 }, $set_once: { c: 3 } },
      { $set: { a: 2, b: 1 }, $set_once: { c: 3 } },
    ],
    ['N-3: a top-level $unset is never read', { $unset: ['a'] }, {}],
    [
      'A-1: whatever the value, null included',
      { properties: { utm_source: null } },
      { utm_source: null, $set: { utm_source: null }, $set_once: { $initial_utm_source: null } },
    ],
    [
      'A-2: an explicit null wins over an automatic value',
      { properties: { $os: 'Mac', $set: { $os: null }, $set_once: { $initial_os: 'old' } } },
      { $os: 'Mac', $set: { $os: null }, $set_once: { $initial_os: 'old' } },
    ],
    ['A-3: no key of the list, no $set', { properties: { other: 1 } }, { other: 1 }],
    [
      'A-4: $os_name stands in for $os',
      { properties: { $os_name: 'iOS' } },
      { $os_name: 'iOS', $os: 'iOS', $set: { $os: 'iOS' }, $set_once: { $initial_os: 'iOS' } },
    ],
    [
      'A-4: but not for an $os that is there; explicit $os_name leaves the person',
      { properties: { $os_name: 'iOS', $os: 'iPadOS', $set: { $os_name: 'x', $os: null } } },
      { $os_name: 'iOS', $os: 'iPadOS', $set: { $os: 'iOS' }, $set_once: { $initial_os: 'iPadOS' } },
    ],
    [
      'A-4: of a personless event too, which has no other use of it',
      { properties: { $os_name: 'iOS', $process_person_profile: false } },
      { $os_name: 'iOS', $os: 'iOS', $process_person_profile: false },
    ],
    ['N-4: the ip moves', { ip: '1.1.1.1' }, { $ip: '1.1.1.1' }],
    ['N-4: unless there is one', { ip: '1.1.1.1', properties: { $ip: '2.2.2.2' } }, { $ip: '2.2.2.2' }],
    ['N-5: $snapshot has no automatic properties', { event: '$snapshot', properties: { $os: 'x' } }, { $os: 'x' }],
    ['N-5: $performance_event neither', { event: '$performance_event', properties: { $os: 'x' } }, { $os: 'x' }],
    ['N-6: sent_at is kept as it came', { sent_at: '2021-10-30T03:12:00+04:00' }, { $sent_at: '2021-10-30T03:12:00+04:00' }],
    [
      'PP-3: a personless event gets none, it would lose them',
      { properties: { $process_person_profile: false, $os: 'x' } },
      { $process_person_profile: false, $os: 'x' },
    ],
    ['a $set that is a text is passed over', { properties: { $set: 'abc' }, $set: 'abc' as never }, { $set: 'abc' }],
    [
      'a $set that is a list is replaced by the automatic one',
      { properties: { $os: 'x', $set: [1] } },
      { $os: 'x', $set: { $os: 'x' }, $set_once: { $initial_os: 'x' } },
    ],
  ])('%s; twice is the same as once', (_, fields, properties) => {
    const event = normalised(fields);
    expect(stored(event.properties)).toEqual(properties);
    expect(event.ip).toBeNull();
    const before = JSON.stringify(event);
    normalise(event);
    expect(JSON.stringify(event)).toBe(before);
  });

  test('A-5: a plugin that changes a property afterwards does not change $set', () => {
    const event = normalised({ properties: { $browser: 'Chrome' } });
    event.properties['$browser'] = 'Firefox';
    normalise(event);
    expect(event.properties['$set']).toEqual({ $browser: 'Chrome' });
  });

  test('N-3: top-level $set wins again after a plugin edited properties.$set', () => {
    const event = normalised({ $set: { a: 1 } });
    (event.properties['$set'] as Json)['a'] = 2;
    normalise(event);
    expect(event.properties['$set']).toEqual({ a: 1 });
    expect(event.$set).toEqual({ a: 1 });
  });

  test('N-1: what a plugin made of distinct_id and properties is put right', () => {
    expect(normalised({ distinct_id: 5 as never, properties: undefined as never })).toMatchObject({ distinct_id: '5', properties: {} });
  });

  test('$set with a key __proto__ gives $set such a key and no prototype', () => {
    const event = normalised({ $set: JSON.parse('{"__proto__":{"x":1},"a":1}') as Json });
    const set = event.properties['$set'] as Json;
    expect(Object.getPrototypeOf(set)).toBe(Object.prototype);
    expect(JSON.stringify(set)).toBe('{"__proto__":{"x":1},"a":1}');
  });

  test.each([
    ['click', { $set: {} }, true],
    ['click', { $unset: [] }, true],
    ['click', {}, false],
    ['$identify', { $set: {} }, false],
    ['survey sent', { $set_once: {} }, false],
  ])('K-23: %s with %j counts as stray: %j', (event, properties, stray) => {
    expect(setsOutsidePersonEvents(anEvent({ event, properties }))).toBe(stray);
  });
});

describe('person mode', () => {
  test.each([
    ['PP-1: absent', 'click', undefined, 'full', undefined],
    ['PP-1: true', 'click', true, 'full', undefined],
    ['PP-3: false', 'click', false, 'personless', undefined],
    ['PP-2: false on $identify', '$identify', false, 'refused', 'invalid_event_when_process_person_profile_is_false'],
    ['PP-2: false on $create_alias', '$create_alias', false, 'refused', 'invalid_event_when_process_person_profile_is_false'],
    ['PP-2: false on $merge_dangerously', '$merge_dangerously', false, 'refused', 'invalid_event_when_process_person_profile_is_false'],
    ['PP-2: false on $groupidentify', '$groupidentify', false, 'refused', 'invalid_event_when_process_person_profile_is_false'],
    ['PP-4: a text', 'click', 'false', 'full', 'invalid_process_person_profile'],
    ['PP-4: 0', 'click', 0, 'full', 'invalid_process_person_profile'],
    ['PP-4: null', 'click', null, 'full', 'invalid_process_person_profile'],
    ['PP-4: an object without text', 'click', { toString: null }, 'full', 'invalid_process_person_profile'],
  ])('%s', (_, event, flag, mode, warning) => {
    const decision = decidePersonMode(anEvent({ event, properties: { $process_person_profile: flag } }));
    expect([decision.mode, decision.warning?.type]).toEqual([mode, warning]);
  });

  test('PP-3, PP-5: every person update leaves the event', () => {
    const event = anEvent({
      $set: { a: 1 },
      $set_once: { a: 1 },
      $unset: ['b'],
      properties: { $set: {}, $set_once: {}, $unset: [], kept: 1 },
    });
    stripPersonUpdates(event);
    expect(stored(event)).toEqual(stored(anEvent({ properties: { kept: 1 } })));
  });

  test('PP-6, Q-3: forced upgrade wins, from a minute after the person on', () => {
    expect(storedPersonMode('personless', { forceUpgrade: true })).toBe('force_upgrade');
    expect(storedPersonMode('personless', { forceUpgrade: false })).toBe('propertyless');
    expect(storedPersonMode('full', { forceUpgrade: false })).toBe('full');
    expect(isForceUpgrade(60_000, 0)).toBe(false);
    expect(isForceUpgrade(60_001, 0)).toBe(true);
  });

  test('list A has 34 keys, their initial names lose one $ only, and metric labels are bounded', () => {
    expect(INITIAL_NAME.size).toBe(34);
    expect(INITIAL_NAME.get('$current_url')).toBe('$initial_current_url');
    expect(INITIAL_NAME.get('utm_source')).toBe('$initial_utm_source');
    expect([isVolatile('$geoip_city_name'), isVolatile('$os'), isVolatile('email')]).toEqual([true, true, false]);
    expect(['$initial_os', '$geoip_x', '$initial_geoip_x', 'email'].map(propertyKeyLabel)).toEqual([
      '$initial_os',
      'geoIP',
      'geoIP',
      'other',
    ]);
  });
});
