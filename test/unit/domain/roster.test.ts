import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createRoster, type Place } from '../../../src/domain/roster.ts';

describe('a roster', () => {
  test('is what a Set would be: those that came and have not left, oldest first', () => {
    const step = fc.oneof(fc.constant('add' as const), fc.nat({ max: 30 }), fc.constant('clear' as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const roster = createRoster<number>();
        const places: Place<number>[] = [];
        const model = new Set<number>();
        for (const one of steps) {
          if (one === 'add') {
            model.add(places.length);
            places.push(roster.add(places.length));
          } else if (one === 'clear') {
            expect(roster.clear()).toEqual([...model]);
            model.clear();
          } else {
            const place = places[one];
            if (place !== undefined) expect(roster.leave(place)).toBe(model.delete(one));
          }
          const [oldest] = model;
          expect([roster.list(), roster.size, roster.oldest()]).toEqual([[...model], model.size, oldest]);
          expect(places.map(({ isIn }) => isIn)).toEqual(places.map((_, at) => model.has(at)));
        }
      }),
    );
  });

  test('R1: a place that is left refers to no other', () => {
    const roster = createRoster<string>();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => roster.add(name));
    for (const place of [b, a, c]) {
      if (place === undefined) continue;
      roster.leave(place);
      expect([place.before, place.after]).toEqual([undefined, undefined]);
    }
    expect(roster.list()).toEqual([]);
  });
});
