import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/domain/event.ts';
import { teamId } from '../../../src/domain/ids.ts';
import type { Person } from '../../../src/domain/person.ts';
import {
  foldPerson,
  foldPersonUpdates,
  newPerson,
  personPropertiesOf,
  personUpdateOf,
  type PersonUpdate,
} from '../../../src/domain/person-fold.ts';
import { aPerson, anEvent, anUpdate, NOW_MS, seededRandom, UUID } from './build.ts';

const json = (text: string): Json => JSON.parse(text) as Json;

describe('foldPerson', () => {
  test.each<[string, Json, Partial<PersonUpdate>, Json | 'unchanged']>([
    ['P-30: an absent key', { a: 1 }, { setOnce: { b: 2 } }, { a: 1, b: 2 }],
    ['P-30: a present key', { a: 1 }, { setOnce: { a: 2 } }, 'unchanged'],
    ['P-30: null counts as present', { a: null }, { setOnce: { a: 2 } }, 'unchanged'],
    ['P-30: an inherited name is absent', {}, { setOnce: { constructor: 'c', toString: 't' } }, { constructor: 'c', toString: 't' }],
    ['P-31: another value', { a: 1 }, { set: { a: 2 } }, { a: 2 }],
    ['P-31: the same value', { a: 1, b: 'x', c: null }, { set: { a: 1, b: 'x', c: null } }, 'unchanged'],
    ['P-31: strictly', { a: 1 }, { set: { a: '1' } }, { a: '1' }],
    ['P-31: objects always differ', { a: { b: 1 } }, { set: { a: { b: 1 } } }, { a: { b: 1 } }],
    ['P-32: a list of keys', { a: 1, b: 2 }, { unset: ['a'] }, { b: 2 }],
    ['P-32: absent keys', { a: 1 }, { unset: ['b', 'toString', '__proto__'] }, 'unchanged'],
    ['P-32: beats $set of the same event', { a: 1 }, { set: { a: 2, b: 3 }, unset: ['a'] }, { b: 3 }],
    ['P-34: a volatile key alone', { $browser: 'A', $geoip_city: 'X' }, { set: { $browser: 'B', $geoip_city: 'Y' } }, 'unchanged'],
    ['P-34: a new volatile key', { a: 1 }, { set: { $browser: 'B' } }, { a: 1, $browser: 'B' }],
    ['P-34: together with another change', { $browser: 'A', a: 1 }, { set: { $browser: 'B', a: 2 } }, { $browser: 'B', a: 2 }],
    ['P-34: together with a set_once', { $browser: 'A' }, { set: { $browser: 'B' }, setOnce: { x: 1 } }, { $browser: 'B', x: 1 }],
    ['P-34: on $set', { $browser: 'A' }, { eventName: '$set', set: { $browser: 'B' } }, { $browser: 'B' }],
    ['P-34: on $identify', { $browser: 'A' }, { eventName: '$identify', set: { $browser: 'B' } }, { $browser: 'B' }],
    ['P-38: $exception', { a: 1 }, { eventName: '$exception', set: { a: 2 }, unset: ['a'] }, 'unchanged'],
    ['P-35: nothing asked', { a: 1 }, {}, 'unchanged'],
    ['a key __proto__ is a key', {}, { set: json('{"__proto__":{"x":1}}') }, json('{"__proto__":{"x":1}}')],
  ])('%s', (_, properties, update, expected) => {
    const person = aPerson({ properties: Object.freeze(properties) });
    const folded = foldPerson(person, anUpdate(update));
    if (expected === 'unchanged') {
      expect(folded).toEqual({ person, changed: false });
      expect(folded.person).toBe(person);
    } else {
      expect(folded.changed).toBe(true);
      expect(JSON.stringify(folded.person.properties)).toBe(JSON.stringify(expected));
      expect(Object.getPrototypeOf(folded.person.properties)).toBe(Object.prototype);
      expect(folded.person).toMatchObject({ rowId: '7', version: 3, createdAtMs: 1_000, isIdentified: false });
    }
  });

  test('P-33: identifying is a change, and writes the volatile values with it', () => {
    const { person, changed } = foldPerson(
      aPerson({ properties: { $browser: 'A' } }),
      anUpdate({ set: { $browser: 'B' }, isIdentified: true }),
    );
    expect([changed, person.isIdentified, person.properties]).toEqual([true, true, { $browser: 'B' }]);
    expect(foldPerson(aPerson({ isIdentified: true }), anUpdate({ isIdentified: true })).changed).toBe(false);
  });

  test('P-38: $exception identifies but leaves the properties', () => {
    const { person, changed } = foldPerson(
      aPerson({ properties: { a: 1 } }),
      anUpdate({ eventName: '$exception', set: { a: 2 }, isIdentified: true }),
    );
    expect([changed, person.isIdentified, person.properties]).toEqual([true, true, { a: 1 }]);
  });

  test('several updates fold in order', () => {
    const updates = [anUpdate({ set: { a: 1 } }), anUpdate({ setOnce: { a: 5, b: 5 } }), anUpdate({ unset: ['a'] })];
    expect(foldPersonUpdates(aPerson(), updates)).toMatchObject({ changed: true, person: { properties: { b: 5 } } });
    expect(foldPersonUpdates(aPerson(), [anUpdate()]).changed).toBe(false);
  });

  test('property: folding again changes no value, the folded person is never touched, unchanged means the same object (2,000 seeds)', () => {
    for (let seed = 1; seed <= 2_000; seed++) {
      const random = seededRandom(seed);
      const person = aPerson({ properties: someProperties(random) });
      const updates = Array.from({ length: 1 + Math.floor(random() * 3) }, () => someUpdate(random));
      const before = JSON.stringify([person, updates]);
      for (const update of updates) {
        const once = foldPerson(person, update);
        expect(foldPerson(once.person, update).person, `seed ${seed}`).toEqual(once.person);
        if (!once.changed) expect(once.person, `seed ${seed}`).toBe(person);
      }
      const all = foldPersonUpdates(person, updates);
      expect(foldPersonUpdates(person, updates), `seed ${seed}`).toEqual(all);
      expect(
        updates.reduce<Person>((current, update) => foldPerson(current, update).person, person),
        `seed ${seed}`,
      ).toEqual(all.person);
      expect(JSON.stringify([person, updates]), `seed ${seed}`).toBe(before);
    }
  });
});

