import { expect, test } from 'vitest';
import { actorChild, createSupervisor, type ChildSpec, type SupervisorOptions } from '../../../src/runtime/supervisor.ts';
import type { ActorSystem } from '../../../src/runtime/system.ts';
import { pass, settle, specOf } from '../../kit/actors.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();

function supervised(system: ActorSystem, parts: Pick<SupervisorOptions, 'children'> & Partial<SupervisorOptions>) {
  const escalated: unknown[] = [];
  const supervisor = createSupervisor({
    system,
    name: 'test',
    strategy: 'rest-for-one',
    budget: { count: 2, periodMs: 10_000 },
    backoff: { minMs: 10, maxMs: 10, jitterRatio: 0, quietMs: 60_000 },
    stopLimitMs: 1_000,
    onEscalate: (error) => escalated.push((error as Error).message),
    ...parts,
  });
  return { supervisor, escalated };
}

function loggedChild(system: ActorSystem, log: string[], name: string) {
  return actorChild<null, string>(
    system,
    () =>
      specOf({
        start: () => (log.push(`+${name}`), null),
        receive(state, message) {
          if (message === 'crash') throw new Error(`${name} crashed`);
          log.push(`${name} got ${message}`);
          return state;
        },
        stopping: (_state, reason) => void log.push(`-${name} ${reason}`),
        supervision: { directive: 'escalate' },
      }),
    name,
    system.parent('tree'),
  );
}

test('I1: children start in order and stop in reverse', async () => {
  const { system } = open();
  const log: string[] = [];
  const { supervisor } = supervised(system, { children: ['a', 'b', 'c'].map((name) => loggedChild(system, log, name)) });
  await supervisor.start();
  await settle(system);
  expect(supervisor.running()).toEqual(['a', 'b', 'c']);
  await supervisor.stop(1_000);
  expect(log).toEqual(['+a', '+b', '+c', '-c stopped', '-b stopped', '-a stopped']);
  expect(supervisor.running()).toEqual([]);
});

test('I2: rest-for-one restarts the child that escalated and those started after it, after the backoff', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const [a, b, c] = ['a', 'b', 'c'].map((name) => loggedChild(system, log, name));
  if (a === undefined || b === undefined || c === undefined) throw new Error('Three children were made.');
  const { supervisor } = supervised(system, { children: [a, b, c] });
  await supervisor.start();
  await settle(system);
  log.length = 0;
  b.ref.tell('crash');
  await settle(system);
  expect(log).toEqual(['-b budget-spent', '-c stopped']);
  expect([a.ref, b.ref, c.ref].map((ref) => ref.tell('hello'))).toEqual(['accepted', 'stopped', 'stopped']);
  await pass(system, clock, 10);
  expect(log.slice(2)).toEqual(['a got hello', '+b', '+c']);
  expect(c.ref.tell('again')).toBe('accepted');
  await settle(system);
  expect(log.at(-1)).toBe('c got again');
  await supervisor.stop(1_000);
});

test('I2: one-for-one restarts the child that escalated alone', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const children = ['a', 'b', 'c'].map((name) => loggedChild(system, log, name));
  const { supervisor } = supervised(system, { strategy: 'one-for-one', children });
  await supervisor.start();
  await settle(system);
  log.length = 0;
  children[1]?.ref.tell('crash');
  await settle(system);
  await pass(system, clock, 10);
  expect(log).toEqual(['-b budget-spent', '+b']);
  await supervisor.stop(1_000);
});

test('I4: one restart too many stops everything in reverse and escalates once', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const children = ['a', 'b', 'c'].map((name) => loggedChild(system, log, name));
  const { supervisor, escalated } = supervised(system, { children });
  await supervisor.start();
  await settle(system);
  for (let crash = 0; crash < 3; crash++) {
    log.length = 0;
    children[0]?.ref.tell('crash');
    await settle(system);
    await pass(system, clock, 10);
  }
  expect(log).toEqual(['-a budget-spent', '-c stopped', '-b stopped']);
  expect(escalated).toEqual(['a crashed']);
  expect(supervisor.running()).toEqual([]);
});

