/**
 * What raw nact 7.6.2 does to a pipeline (docs/adr/0002-cell-over-nact.md, hazards A to P), each as a test that it does not happen to an
 * actor of ours. Vitest fails the run on an unhandled rejection, which covers those of E and L.
 */
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import type { ActorRef } from '../../../src/runtime/ref.ts';
import { actorChild, createSupervisor } from '../../../src/runtime/supervisor.ts';
import { gate, overlapMeter, pass, restarting, settle, specOf, type Gate } from '../../kit/actors.ts';
import { systemsOf } from '../../kit/systems.ts';

const requireCommonJs = createRequire(import.meta.url);
interface NactActor {
  readonly path: { readonly parts: readonly string[] };
}
const { Actor } = requireCommonJs('nact/lib/actor.js') as {
  Actor: { prototype: { handleMessage(this: NactActor, ...rest: unknown[]): void } };
};

const open = systemsOf();

/** Paths of the nact actors that got a turn while `run` ran. */
async function nactTurns(run: () => Promise<void>): Promise<string[]> {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- put back as it was, and called with its own `this`
  const original = Actor.prototype.handleMessage;
  const turns: string[] = [];
  Actor.prototype.handleMessage = function (...rest) {
    turns.push(`/${this.path.parts.join('/')}`);
    original.apply(this, rest);
  };
  try {
    await run();
  } finally {
    Actor.prototype.handleMessage = original;
  }
  return turns;
}

const group = { idleMs: 1_000, sweepEveryMs: 500, activeLimitCount: 20_000, inFlightLimitCount: 4, bufferCount: 100 } as const;

test('the hazards were found in nact 7.6.2, and that is the version installed', () => {
  expect((requireCommonJs('nact/package.json') as { version: string }).version).toBe('7.6.2');
});

test('A: restarting the siblings of a crashed actor does not start a second handler in one that is busy', async () => {
  const { system, clock } = open();
  const meter = overlapMeter();
  const gates: Gate[] = [];
  const first = actorChild<null, string>(
    system,
    () => specOf({ start: () => null, supervision: { directive: 'escalate' }, receive: () => Promise.reject(new Error('down')) }),
    'first',
  );
  const second = actorChild<null, string>(
    system,
    () =>
      specOf({
        start: () => null,
        async receive(state) {
          meter.enter();
          const held = gate();
          gates.push(held);
          await held.promise;
          meter.leave();
          return state;
        },
      }),
    'second',
  );
  const supervisor = createSupervisor({
    system,
    name: 'pair',
    strategy: 'rest-for-one',
    children: [first, second],
    budget: { count: 3, periodMs: 1_000 },
    backoff: { minMs: 10, maxMs: 10, jitterRatio: 0, quietMs: 1_000 },
    stopLimitMs: 5_000,
    onEscalate: () => expect.unreachable('the budget is not spent'),
  });
  await supervisor.start();
  second.ref.tell('work');
  second.ref.tell('more work');
  await settle(system);
  first.ref.tell('crash');
  await settle(system);
  expect(gates).toHaveLength(1);
  gates[0]?.open();
  await settle(system);
  await pass(system, clock, 20, 5);
  second.ref.tell('in the next life');
  await settle(system);
  expect(gates).toHaveLength(2);
  gates[1]?.open();
  await settle(system);
  expect(meter.most).toBe(1);
  await supervisor.stop(100);
});

test('B: after a crash that is resumed, the actor goes on with its later messages', async () => {
  const { system } = open();
  const seen: number[] = [];
  const ref = system.spawn<null, number>(
    specOf({
      start: () => null,
      supervision: { directive: 'resume' },
      async receive(state, message) {
        await Promise.resolve();
        if (message === 1) throw new Error('first');
        seen.push(message);
        return state;
      },
    }),
    'resumed',
  );
  for (const message of [1, 2, 3]) ref.tell(message);
  await settle(system);
  expect(seen).toEqual([2, 3]);
  expect(system.deadLetters.counts().failed).toBe(1);
});

test('C: a stop loses no message, not even the one that was about to be handled', async () => {
  const { system } = open();
  const seen: string[] = [];
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive(state, message) {
        seen.push(`handled ${message}`);
        return state;
      },
      refused: (message) => seen.push(`refused ${message}`),
    }),
    'stopped',
  );
  for (const message of ['m1', 'm2', 'm3']) ref.tell(message);
  await system.stop(ref);
  expect(seen).toEqual(['refused m1', 'refused m2', 'refused m3']);
});

