import { describe, expect, it } from 'vitest';
import { SmallMap } from '../../../actors/distinct-id/small-map.ts';
import { seededRandom } from '../../kit/clock.ts';

describe('SmallMap', () => {
  it('does what a Map does, whatever is done to it in whatever order', () => {
    const random = seededRandom(7);
    for (let round = 0; round < 300; round++) {
      const small = new SmallMap<number, number>();
      const map = new Map<number, number>();
      for (let step = 0; step < 30; step++) {
        const key = Math.floor(random.next() * 4);
        const action = Math.floor(random.next() * 10);
        if (action < 5) {
          small.set(key, step);
          map.set(key, step);
        } else if (action < 9) {
          expect(small.delete(key)).toBe(map.delete(key));
        } else {
          small.clear();
          map.clear();
        }
        expect(small.size).toBe(map.size);
        expect(small.values()).toEqual([...map.values()]);
        for (let one = 0; one < 4; one++) {
          expect(small.has(one)).toBe(map.has(one));
          expect(small.get(one)).toBe(map.get(one));
        }
      }
    }
  });
});