const KEYS = ['a', 'b', 'c', '$browser', '$geoip_city', 'toString', '__proto__'];
const VALUES = [1, '1', null, true, 'x', { n: 1 }, [1]];

function someProperties(random: () => number): Json {
  const entries = KEYS.filter(() => random() < 0.4).map(
    (key) => `${JSON.stringify(key)}:${JSON.stringify(VALUES[Math.floor(random() * VALUES.length)])}`,
  );
  return json(`{${entries.join(',')}}`);
}

function someUpdate(random: () => number): PersonUpdate {
  return anUpdate({
    eventName: random() < 0.3 ? '$identify' : random() < 0.1 ? '$exception' : 'click',
    set: random() < 0.7 ? someProperties(random) : undefined,
    setOnce: random() < 0.5 ? someProperties(random) : undefined,
    unset: random() < 0.3 ? KEYS.filter(() => random() < 0.3) : undefined,
    isIdentified: random() < 0.2,
  });
}

describe('personUpdateOf', () => {
  test.each<[unknown, readonly string[] | undefined]>([
    [['a', 5, null, { toString: null }], ['a']],
    [{ a: '', b: 1 }, ['a', 'b']],
    ['abc', undefined],
    [null, undefined],
  ])('P-32: $unset %j names %j', ($unset, keys) => {
    expect(personUpdateOf(anEvent({ properties: { $unset } })).unset).toEqual(keys);
  });

  test('$set and $set_once that are no objects are none', () => {
    expect(personUpdateOf(anEvent({ properties: { $set: 'x', $set_once: [1] } }))).toEqual(anUpdate());
  });
});

describe('person properties of the event', () => {
  test('3.8: what was not worth a write is in the row of its event', () => {
    const person = aPerson({ properties: { $browser: 'A', a: 1 } });
    expect(personPropertiesOf(person, { $browser: 'B' })).toEqual({ $browser: 'B', a: 1 });
    expect(person.properties['$browser']).toBe('A');
  });

  test('3.8: keys that were unset are gone unless in $set; the same values need no copy', () => {
    const { person } = foldPerson(aPerson({ properties: { a: 1, b: 1 } }), anUpdate({ set: { b: 2, c: 3 }, unset: ['a', 'c'] }));
    expect(personPropertiesOf(person, { b: 2, c: 3 })).toEqual({ b: 2, c: 3 });
    expect(personPropertiesOf(person, { b: 2 })).toBe(person.properties);
    expect(personPropertiesOf(person, undefined)).toBe(person.properties);
  });
});

describe('newPerson', () => {
  test('P-20, P-1: $set over $set_once, the creator, the operation of each key, the uuid of its id', () => {
    const birth = newPerson({
      teamId: teamId(1),
      distinctId: 'test',
      createdAtMs: NOW_MS,
      eventUuid: UUID,
      update: anUpdate({ set: { a: 1, b: 1 }, setOnce: { b: 2, c: 2 }, unset: ['a'] }),
      isIdentified: true,
    });
    expect(birth).toEqual({
      person: {
        rowId: '0',
        id: '246f7a43-5507-564f-b687-793ee3c2dd79',
        teamId: 1,
        createdAtMs: NOW_MS,
        properties: { a: 1, b: 1, c: 2, $creator_event_uuid: UUID },
        isIdentified: true,
        version: 0,
      },
      propertiesLastUpdatedAt: { a: '2024-05-01T12:00:00.000Z', b: '2024-05-01T12:00:00.000Z', c: '2024-05-01T12:00:00.000Z' },
      propertiesLastOperation: { a: 'set', b: 'set', c: 'set_once' },
    });
  });

  test('P-20: nobody can pretend to be the creator', () => {
    const { person } = newPerson({
      teamId: teamId(1),
      distinctId: 'd',
      createdAtMs: 0,
      eventUuid: UUID,
      update: anUpdate({ set: { $creator_event_uuid: 'x' } }),
      isIdentified: false,
    });
    expect(person.properties).toEqual({ $creator_event_uuid: UUID });
  });
});
