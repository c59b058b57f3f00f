import { expect, test } from 'vitest';
import type { StopReason } from '../../../src/runtime/actor.ts';
import { observe } from '../../../src/observe/facts.ts';
import { gate, pass, restarting, settle, specOf } from '../../kit/actors.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();

test('I3: messages are handled in the order of their tells', async () => {
  const { system } = open();
  const seen: number[] = [];
  const ref = system.spawn<null, number>(specOf({ start: () => null, receive: (state, message) => (seen.push(message), state) }), 'list');
  const sent = Array.from({ length: 500 }, (_, i) => i);
  for (const message of sent) expect(ref.tell(message)).toBe('accepted');
  await settle(system);
  expect(seen).toEqual(sent);
});

test('a full mailbox refuses, and what it refuses stays the caller’s', async () => {
  const { system } = open();
  const seen: number[] = [];
  const ref = system.spawn<null, number>(
    specOf({ start: () => null, mailbox: { capacityCount: 2 }, receive: (state, message) => (seen.push(message), state) }),
    'small',
  );
  expect([1, 2, 3].map((message) => ref.tell(message))).toEqual(['accepted', 'accepted', 'full']);
  await settle(system);
  expect(ref.tell(4)).toBe('accepted');
  await settle(system);
  expect(seen).toEqual([1, 2, 4]);
  expect(Object.values(system.deadLetters.counts())).toEqual([0, 0, 0, 0, 0]);
});

test('I3: a timer’s message passes a full mailbox and goes first', async () => {
  const { system, clock } = open();
  const seen: string[] = [];
  const held = gate();
  const ref = system.spawn<null, string>(
    specOf({
      mailbox: { capacityCount: 2 },
      start(ctx) {
        ctx.after(10, 'timer');
        return null;
      },
      async receive(state, message) {
        if (message === 'first') await held.promise;
        seen.push(message);
        return state;
      },
    }),
    'urgent',
  );
  ref.tell('first');
  await settle(system);
  ref.tell('second');
  ref.tell('third');
  expect(ref.tell('fourth')).toBe('full');
  clock.advance(10);
  held.open();
  await settle(system);
  expect(seen).toEqual(['first', 'timer', 'second', 'third']);
});

test('I1: an asynchronous handler is alone until its promise settles, and its result is the next state', async () => {
  const { system } = open();
  const states: number[] = [];
  const ref = system.spawn<number, number>(
    specOf({
      start: () => 0,
      async receive(state, message) {
        states.push(state);
        await Promise.resolve();
        await Promise.resolve();
        return state + message;
      },
    }),
    'sum',
  );
  for (const message of [1, 2, 3, 4]) ref.tell(message);
  await settle(system);
  expect(states).toEqual([0, 1, 3, 6]);
});

test('a busy actor yields: others, and the event loop, get their turns between its messages', async () => {
  const { system } = open();
  const order: string[] = [];
  let left = 4_000;
  const busy = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive(state, message, ctx) {
        order.push('busy');
        if (--left > 0) ctx.self.tell(message);
        return state;
      },
    }),
    'busy',
  );
  const other = system.spawn<null, string>(specOf({ start: () => null, receive: (state) => (order.push('other'), state) }), 'other');
  busy.tell('again');
  other.tell('once');
  setImmediate(() => order.push('loop'));
  await settle(system);
  expect(order.indexOf('other')).toBeLessThan(1_100);
  expect(order.indexOf('loop')).toBeLessThan(1_100);
  expect(order.filter((who) => who === 'busy')).toHaveLength(4_000);
});

test('messages wait while a start loads, and are handled with what it loaded', async () => {
  const { system } = open();
  const loaded = gate<string>();
  const seen: string[] = [];
  const ref = system.spawn<string, string>(
    specOf({ start: () => loaded.promise, receive: (state, message) => (seen.push(state + message), state) }),
    'loading',
  );
  ref.tell('1');
  await settle(system);
  expect(system.inspect.one('/loading')?.status).toBe('starting');
  expect(seen).toEqual([]);
  loaded.open('state ');
  await settle(system);
  expect(seen).toEqual(['state 1']);
});

