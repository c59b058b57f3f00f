import { expect, test } from 'vitest';
import type { Timer } from '../../../src/runtime/clock.ts';
import { createDeadlineQueue } from '../../../src/runtime/deadlines.ts';
import { manualClock, seededRandom } from '../../kit/clock.ts';

test('I2: entries run in order of time, then of entry', () => {
  const clock = manualClock();
  const queue = createDeadlineQueue(clock);
  const ran: string[] = [];
  for (const [name, delayMs] of [
    ['c', 30],
    ['a', 10],
    ['b1', 20],
    ['b2', 20],
  ] as const)
    queue.add(delayMs, () => ran.push(name));
  clock.advance(100);
  expect(ran).toEqual(['a', 'b1', 'b2', 'c']);
});

test('any number of entries uses one timer of the clock', () => {
  const clock = manualClock();
  const queue = createDeadlineQueue(clock);
  const timers = Array.from({ length: 1_000 }, (_, i) => queue.add(1_000 - i, () => undefined));
  expect(clock.pendingCount).toBe(1);
  for (const timer of timers) timer.cancel();
  expect([queue.pendingCount, clock.pendingCount]).toEqual([0, 0]);
});

test('an entry added with no delay by one that runs waits for the next firing', () => {
  const clock = manualClock();
  const queue = createDeadlineQueue(clock);
  let rounds = 0;
  const again = (): void => {
    rounds++;
    queue.add(0, again);
  };
  queue.add(0, again);
  for (let i = 0; i < 5; i++) clock.step();
  expect(rounds).toBe(5);
});

test('a closed queue runs nothing and takes nothing', () => {
  const clock = manualClock();
  const queue = createDeadlineQueue(clock);
  let ran = 0;
  queue.add(1, () => ran++);
  queue.close();
  queue.add(1, () => ran++);
  clock.advance(10);
  expect([ran, queue.pendingCount, clock.pendingCount]).toEqual([0, 0, 0]);
});

test.each([1, 2, 3, 4, 5])(
  'I1-I3: with adds, cancels and time in any order, what runs is what was not cancelled, in order (seed %i)',
  (seed) => {
    const random = seededRandom(seed);
    const clock = manualClock();
    const queue = createDeadlineQueue(clock);
    const live = new Map<number, { readonly atMs: number; readonly timer: Timer }>();
    const ran: number[] = [];
    for (let step = 0; step < 2_000; step++) {
      if (random.below(3) > 0) {
        const delayMs = random.below(50);
        live.set(step, {
          atMs: clock.monotonic() + delayMs,
          timer: queue.add(delayMs, () => {
            expect(live.get(step)?.atMs).toBe(clock.monotonic());
            for (const [other, { atMs }] of live)
              expect(atMs > clock.monotonic() || (atMs === clock.monotonic() && other >= step)).toBe(true);
            live.delete(step);
            ran.push(step);
          }),
        });
      } else if (random.below(2) === 0) {
        const [chosen] = [...live.keys()].slice(random.below(Math.max(1, live.size)));
        if (chosen !== undefined) {
          live.get(chosen)?.timer.cancel();
          live.delete(chosen);
        }
      } else clock.advance(random.below(20));
      expect(queue.pendingCount).toBe(live.size);
    }
    clock.advance(100);
    expect(live.size).toBe(0);
    expect(new Set(ran).size).toBe(ran.length);
  },
);