test('a child whose start throws is started again after the backoff; a start that spends the budget stops the others and throws', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  let failuresLeft = 2;
  const flaky: ChildSpec = {
    name: 'flaky',
    start() {
      if (failuresLeft-- > 0) throw new Error('not yet');
      log.push('+flaky');
      return { stop: () => Promise.resolve() };
    },
  };
  const { supervisor } = supervised(system, { children: [loggedChild(system, log, 'a'), flaky] });
  const started = supervisor.start();
  await settle(system);
  await pass(system, clock, 20, 10);
  await started;
  expect(log).toEqual(['+a', '+flaky']);
  await supervisor.stop(1_000);

  failuresLeft = 100;
  const second = supervised(system, { children: [loggedChild(system, log, 'b'), flaky] });
  const failing = expect(second.supervisor.start()).rejects.toThrow('not yet');
  await settle(system);
  await pass(system, clock, 30, 10);
  await failing;
  await settle(system);
  expect(second.supervisor.running()).toEqual([]);
  expect(log.slice(2).filter((line) => line !== '-a stopped')).toEqual(['+b', '-b stopped']);
});

test('a supervisor is a child of another: what it cannot bear goes one level up', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const leaf = loggedChild(system, log, 'leaf');
  const inner: ChildSpec = {
    name: 'inner',
    async start(escalate) {
      const { supervisor } = supervised(system, { children: [leaf], budget: { count: 0, periodMs: 1_000 }, onEscalate: escalate });
      await supervisor.start();
      return supervisor;
    },
  };
  const { supervisor, escalated } = supervised(system, { children: [inner], budget: { count: 1, periodMs: 10_000 } });
  await supervisor.start();
  await settle(system);
  for (let crash = 0; crash < 2; crash++) {
    leaf.ref.tell('crash');
    await settle(system);
    await pass(system, clock, 10);
  }
  expect(log).toEqual(['+leaf', '-leaf budget-spent', '+leaf', '-leaf budget-spent']);
  expect(escalated).toEqual(['leaf crashed']);
});

test('children come and go while the others live', async () => {
  const { system } = open();
  const log: string[] = [];
  const { supervisor } = supervised(system, { strategy: 'one-for-one', children: [] });
  await supervisor.start();
  await supervisor.add(loggedChild(system, log, 'partition-0'));
  await supervisor.add(loggedChild(system, log, 'partition-1'));
  await expect(supervisor.add(loggedChild(system, log, 'partition-1'))).rejects.toThrow('has a child');
  await settle(system);
  await supervisor.remove('partition-0', 1_000);
  await supervisor.remove('partition-9', 1_000);
  expect(supervisor.running()).toEqual(['partition-1']);
  expect(log).toEqual(['+partition-0', '+partition-1', '-partition-0 stopped']);
  await supervisor.stop(1_000);
});

test('a stop during a backoff wins: nothing starts afterwards', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const child = loggedChild(system, log, 'a');
  const { supervisor, escalated } = supervised(system, { children: [child] });
  await supervisor.start();
  await settle(system);
  child.ref.tell('crash');
  await settle(system);
  const stopped = supervisor.stop(1_000);
  await pass(system, clock, 100, 10);
  await stopped;
  expect(log).toEqual(['+a', '-a budget-spent']);
  expect([supervisor.running(), escalated]).toEqual([[], []]);
});

test('two children that escalate together are restarted together, for the price of one', async () => {
  const { system, clock } = open();
  const log: string[] = [];
  const fails: ((error: unknown) => void)[] = [];
  const children: ChildSpec[] = ['a', 'b'].map((name) => ({
    name,
    start(escalate) {
      log.push(`+${name}`);
      fails.push(escalate);
      return { stop: () => Promise.resolve() };
    },
  }));
  const { supervisor, escalated } = supervised(system, { children, budget: { count: 1, periodMs: 10_000 } });
  await supervisor.start();
  for (const fail of fails) fail(new Error('network lost'));
  await settle(system);
  await pass(system, clock, 50, 10);
  expect(log).toEqual(['+a', '+b', '+a', '+b']);
  expect(escalated).toEqual([]);
  await supervisor.stop(1_000);
});

test('a child that is no actor is not started either by a restart that a stop overtook', async () => {
  const { system, clock } = open();
  let starts = 0;
  let fail: (error: unknown) => void = () => undefined;
  const child: ChildSpec = {
    name: 'server',
    start(escalate) {
      starts++;
      fail = escalate;
      return { stop: () => Promise.resolve() };
    },
  };
  const { supervisor } = supervised(system, { children: [child] });
  await supervisor.start();
  fail(new Error('connection lost'));
  await settle(system);
  const stopped = supervisor.stop(1_000);
  await pass(system, clock, 50, 10);
  await stopped;
  expect([starts, supervisor.running()]).toEqual([1, []]);
});