test('D: the flush of a stop comes after the last handler, once', async () => {
  const { system } = open();
  const order: string[] = [];
  const held = gate();
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      async receive() {
        order.push('handler begins');
        await held.promise;
        order.push('handler ends');
        throw new Error('late');
      },
      stopping: () => void order.push('stopping'),
    }),
    'flushing',
  );
  ref.tell('m1');
  await settle(system);
  const stopped = system.stop(ref).then(() => order.push('stopped'));
  await settle(system);
  expect(order).toEqual(['handler begins']);
  held.open();
  await stopped;
  expect(order).toEqual(['handler begins', 'handler ends', 'stopping', 'stopped']);
});

test('E: a handler that fails after the stop of its actor ends nothing but itself', async () => {
  const { system } = open();
  const held = gate();
  const escalated: unknown[] = [];
  const ref = system.spawn<null, string>(
    specOf({ start: () => null, supervision: { directive: 'escalate' }, receive: () => held.promise.then(() => null) }),
    'doomed',
    undefined,
    (_ref, error) => escalated.push(error),
  );
  ref.tell('m1');
  await settle(system);
  const stopped = system.stop(ref);
  held.fail(new Error('too late'));
  await stopped;
  await settle(system);
  expect(escalated).toEqual([]);
  expect(system.deadLetters.counts().failed).toBe(1);
});

test('F: each handler sees the trace of its own message, also behind an asynchronous one', async () => {
  const { system } = open();
  const traces: (string | undefined)[] = [];
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      async receive(state, _message, ctx) {
        const before = ctx.trace?.spanId;
        await Promise.resolve();
        traces.push(before === ctx.trace?.spanId ? before : 'changed under the handler');
        return state;
      },
    }),
    'traced',
  );
  ref.tell('m1', { traceId: 't', spanId: '1' });
  ref.tell('m2');
  ref.tell('m3', { traceId: 't', spanId: '3' });
  await settle(system);
  expect(traces).toEqual(['1', undefined, '3']);
});

test('G: the crash handler of a spec is called with the state from before and the message that failed', async () => {
  const { system } = open();
  const failures: unknown[] = [];
  const ref = system.spawn<number, string>(
    specOf({
      start: () => 0,
      supervision: { directive: 'resume' },
      receive(state, message) {
        if (message === 'bad') throw new Error('bad message');
        return state + 1;
      },
      failed: (state, message, error) => failures.push([state, message, (error as Error).message]),
    }),
    'careful',
  );
  for (const message of ['ok', 'bad', 'ok']) ref.tell(message);
  await settle(system);
  expect(failures).toEqual([[1, 'bad', 'bad message']]);
  expect(system.deadLetters.counts().failed).toBe(0);
});

test('H: an idle entity is flushed before the next life of its key begins', async () => {
  const { system, clock } = open();
  const order: string[] = [];
  const flush = gate();
  const people = system.entities<string, null, string>({
    ...group,
    parent: 'people',
    kind: 'person',
    spec: () =>
      specOf({
        start: () => (order.push('start'), null),
        receive: (state, message) => (order.push(message), state),
        stopping: async () => {
          order.push('flush begins');
          await flush.promise;
          order.push('flush ends');
        },
      }),
  });
  people.tell('k', 'm1');
  await settle(system);
  await pass(system, clock, 3_000, 500);
  expect(people.tell('k', 'm2')).toBe('accepted');
  await settle(system);
  expect(order).toEqual(['start', 'm1', 'flush begins']);
  flush.open();
  await settle(system);
  expect(order).toEqual(['start', 'm1', 'flush begins', 'flush ends', 'start', 'm2']);
});

test('I: a start that always fails lets the clock and everyone else go on', async () => {
  const { system, clock } = open();
  let starts = 0;
  system.spawn<null, string>(
    specOf({
      start(): null {
        starts++;
        throw new Error('no state');
      },
      receive: (state) => state,
      supervision: restarting({ quarantineMs: 5_000 }),
    }),
    'unlucky',
  );
  await settle(system);
  expect(starts).toBe(1);
  await pass(system, clock, 1_000, 10);
  expect(starts).toBe(4);
  expect(system.inspect.one('/unlucky')?.status).toBe('quarantined');
});

test('J: any key makes an entity, whatever its characters, and shows in no path', async () => {
  const { system } = open();
  const people = system.entities<string, null, string>({
    ...group,
    parent: 'people',
    kind: 'person',
    spec: () => specOf({ start: () => null, receive: (state) => state }),
  });
  const keys = ['user@example.com', 'a/b', 'ключ', '#', '', ' ', '\u0000', '𝒳', 'x'.repeat(10_000)];
  for (const key of keys) expect(people.tell(key, 'hello')).toBe('accepted');
  await settle(system);
  expect(people.activeCount).toBe(keys.length);
  for (const key of keys) expect(people.pathOf(key)).toMatch(/^\/people\/[\w-]+\+\d+$/);
});

