import { expect, test } from 'vitest';
import { gate, pass, restarting, settle, specOf } from '../../kit/actors.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();

test('a snapshot shows an actor that hangs: what it is at, for how long, and what waits', async () => {
  const { system, clock } = open();
  const ref = system.spawn<{ readonly rows: number }, { readonly type: string }>(
    specOf({
      kind: 'writer',
      start: () => ({ rows: 7 }),
      receive: (state, message) => (message.type === 'flush' ? gate<{ readonly rows: number }>().promise : state),
      mailbox: { capacityCount: 10 },
      inspect: (state) => ({ rows: state.rows }),
    }),
    'writer',
    system.parent('writers'),
  );
  ref.tell({ type: 'row' });
  ref.tell({ type: 'flush' });
  await settle(system);
  await pass(system, clock, 400);
  ref.tell({ type: 'row' });
  await settle(system);
  await pass(system, clock, 100);
  const expected = {
    path: '/writers/writer',
    kind: 'writer',
    incarnation: 1,
    status: 'active',
    mailboxDepth: 1,
    mailboxCapacity: 10,
    currentMessageType: 'flush',
    currentForMs: 500,
    restartsInWindow: 0,
    lastErrorCode: undefined,
    handledCount: 2,
    details: { rows: 7 },
  };
  const shown = system.inspect.one('/writers/writer');
  expect(shown).toMatchObject(expected);
  expect(shown?.oldestAgeMs).toBeLessThanOrEqual(500);
  expect(system.inspect.slowest(5)).toEqual([shown]);
  expect(system.inspect.list({ kind: 'writer' })).toEqual([shown]);
  expect(system.inspect.list({ kind: 'reader' })).toEqual([]);
  const stopped = system.stop(ref, 10);
  await pass(system, clock, 10);
  await stopped;
});

test('a snapshot shows crashes: the last code, and the restarts that still count', async () => {
  const { system, clock } = open();
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive: () => {
        throw Object.assign(new Error('gone'), { code: 'ECONNRESET' });
      },
      supervision: restarting('escalate'),
    }),
    'unlucky',
  );
  ref.tell('m');
  await settle(system);
  expect(system.inspect.one('/unlucky')).toMatchObject({ status: 'backing-off', lastErrorCode: 'ECONNRESET', restartsInWindow: 1 });
  await pass(system, clock, 10_000, 1_000);
  expect(system.inspect.one('/unlucky')).toMatchObject({ status: 'active', incarnation: 2, restartsInWindow: 0 });
});

test('the tree lists parents and actors, and says how many children it left out', async () => {
  const { system } = open();
  const people = system.entities<string, null, string>({
    parent: 'people',
    kind: 'person',
    idleMs: 1_000,
    sweepEveryMs: 500,
    activeLimitCount: 1_000,
    inFlightLimitCount: 1,
    bufferCount: 10,
    spec: () => specOf({ kind: 'person', start: () => null, receive: (state) => state }),
  });
  for (let i = 0; i < 50; i++) people.tell(String(i), 'hello');
  await settle(system);
  const tree = system.inspect.tree(3);
  const found = tree.children.find((child) => child.path === '/people');
  expect(found).toMatchObject({ actor: undefined, childCount: 50 });
  expect(found?.children).toHaveLength(3);
  expect(found?.children[0]?.actor).toMatchObject({ kind: 'person', status: 'active', handledCount: 1 });
  expect(system.inspect.one(people.pathOf('17') ?? '')).toMatchObject({ kind: 'person' });
  expect(system.inspect.one('/people/nobody')).toBeUndefined();
  expect(system.inspect.list({ limitCount: 10 })).toHaveLength(10);
});

test('kinds add up all actors, also those that a list leaves out', async () => {
  const { system, clock } = open();
  const people = system.entities<string, null, string>({
    parent: 'people',
    kind: 'person',
    idleMs: 60_000,
    sweepEveryMs: 10_000,
    activeLimitCount: 5_000,
    inFlightLimitCount: 1,
    bufferCount: 10,
    spec: () => specOf({ kind: 'person', start: () => null, receive: (state) => state }),
  });
  for (let i = 0; i < 2_000; i++) people.tell(String(i), 'hello');
  const held = gate<null>();
  const writer = system.spawn<null, string>(specOf({ kind: 'writer', start: () => null, receive: () => held.promise }), 'writer');
  for (const message of ['a', 'b', 'c']) writer.tell(message);
  await settle(system);
  await pass(system, clock, 250);
  expect(system.inspect.kinds()).toEqual([
    {
      kind: 'person',
      actorCount: 2_000,
      byStatus: { active: 2_000 },
      mailboxDepth: 0,
      deepestMailbox: 0,
      oldestAgeMs: 0,
      awaitingCount: 0,
      longestCurrentMs: 0,
      handledCount: 2_000,
    },
    {
      kind: 'writer',
      actorCount: 1,
      byStatus: { active: 1 },
      mailboxDepth: 2,
      deepestMailbox: 2,
      oldestAgeMs: 250,
      awaitingCount: 1,
      longestCurrentMs: 250,
      handledCount: 1,
    },
  ]);
  held.open(null);
  await settle(system);
});
