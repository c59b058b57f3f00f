import { expect, test } from 'vitest';
import type { ActorSpec, StopReason } from '../../../src/runtime/actor.ts';
import type { EntitiesOptions } from '../../../src/runtime/entities.ts';
import { gate, pass, restarting, settle, specOf, type Gate } from '../../kit/actors.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();

function optionsOf<S>(
  spec: (key: string) => ActorSpec<S, string>,
  parts: Partial<EntitiesOptions<string, S, string>> = {},
): EntitiesOptions<string, S, string> {
  return {
    parent: 'people',
    kind: 'person',
    idleMs: 1_000,
    sweepEveryMs: 500,
    activeLimitCount: 100,
    inFlightLimitCount: 4,
    bufferCount: 100,
    spec,
    ...parts,
  };
}

test('an entity is started by its first message and passivated after its idle time, never before', async () => {
  const { system, clock } = open();
  const ends: string[] = [];
  const people = system.entities(
    optionsOf((key) =>
      specOf({ start: () => null, receive: (state) => state, stopping: (_state, reason) => void ends.push(`${key} ${reason}`) }),
    ),
  );
  people.tell('a', 'hello');
  people.tell('b', 'hello');
  await settle(system);
  expect(people.activeCount).toBe(2);
  await pass(system, clock, 1_000, 100);
  people.tell('b', 'still here');
  await pass(system, clock, 1_000, 100);
  expect(ends).toEqual(['a passivated']);
  await pass(system, clock, 1_000, 100);
  expect(ends).toEqual(['a passivated', 'b passivated']);
  expect(people.activeCount).toBe(0);
});

test('an entity that must stay is asked again at later sweeps, and does not hold up the others', async () => {
  const { system, clock } = open();
  const people = system.entities(
    optionsOf((key) => specOf({ start: () => key, receive: (state: string) => state }), { canPassivate: (state) => state !== 'unsaved' }),
  );
  for (const key of ['unsaved', 'a', 'b']) people.tell(key, 'hello');
  await settle(system);
  await pass(system, clock, 3_000, 500);
  expect(people.activeCount).toBe(1);
  expect(people.pathOf('unsaved')).toBeDefined();
});

test('one sweep ends all that are idle, a few at a time when their flush takes time', async () => {
  const { system, clock } = open();
  let most = 0;
  let now = 0;
  const people = system.entities(
    optionsOf(
      () =>
        specOf({
          start: () => null,
          receive: (state: null) => state,
          async stopping() {
            most = Math.max(most, ++now);
            await Promise.resolve();
            now--;
          },
        }),
      { inFlightLimitCount: 3 },
    ),
  );
  for (let i = 0; i < 50; i++) people.tell(String(i), 'hello');
  await settle(system);
  await pass(system, clock, 1_000, 500);
  expect(people.activeCount).toBe(50);
  await pass(system, clock, 500);
  expect([people.activeCount, most]).toEqual([0, 3]);
});

test('at the limit the least recently told entity makes room', async () => {
  const { system, clock } = open();
  const people = system.entities(
    optionsOf(() => specOf({ start: () => null, receive: (state) => state }), { activeLimitCount: 3, idleMs: 60_000 }),
  );
  for (const key of ['a', 'b', 'c']) {
    people.tell(key, 'hello');
    await settle(system);
    await pass(system, clock, 500);
  }
  people.tell('a', 'again');
  people.tell('d', 'hello');
  await settle(system);
  expect(['a', 'b', 'c', 'd'].filter((key) => people.pathOf(key) !== undefined)).toEqual(['a', 'c', 'd']);
});

test('with no room and nobody who may go, a new key is refused, and the present ones are served', async () => {
  const { system } = open();
  const people = system.entities(
    optionsOf(() => specOf({ start: () => null, receive: (state) => state }), { activeLimitCount: 2, canPassivate: () => false }),
  );
  for (const key of ['a', 'b']) people.tell(key, 'hello');
  await settle(system);
  expect(people.tell('c', 'hello')).toBe('full');
  expect(people.tell('a', 'hello')).toBe('accepted');
  expect(people.activeCount).toBe(2);
  await settle(system);
});