test('I2: a crash loses no message but the one that failed, and the next life starts after the backoff', async () => {
  const { system, clock } = open();
  const seen: string[] = [];
  let lives = 0;
  const ref = system.spawn<number, string>(
    specOf({
      start: (ctx) => {
        lives++;
        return ctx.incarnation;
      },
      receive(state, message) {
        if (message === 'bad') throw new Error('bad');
        seen.push(`${String(state)}:${message}`);
        return state;
      },
      failed: (state, message) => seen.push(`failed in ${String(state)}: ${message}`),
      supervision: restarting('escalate'),
    }),
    'phoenix',
  );
  for (const message of ['m1', 'bad', 'm2', 'm3']) ref.tell(message);
  await settle(system);
  expect(seen).toEqual(['1:m1', 'failed in 1: bad']);
  clock.advance(9);
  await settle(system);
  expect(lives).toBe(1);
  expect(ref.tell('m4')).toBe('accepted');
  await pass(system, clock, 1);
  expect(seen.slice(2)).toEqual(['2:m2', '2:m3', '2:m4']);
});

test('I5: every life that started ends with one stopping, with its reason and the state from before the crash', async () => {
  const { system, clock } = open();
  const ends: [number, StopReason][] = [];
  const escalated: string[] = [];
  const ref = system.spawn<number, string>(
    specOf({
      start: (ctx) => ctx.incarnation,
      receive: () => Promise.reject(new Error('never works')),
      stopping: (state, reason) => void ends.push([state, reason]),
      supervision: restarting('escalate', 2),
    }),
    'hopeless',
    undefined,
    (ended, error) => escalated.push(`${ended.path}: ${(error as Error).message}, ${ref.tell('after')}`),
  );
  for (let i = 0; i < 5; i++) ref.tell('try');
  await settle(system);
  await pass(system, clock, 100, 10);
  expect(ends).toEqual([
    [1, 'restarted'],
    [2, 'restarted'],
    [3, 'budget-spent'],
  ]);
  expect(escalated).toEqual(['/hopeless: never works, stopped']);
  expect(system.deadLetters.counts()).toMatchObject({ failed: 3, stopped: 2 });
});

test('restarts are forgotten after the period, so a crash now and then never spends the budget', async () => {
  const { system, clock } = open();
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive: () => {
        throw new Error('now and then');
      },
      supervision: restarting('escalate', 2),
    }),
    'sturdy',
  );
  for (let i = 0; i < 10; i++) {
    ref.tell('crash');
    await settle(system);
    await pass(system, clock, 6_000, 1_000);
  }
  expect(system.inspect.one('/sturdy')?.status).toBe('active');
});

test('in quarantine each message is settled by `refused` with the error that led there, and afterwards life goes on', async () => {
  const { system, clock } = open();
  const refused: string[] = [];
  let isCured = false;
  const handled: string[] = [];
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive(state, message) {
        if (!isCured) throw new Error('ill');
        handled.push(message);
        return state;
      },
      failed: (_state, message) => refused.push(`failed ${message}`),
      refused: (message, reason, error) => refused.push(`${message} ${reason} ${(error as Error).message}`),
      supervision: restarting({ quarantineMs: 1_000 }, 0),
    }),
    'ill',
  );
  expect(ref.tell('m1')).toBe('accepted');
  expect(ref.tell('m2')).toBe('accepted');
  await settle(system);
  expect(ref.tell('m3')).toBe('accepted');
  await settle(system);
  expect(refused).toEqual(['failed m1', 'm2 quarantined ill', 'm3 quarantined ill']);
  isCured = true;
  await pass(system, clock, 1_000);
  expect(ref.tell('m4')).toBe('accepted');
  await settle(system);
  expect(handled).toEqual(['m4']);
});

