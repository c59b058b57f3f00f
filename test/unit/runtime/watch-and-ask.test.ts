import { expect, test } from 'vitest';
import type { ActorRef, AnyRef } from '../../../src/runtime/ref.ts';
import { observe } from '../../../src/observe/facts.ts';
import { pass, probe, restarting, settle, specOf } from '../../kit/actors.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();

const idle = specOf<null, string>({ start: () => null, receive: (state) => state });
const watcherOf = (target: AnyRef, seen: string[]) =>
  specOf<null, string>({
    start(ctx) {
      ctx.watch(target, `life ${String(ctx.incarnation)} saw the end`);
      return null;
    },
    receive(state, message) {
      if (message === 'crash') throw new Error('crash');
      seen.push(message);
      return state;
    },
    supervision: restarting('escalate'),
  });

test('a watcher is told once when the watched actor ends, however it ends', async () => {
  const { system } = open();
  const seen: string[] = [];
  const crashing = system.spawn<null, string>(specOf({ start: () => null, receive: () => Promise.reject(new Error('crash')) }), 'watched');
  system.spawn(watcherOf(crashing, seen), 'watcher');
  await settle(system);
  expect(seen).toEqual([]);
  crashing.tell('crash');
  await settle(system);
  await system.stop(crashing);
  await settle(system);
  expect(seen).toEqual(['life 1 saw the end']);
});

test('a watcher of an actor that had ended before, or of something that is no actor, is told at once', async () => {
  const { system } = open();
  const seen: string[] = [];
  const ended = system.spawn(idle, 'ended');
  await system.stop(ended);
  system.spawn(watcherOf(ended, seen), 'late');
  system.spawn(watcherOf(probe('nobody'), seen), 'later');
  await settle(system);
  expect(seen).toEqual(['life 1 saw the end', 'life 1 saw the end']);
});

test('a watch ends with the life that asked for it', async () => {
  const { system, clock } = open();
  const seen: string[] = [];
  const watched = system.spawn(idle, 'watched');
  const watcher = system.spawn(watcherOf(watched, seen), 'watcher');
  watcher.tell('crash');
  await settle(system);
  await pass(system, clock, 10);
  await system.stop(watched);
  await settle(system);
  expect(seen).toEqual(['life 2 saw the end']);
});

test('an entity’s passivation is an end that a watcher is told of', async () => {
  const { system } = open();
  const seen: string[] = [];
  let self: AnyRef | undefined;
  const people = system.entities<string, null, string>({
    parent: 'people',
    kind: 'person',
    idleMs: 1_000,
    sweepEveryMs: 500,
    activeLimitCount: 10,
    inFlightLimitCount: 1,
    bufferCount: 10,
    spec: () =>
      specOf({
        start: (ctx) => {
          self = ctx.self;
          return null;
        },
        receive: (state) => state,
      }),
  });
  people.tell('a', 'hello');
  await settle(system);
  if (self === undefined) throw new Error('The entity did not start.');
  system.spawn(watcherOf(self, seen), 'watcher');
  await settle(system);
  people.passivate('a');
  await settle(system);
  expect(seen).toEqual(['life 1 saw the end']);
});

interface Question {
  readonly n: number;
  readonly replyTo: ActorRef<number>;
}
const doubler = specOf<null, Question>({
  mailbox: { capacityCount: 1 },
  supervision: { directive: 'resume' },
  start: () => null,
  receive(state, { n, replyTo }) {
    if (n < 0) throw new RangeError('negative');
    if (n > 0) replyTo.tell(n * 2);
    return state;
  },
});

test('an ask resolves to the first reply and leaves no timer', async () => {
  const { system } = open();
  const ref = system.spawn(doubler, 'doubler');
  expect(await system.ask<Question, number>(ref, (replyTo) => ({ n: 21, replyTo }), 1_000)).toBe(42);
  expect(system.timerCount).toBe(0);
});

test('an ask that is refused, whose handler throws, or whose message is left over by a stop, fails at once with its reason', async () => {
  const { system } = open();
  const ref = system.spawn(doubler, 'doubler');
  const ask = (n: number): Promise<number> => system.ask<Question, number>(ref, (replyTo) => ({ n, replyTo }), 1_000_000);
  await expect(ask(-1)).rejects.toMatchObject({ code: 'failed', cause: new RangeError('negative') });
  const waiting = ask(1);
  const full = ask(2);
  await expect(full).rejects.toMatchObject({ code: 'full' });
  const stopped = system.stop(ref);
  await expect(waiting).rejects.toMatchObject({ code: 'stopped' });
  await stopped;
  await expect(ask(3)).rejects.toMatchObject({ code: 'stopped' });
  expect(system.timerCount).toBe(0);
});

test('an ask without a reply fails at its deadline, all asks on one timer of the clock', async () => {
  const { system, clock } = open();
  const ref = system.spawn({ ...doubler, mailbox: { capacityCount: 100 } }, 'mute');
  const asks = Array.from({ length: 50 }, (_, i) => system.ask<Question, number>(ref, (replyTo) => ({ n: 0, replyTo }), 100 + i));
  expect(clock.pendingCount).toBe(1);
  const outcomes = Promise.allSettled(asks);
  await settle(system);
  clock.advance(200);
  expect(
    (await outcomes).map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'replied')),
  ).toEqual(Array(50).fill('deadline'));
});

test('dead letters are all counted and stated, and kept by type without content', async () => {
  const { system, clock } = open();
  const facts: unknown[] = [];
  const end = observe('runtime-message-dead-lettered', (fact) => facts.push(fact));
  const ref = system.spawn<null, { readonly type: 'secret'; readonly text: string }>(
    specOf({
      start: () => null,
      receive: () => {
        throw new Error('fails');
      },
      supervision: { directive: 'resume' },
    }),
    'failing',
  );
  for (let i = 0; i < 150; i++) ref.tell({ type: 'secret', text: 'hush' });
  await settle(system);
  await pass(system, clock, 10_000);
  ref.tell({ type: 'secret', text: 'hush' });
  await settle(system);
  end();
  expect(system.deadLetters.counts().failed).toBe(151);
  expect(system.deadLetters.recent()).toHaveLength(100);
  expect(JSON.stringify(system.deadLetters.recent())).not.toContain('hush');
  expect(system.deadLetters.recent()[0]).toMatchObject({ messageType: 'secret', path: '/failing', reason: 'failed' });
  expect(facts).toHaveLength(151);
  expect(facts[0]).toEqual({ kind: ref.kind, reason: 'failed', path: '/failing', messageType: 'secret' });
});
