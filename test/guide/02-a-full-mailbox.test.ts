/**
 * 2. A full mailbox
 *
 * `tell` answers at once, with one of three words. `accepted`: the actor has it. `full` and `stopped`: it was not taken, and is still
 * yours. Nothing waits inside `tell`; in Troupe only the router waits, and everyone else refuses, so there is one place to reason about.
 */
import { expect, test } from 'vitest';
import { gate, settle, specOf } from '../kit/actors.ts';
import { systemsOf } from '../kit/systems.ts';

const open = systemsOf();

test('a busy actor takes what its mailbox holds and refuses the rest', async () => {
  const { system } = open();
  const handled: number[] = [];
  const sink = gate();
  const ref = system.spawn<null, number>(
    specOf({
      mailbox: { capacityCount: 2 },
      start: () => null,
      async receive(state, message) {
        await sink.promise; // a database that takes its time
        handled.push(message);
        return state;
      },
    }),
    'writer',
  );
  expect(ref.tell(1)).toBe('accepted');
  await settle(system); // 1 is in work now, and no longer in the mailbox
  expect([2, 3, 4].map((message) => ref.tell(message))).toEqual(['accepted', 'accepted', 'full']);
  sink.open();
  await settle(system);
  expect(handled).toEqual([1, 2, 3]);
  expect(ref.tell(4)).toBe('accepted');
  await settle(system);
});

test('an actor that has ended says so, for ever, even when another one has taken its name', async () => {
  const { system } = open();
  const spec = specOf<null, string>({ start: () => null, receive: (state) => state });
  const first = system.spawn(spec, 'writer');
  await system.stop(first);
  const second = system.spawn(spec, 'writer');
  expect([first.tell('hello'), second.tell('hello')]).toEqual(['stopped', 'accepted']);
  expect([first.path, second.path]).toEqual(['/writer', '/writer+2']);
  await settle(system);
});