test('K: a ref to an actor that has ended does not reach its namesake', async () => {
  const { system } = open();
  const seen: string[] = [];
  const spawn = (life: string): ActorRef<string> =>
    system.spawn(
      specOf({ start: () => null, receive: (state: null, message: string) => (seen.push(`${life}: ${message}`), state) }),
      'name',
    );
  const old = spawn('old');
  await system.stop(old);
  const next = spawn('next');
  expect(next.path).not.toBe(old.path);
  expect(old.tell('for the old one')).toBe('stopped');
  expect(next.tell('for the next one')).toBe('accepted');
  await settle(system);
  expect(seen).toEqual(['next: for the next one']);
});

test('L: a reply after the deadline is a dead letter, and a flush that fails is a crash report, not an unhandled rejection', async () => {
  const { system, clock } = open();
  const replies: ActorRef<string>[] = [];
  const ref = system.spawn<null, { readonly replyTo: ActorRef<string> }>(
    specOf({
      start: () => null,
      receive: (state, message) => (replies.push(message.replyTo), state),
      stopping: () => Promise.reject(new Error('flush failed')),
    }),
    'slow',
  );
  const asked = system.ask<{ readonly replyTo: ActorRef<string> }, string>(ref, (replyTo) => ({ replyTo }), 100);
  const outcome = expect(asked).rejects.toMatchObject({ code: 'deadline' });
  await settle(system);
  await pass(system, clock, 100);
  await outcome;
  expect(replies[0]?.tell('late')).toBe('stopped');
  expect(system.deadLetters.counts()['late-reply']).toBe(1);
  await system.stop(ref);
});

test('M: a ref of one protocol is no ref of another, unless its actor understands all of it', () => {
  const narrow = undefined as unknown as ActorRef<'a'>;
  const wide = undefined as unknown as ActorRef<'a' | 'b'>;
  // @ts-expect-error -- 'b' would reach an actor that does not know it
  const upcast: ActorRef<'a' | 'b'> = narrow;
  const downcast: ActorRef<'a'> = wide;
  // @ts-expect-error -- two protocols that share nothing
  const other: ActorRef<{ readonly type: 'x' }> = narrow;
  expect([upcast, downcast, other]).toEqual([undefined, undefined, undefined]);
});

test('N: the parent of ten thousand entities takes no turn, and the entities share one actor’s', async () => {
  const { system } = open();
  let handled = 0;
  const people = system.entities<string, null, string>({
    ...group,
    parent: 'people',
    kind: 'person',
    spec: () => specOf({ start: () => null, receive: (state) => (handled++, state) }),
  });
  const turns = await nactTurns(async () => {
    for (let i = 0; i < 10_000; i++) people.tell(`key ${String(i)}`, 'hello');
    await settle(system);
  });
  expect(handled).toBe(10_000);
  expect(new Set(turns)).toEqual(new Set(['/turn']));
  expect(turns.length).toBeLessThan(50);
});

test('O: an entity that comes back gets a fresh name, so nact’s map of children holds no graveyard of one name', async () => {
  const { system } = open();
  const people = system.entities<string, null, string>({
    ...group,
    parent: 'people',
    kind: 'person',
    spec: () => specOf({ start: () => null, receive: (state) => state }),
  });
  const paths = new Set<string | undefined>();
  for (let life = 0; life < 10; life++) {
    people.tell('k', 'hello');
    await settle(system);
    paths.add(people.pathOf('k'));
    expect(people.passivate('k')).toBe(true);
  }
  expect(paths.size).toBe(10);
  expect(people.activeCount).toBe(0);
});

test('P: a hundred messages to one actor take one turn of nact, not a hundred', async () => {
  const { system } = open();
  let handled = 0;
  const ref = system.spawn<null, number>(specOf({ start: () => null, receive: (state) => (handled++, state) }), 'busy');
  await settle(system);
  const turns = await nactTurns(async () => {
    for (let i = 0; i < 100; i++) ref.tell(i);
    await settle(system);
  });
  expect(handled).toBe(100);
  expect(turns.filter((path) => path === '/busy').length).toBeLessThanOrEqual(2);
});

test('Q: a shutdown reaches every actor below every parent', async () => {
  const { system } = open();
  const ends: string[] = [];
  const make = (name: string) =>
    specOf<null, string>({ start: () => null, receive: (state) => state, stopping: () => void ends.push(name) });
  system.spawn(make('writer'), 'writer', system.parent('writers'));
  const people = system.entities<string, null, string>({ ...group, parent: 'people', kind: 'person', spec: make });
  people.tell('entity', 'hello');
  await settle(system);
  await system.shutdown(1_000);
  expect(ends).toEqual(['entity', 'writer']);
});