test('in quarantine an actor without `refused` answers stopped', async () => {
  const { system } = open();
  const ref = system.spawn<null, string>(
    specOf({
      start: () => {
        throw new Error('no start');
      },
      receive: (state: null) => state,
      supervision: restarting({ quarantineMs: 1_000 }, 0),
    }),
    'closed',
  );
  expect(ref.tell('early')).toBe('accepted');
  await settle(system);
  expect(ref.tell('late')).toBe('stopped');
  expect(system.deadLetters.counts().failed).toBe(1);
});

test('I4: exceptions in failed, refused, stopping and inspect stay inside', async () => {
  const { system } = open();
  const crashes: string[] = [];
  const end = observe('runtime-actor-crashed', (fact) => crashes.push(fact.message));
  const fail = (what: string) => () => {
    throw new Error(what);
  };
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive: fail('receive'),
      failed: fail('failed'),
      refused: fail('refused'),
      stopping: fail('stopping'),
      inspect: fail('inspect'),
      supervision: { directive: 'resume' },
    }),
    'clumsy',
  );
  ref.tell('m1');
  await settle(system);
  expect(system.inspect.one('/clumsy')?.details).toEqual({ inspect: 'failed' });
  ref.tell('m2');
  await system.stop(ref);
  end();
  expect(crashes).toEqual(['receive', 'failed', 'stopping', 'refused']);
  expect(system.deadLetters.counts()).toMatchObject({ failed: 2 });
});

test('a resumed actor keeps its state; a failing start has none to keep and escalates', async () => {
  const { system } = open();
  const escalated: unknown[] = [];
  system.spawn<null, string>(
    specOf({
      start: () => {
        throw new Error('no state');
      },
      receive: (state: null) => state,
      supervision: { directive: 'resume' },
    }),
    'stateless',
    undefined,
    (_ref, error) => escalated.push((error as Error).message),
  );
  await settle(system);
  expect(escalated).toEqual(['no state']);
});

test('timers end with the life that made them', async () => {
  const { system, clock } = open();
  const seen: string[] = [];
  const ref = system.spawn<number, string>(
    specOf({
      start(ctx) {
        ctx.every(10, `tick of life ${String(ctx.incarnation)}`);
        return ctx.incarnation;
      },
      receive(state, message) {
        if (message === 'crash') throw new Error('crash');
        seen.push(message);
        return state;
      },
      supervision: restarting('escalate'),
    }),
    'ticking',
  );
  await settle(system);
  await pass(system, clock, 20, 10);
  ref.tell('crash');
  await settle(system);
  await pass(system, clock, 20, 10);
  expect(seen).toEqual(['tick of life 1', 'tick of life 1', 'tick of life 2']);
  await system.stop(ref);
  expect(system.timerCount).toBe(0);
});

test('a slow actor does not collect the ticks of its interval', async () => {
  const { system, clock } = open();
  const held = gate();
  let ticks = 0;
  const ref = system.spawn<null, string>(
    specOf({
      start(ctx) {
        ctx.every(10, 'tick');
        return null;
      },
      async receive(state, message) {
        if (message === 'tick') ticks++;
        else await held.promise;
        return state;
      },
    }),
    'slow',
  );
  ref.tell('work');
  await settle(system);
  clock.advance(1_000);
  expect(system.inspect.one('/slow')?.mailboxDepth).toBe(1);
  held.open();
  await settle(system);
  expect(ticks).toBe(1);
});

test('a stop that takes longer than its limit gives the actor up, and says so', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const end = observe('log-written', (fact) => log.push(fact.message));
  const failed: string[] = [];
  const ref = system.spawn<null, string>(
    specOf({ start: () => null, receive: () => gate<null>().promise, failed: (_state, message) => failed.push(message) }),
    'stuck',
  );
  ref.tell('work');
  ref.tell('more');
  await settle(system);
  let isStopped = false;
  const stopped = system.stop(ref, 100).then(() => (isStopped = true));
  expect(ref.tell('late')).toBe('stopped');
  await pass(system, clock, 99);
  expect(isStopped).toBe(false);
  await pass(system, clock, 1);
  await stopped;
  end();
  expect(failed).toEqual(['work']);
  expect(log).toContain('An actor took too long to stop and was given up.');
  expect(system.inspect.one('/stuck')).toBeUndefined();
});