test('I4: an entity with a message buffered or in work is not passivated', async () => {
  const { system } = open();
  const held = gate();
  const people = system.entities(optionsOf(() => specOf({ start: () => null, receive: (state: null) => held.promise.then(() => state) })));
  people.tell('a', 'work');
  expect(people.passivate('a')).toBe(false);
  await settle(system);
  expect(people.passivate('a')).toBe(false);
  people.tell('a', 'more');
  held.open();
  await settle(system);
  expect(people.passivate('a')).toBe(true);
  expect(people.passivate('a')).toBe(false);
});

test('I6: no more starts and flushes are in flight than allowed, and those that wait come in order', async () => {
  const { system } = open();
  const loads: { readonly key: string; readonly gate: Gate<string> }[] = [];
  const seen: string[] = [];
  const people = system.entities(
    optionsOf(
      (key) =>
        specOf({
          start() {
            const held = gate<string>();
            loads.push({ key, gate: held });
            return held.promise;
          },
          receive: (state, message) => (seen.push(state + message), state),
        }),
      { inFlightLimitCount: 2 },
    ),
  );
  for (const key of ['a', 'b', 'c', 'd']) people.tell(key, '1');
  await settle(system);
  expect(loads.map((load) => load.key)).toEqual(['a', 'b']);
  expect([people.inFlightCount, people.bufferedCount]).toEqual([2, 4]);
  loads[1]?.gate.open('b');
  await settle(system);
  expect(loads.map((load) => load.key)).toEqual(['a', 'b', 'c']);
  loads[0]?.gate.open('a');
  loads[2]?.gate.open('c');
  await settle(system);
  loads[3]?.gate.open('d');
  await settle(system);
  expect(seen).toEqual(['b1', 'a1', 'c1', 'd1']);
  expect([people.inFlightCount, people.bufferedCount]).toEqual([0, 0]);
});

test('messages held for entities that cannot work yet are bounded over the whole group', async () => {
  const { system } = open();
  const loaded = gate<null>();
  const people = system.entities(optionsOf(() => specOf({ start: () => loaded.promise, receive: (state) => state }), { bufferCount: 3 }));
  for (const key of ['a', 'b']) people.tell(key, '1');
  await settle(system);
  expect(people.tell('a', '2')).toBe('accepted');
  expect(people.tell('a', '3')).toBe('full');
  expect(people.tell('b', '2')).toBe('full');
  loaded.open(null);
  await settle(system);
  expect(people.tell('a', '3')).toBe('accepted');
  await settle(system);
  expect(people.bufferedCount).toBe(0);
});

test('I5: messages that come during a flush are handled by the next incarnation, in order, after the flush', async () => {
  const { system } = open();
  const order: string[] = [];
  const flushed = gate();
  const people = system.entities(
    optionsOf(() =>
      specOf({
        start: (ctx) => {
          order.push(`start ${String(ctx.incarnation)}`);
          return ctx.incarnation;
        },
        receive: (state: number, message) => (order.push(`${String(state)}:${message}`), state),
        stopping: async (state) => {
          await flushed.promise;
          order.push(`flushed ${String(state)}`);
        },
      }),
    ),
  );
  people.tell('a', 'm1');
  await settle(system);
  expect(people.passivate('a')).toBe(true);
  for (const message of ['m2', 'm3']) expect(people.tell('a', message)).toBe('accepted');
  expect(people.bufferedCount).toBe(2);
  flushed.open();
  await settle(system);
  expect(order).toEqual(['start 1', '1:m1', 'flushed 1', 'start 2', '2:m2', '2:m3']);
  expect(people.bufferedCount).toBe(0);
});

