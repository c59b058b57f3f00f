import { expect, test } from 'vitest';
import type { ActorSpec } from '../../../src/runtime/actor.ts';
import { settle, testSystem } from '../../kit/actors.ts';

test('I3: messages are handled in the order of their tells', async () => {
  const { system } = testSystem();
  const seen: number[] = [];
  const spec: ActorSpec<undefined, number> = {
    kind: 'list',
    start: () => undefined,
    receive(state, message) {
      seen.push(message);
      return state;
    },
    mailbox: { capacityCount: 1_000 },
    supervision: { directive: 'stop' },
  };
  const ref = system.spawn(spec, 'list');
  for (let i = 0; i < 500; i++) expect(ref.tell(i)).toBe('accepted');
  await settle(system);
  expect(seen).toEqual(Array.from({ length: 500 }, (_, i) => i));
  expect(system.inspect.one('/list')?.handledCount).toBe(500);
  await system.shutdown(100);
});

test('an entity lives', async () => {
  const { system } = testSystem();
  const seen: string[] = [];
  const people = system.entities<string, number, string>({
    parent: 'people',
    kind: 'person',
    idleMs: 1000,
    sweepEveryMs: 100,
    activeLimitCount: 10,
    inFlightLimitCount: 2,
    bufferCount: 10,
    spec: (key) => ({
      kind: 'person',
      start: () => 0,
      receive(s, m) {
        seen.push(key + m);
        return s + 1;
      },
      mailbox: { capacityCount: 3 },
      supervision: { directive: 'stop' },
    }),
  });
  people.tell('a', '1');
  people.tell('b', '1');
  people.tell('a', '2');
  await settle(system);
  expect(seen).toEqual(['a1', 'a2', 'b1']);
  expect(people.activeCount).toBe(2);
  await system.shutdown(100);
  expect(people.activeCount).toBe(0);
});