test('an actor that stops itself finishes the message in work and refuses the rest', async () => {
  const { system } = open();
  const seen: string[] = [];
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive(state, message, ctx) {
        ctx.stop();
        seen.push(`handled ${message}`);
        return state;
      },
      stopping: (_state, reason) => void seen.push(reason),
      refused: (message, reason) => seen.push(`${message} ${reason}`),
    }),
    'brief',
  );
  ref.tell('m1');
  ref.tell('m2');
  await settle(system);
  expect(seen).toEqual(['handled m1', 'stopped', 'm2 stopped']);
  expect(ref.tell('m3')).toBe('stopped');
});

test('a stop during a backoff, a quarantine or a start ends the actor there and then', async () => {
  const { system, clock } = open();
  const crash = specOf<null, string>({
    start: () => {
      throw new Error('no start');
    },
    receive: (state) => state,
    supervision: restarting({ quarantineMs: 1_000 }, 1),
  });
  const backingOff = system.spawn(crash, 'backing-off');
  await settle(system);
  await system.stop(backingOff);
  const quarantined = system.spawn(crash, 'quarantined');
  await settle(system);
  await pass(system, clock, 10);
  expect(system.inspect.one(quarantined.path)?.status).toBe('quarantined');
  await system.stop(quarantined);
  const loaded = gate<null>();
  const ends: StopReason[] = [];
  const starting = system.spawn<null, string>(
    specOf({ start: () => loaded.promise, receive: (state) => state, stopping: (_state, reason) => void ends.push(reason) }),
    'starting',
  );
  await settle(system);
  const stopped = system.stop(starting);
  loaded.open(null);
  await stopped;
  expect(ends).toEqual(['stopped']);
  expect(system.inspect.list()).toEqual([]);
});

test('after a kill nothing runs, nothing is flushed and every tell answers stopped', async () => {
  const { system, clock } = open();
  const seen: string[] = [];
  const held = gate();
  const ref = system.spawn<null, string>(
    specOf({
      start: (ctx) => (ctx.after(10, 'timer'), null),
      async receive(state, message) {
        await held.promise;
        seen.push(message);
        return state;
      },
      stopping: () => void seen.push('flushed'),
    }),
    'killed',
  );
  ref.tell('m1');
  ref.tell('m2');
  await settle(system);
  system.kill();
  held.open();
  clock.advance(1_000);
  await settle(system);
  expect(seen).toEqual(['m1']);
  expect(ref.tell('m3')).toBe('stopped');
  expect(clock.pendingCount).toBe(0);
});

test('the system is quiescent when only a timer or somebody outside can make an actor run', async () => {
  const { system } = open();
  const held = gate();
  const ref = system.spawn<null, string>(specOf({ start: () => null, receive: (state) => held.promise.then(() => state) }), 'waiting');
  expect(system.isQuiescent()).toBe(false);
  await settle(system);
  ref.tell('m1');
  ref.tell('m2');
  expect(system.isQuiescent()).toBe(false);
  await settle(system);
  expect([system.isQuiescent(), system.awaitingCount]).toEqual([true, 1]);
  held.open();
  await settle(system);
  expect([system.isQuiescent(), system.awaitingCount]).toEqual([true, 0]);
});