test('I2: a quarantined key settles its messages with a reason, and is forgotten afterwards', async () => {
  const { system, clock } = open();
  const settled: string[] = [];
  const people = system.entities(
    optionsOf((key) =>
      specOf({
        start: () => null,
        receive(state, message) {
          if (message === 'poison') throw new Error('poison');
          settled.push(`${key} handled ${message}`);
          return state;
        },
        failed: (_state, message) => settled.push(`${key} failed ${message}`),
        refused: (message, reason) => settled.push(`${key} ${reason} ${message}`),
        supervision: restarting({ quarantineMs: 5_000 }, 0),
      }),
    ),
  );
  for (const message of ['m1', 'poison', 'm2']) people.tell('a', message);
  people.tell('b', 'm1');
  await settle(system);
  expect(people.tell('a', 'm3')).toBe('accepted');
  await settle(system);
  expect(settled).toEqual(['a handled m1', 'a failed poison', 'a quarantined m2', 'b handled m1', 'a quarantined m3']);
  await pass(system, clock, 5_000, 500);
  expect(people.pathOf('a')).toBeUndefined();
  expect(people.tell('a', 'm4')).toBe('accepted');
  await settle(system);
  expect(settled.at(-1)).toBe('a handled m4');
});

test('I3: an entity that backs off handles what came meanwhile, in order, in its next life', async () => {
  const { system, clock } = open();
  const seen: string[] = [];
  const people = system.entities(
    optionsOf(() =>
      specOf({
        start: () => null,
        receive(state, message) {
          if (message === 'bad') throw new Error('bad');
          seen.push(message);
          return state;
        },
        supervision: restarting('escalate'),
      }),
    ),
  );
  for (const message of ['m1', 'bad', 'm2']) people.tell('a', message);
  await settle(system);
  expect(people.tell('a', 'm3')).toBe('accepted');
  expect(people.bufferedCount).toBe(2);
  expect(people.passivate('a')).toBe(false);
  await pass(system, clock, 10);
  expect(seen).toEqual(['m1', 'm2', 'm3']);
  expect(people.bufferedCount).toBe(0);
});

test('stopping the group flushes every entity, a few at a time, and gives up those that hang', async () => {
  const { system, clock } = open();
  const reasons: StopReason[] = [];
  let most = 0;
  let now = 0;
  const people = system.entities(
    optionsOf(
      (key) =>
        specOf({
          start: () => null,
          receive: (state: null) => state,
          async stopping(_state, reason) {
            most = Math.max(most, ++now);
            await (key === '7' ? gate().promise : Promise.resolve());
            now--;
            reasons.push(reason);
          },
        }),
      { inFlightLimitCount: 3 },
    ),
  );
  for (let i = 0; i < 20; i++) people.tell(String(i), 'hello');
  await settle(system);
  const stopped = people.stopAll(1_000);
  expect(people.tell('late', 'hello')).toBe('stopped');
  await settle(system);
  expect(people.activeCount).toBe(1);
  await pass(system, clock, 1_000);
  await stopped;
  expect(people.activeCount).toBe(0);
  expect(most).toBe(3);
  expect(reasons).toEqual(Array.from({ length: 19 }, () => 'parent-stopped'));
});

test('stopping the group during passivations and backoffs loses nothing silently', async () => {
  const { system } = open();
  const settled: string[] = [];
  const flushed = gate();
  const people = system.entities(
    optionsOf((key) =>
      specOf({
        start: () => null,
        receive(state: null, message) {
          if (message === 'bad') throw new Error('bad');
          return state;
        },
        stopping: (_state, reason) => (reason === 'passivated' ? flushed.promise : undefined),
        failed: () => undefined,
        refused: (message, reason) => settled.push(`${key} ${message} ${reason}`),
        supervision: restarting('escalate'),
      }),
    ),
  );
  people.tell('passivating', 'm1');
  people.tell('backing off', 'bad');
  people.tell('backing off', 'm2');
  await settle(system);
  people.passivate('passivating');
  people.tell('passivating', 'm3');
  const stopped = people.stopAll(10_000);
  flushed.open();
  await stopped;
  expect(settled.sort()).toEqual(['backing off m2 stopped', 'passivating m3 stopped']);
  expect([people.activeCount, people.bufferedCount, people.inFlightCount]).toEqual([0, 0, 0]);
});

test('a keyed name that collides with another key’s is still one actor per key', async () => {
  const { system } = open();
  const seen: string[] = [];
  const people = system.entities(
    optionsOf((key) => specOf({ start: () => null, receive: (state, message) => (seen.push(key + message), state) }), {
      keyName: () => 'same',
    }),
  );
  for (const key of ['a', 'b']) people.tell(key, '1');
  await settle(system);
  expect(seen).toEqual(['a1', 'b1']);
});
