import { expect, test } from 'vitest';
import { createHurried } from '../../../src/capture/hurried.ts';
import { StateStoreError } from '../../../src/redis/port.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { manualClock } from '../../kit/clock.ts';
import { facts, settled } from './kit.ts';

const never = (): Promise<never> => new Promise(() => undefined);

test('H1: an answer in time is the answer, and leaves no timer behind', async () => {
  const clock = manualClock();
  expect(await createHurried({ clock, limitMs: 20 }).ask('x', () => Promise.resolve(7))).toBe(7);
  expect(clock.pendingCount).toBe(0);
});

test('H1 H3: who waits in vain goes on after limitMs; for restMs nobody is asked, then somebody is', async () => {
  const away = facts('state-store-unavailable');
  const clock = manualClock();
  const hurried = createHurried({ clock, limitMs: 20, restMs: 1_000 });
  let ended = false;
  const waiting = hurried.ask('x', never).then((answer) => {
    ended = true;
    return answer;
  });
  clock.advance(19);
  await settled();
  expect(ended).toBe(false);
  clock.advance(1);
  expect(await waiting).toBeUndefined();
  expect(away).toEqual([{ operation: 'x', message: 'no answer within 20 ms' }]);
  let asked = 0;
  const answer = (): Promise<number> => Promise.resolve(++asked);
  clock.advance(999);
  expect([await hurried.ask('x', answer), asked]).toEqual([undefined, 0]);
  clock.advance(1);
  expect(await hurried.ask('x', answer)).toBe(1);
  expect(away).toHaveLength(1);
});

test('H1 H3: a refusal is no answer either', async () => {
  const away = facts('state-store-unavailable');
  const clock = manualClock();
  const hurried = createHurried({ clock, limitMs: 20 });
  expect(await hurried.ask('x', () => Promise.reject(new StateStoreError('gone')))).toBeUndefined();
  expect(await hurried.ask('x', never)).toBeUndefined();
  expect(away).toEqual([{ operation: 'x', message: 'gone' }]);
  expect(clock.pendingCount).toBe(0);
});

test('H1: what comes after its time, an answer or a refusal, is neither heard nor told', async () => {
  const away = facts('state-store-unavailable');
  const clock = manualClock();
  let refuse: (error: Error) => void = () => undefined;
  const asked = createHurried({ clock, limitMs: 20 }).ask('x', () => new Promise((_, reject) => (refuse = reject)));
  clock.advance(20);
  expect(await asked).toBeUndefined();
  refuse(new StateStoreError('gone'));
  await settled();
  expect(away.map(({ message }) => message)).toEqual(['no answer within 20 ms']);
});

test('H3: an answer that was on its way when it began to rest is still heard', async () => {
  const clock = manualClock();
  const hurried = createHurried({ clock, limitMs: 20 });
  let answer: (value: string) => void = () => undefined;
  const slow = hurried.ask('x', () => new Promise<string>((resolve) => (answer = resolve)));
  await hurried.ask('x', () => Promise.reject(new StateStoreError('gone')));
  answer('late, and in time');
  expect(await slow).toBe('late, and in time');
});

test('H2: an answer that came while this process stood still is heard, though its time is over', async () => {
  const hurried = createHurried({ clock: systemClock, limitMs: 5 });
  await settled(); // from here on timers are looked at first
  const asked = hurried.ask('x', () => new Promise((resolve) => setImmediate(() => resolve('here')))); // then this, as a socket would be
  const until = performance.now() + 30;
  while (performance.now() < until);
  expect(await asked).toBe('here');
});