test('a name is unique among the living, and a shutdown ends actors in reverse order of their start', async () => {
  const { system } = open();
  const ends: string[] = [];
  const parent = system.parent('writers');
  const make = (name: string) =>
    specOf<null, string>({ start: () => null, receive: (state) => state, stopping: () => void ends.push(name) });
  for (const name of ['a', 'b', 'c']) system.spawn(make(name), name, parent);
  expect(() => system.spawn(make('b'), 'b', parent)).toThrow('taken');
  expect(() => system.spawn(make('b'), 'no/slash', parent)).toThrow();
  await settle(system);
  expect(system.inspect.list().map((actor) => actor.path)).toEqual(['/writers/a', '/writers/b', '/writers/c']);
  await system.shutdown(1_000);
  expect(ends).toEqual(['c', 'b', 'a']);
  expect(() => system.spawn(make('d'), 'd')).toThrow('closed');
});

test('a flush given up at its limit does not disturb the next life when it ends after all', async () => {
  const { system, clock } = open();
  const flushed = gate();
  const log: string[] = [];
  const ref = system.spawn<number, string>(
    specOf({
      start: (ctx) => (log.push(`start ${String(ctx.incarnation)}`), ctx.incarnation),
      receive(state, message) {
        if (message === 'crash') throw new Error('crash');
        log.push(`${String(state)}:${message}`);
        return state;
      },
      stopping: (state) => (state === 1 ? flushed.promise : undefined),
      supervision: restarting('escalate'),
    }),
    'slow-flush',
  );
  ref.tell('crash');
  await settle(system);
  await pass(system, clock, 10_000);
  await pass(system, clock, 10);
  flushed.open();
  await settle(system);
  await pass(system, clock, 1_000, 10);
  ref.tell('hello');
  await settle(system);
  expect(log).toEqual(['start 1', 'start 2', '2:hello']);
});

test('I5: a stop during the backoff after a crash does not flush that life again', async () => {
  const { system } = open();
  const ends: StopReason[] = [];
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive: () => {
        throw new Error('crash');
      },
      stopping: (_state, reason) => void ends.push(reason),
      supervision: restarting('escalate'),
    }),
    'once',
  );
  ref.tell('crash');
  await settle(system);
  await system.stop(ref);
  expect(ends).toEqual(['restarted']);
});

test('a timer’s message that waits when its life ends is not told to the next one', async () => {
  const { system, clock } = open();
  const held = gate();
  const seen: string[] = [];
  const ref = system.spawn<number, string>(
    specOf({
      start(ctx) {
        ctx.after(10, `timer of life ${String(ctx.incarnation)}`);
        return ctx.incarnation;
      },
      async receive(state, message) {
        if (message === 'crash') {
          await held.promise;
          throw new Error('crash');
        }
        seen.push(message);
        return state;
      },
      supervision: restarting('escalate'),
    }),
    'timed',
  );
  ref.tell('crash');
  await settle(system);
  clock.advance(10);
  held.open();
  await settle(system);
  await pass(system, clock, 20, 10);
  expect(seen).toEqual(['timer of life 2']);
});

test('after a quarantine the budget is whole again', async () => {
  const { system, clock } = open();
  const ref = system.spawn<null, string>(
    specOf({
      start: () => null,
      receive: () => {
        throw new Error('crash');
      },
      supervision: restarting({ quarantineMs: 1_000 }, 1),
    }),
    'forgiven',
  );
  const crash = async (): Promise<string | undefined> => {
    ref.tell('crash');
    await settle(system);
    return system.inspect.one('/forgiven')?.status;
  };
  expect(await crash()).toBe('backing-off');
  await pass(system, clock, 10);
  expect(await crash()).toBe('quarantined');
  await pass(system, clock, 1_000);
  expect(await crash()).toBe('backing-off');
});

test('I6: at rest an actor holds neither a mailbox nor a trace', async () => {
  const { system } = open();
  const ref = system.spawn<null, string>(specOf({ start: () => null, receive: (state) => state }), 'at-rest');
  ref.tell('m', { traceId: 't', spanId: 's' });
  await settle(system);
  expect(ref).toMatchObject({ mailbox: undefined, trace: undefined });
});
