/**
 * What an actor costs. Run: `node --expose-gc test/bench/runtime.bench.ts [entities]` (default 1,000,000 idle entities).
 *
 * Measured: CPU-bound message passing in one process, handlers that do next to nothing, on a warm engine. Each figure is the median of
 * ROUNDS_COUNT rounds. Expected error on a shared machine: 10-15 %; compare ratios, not absolutes.
 * Not measured: handlers that work, memory pressure of real states, I/O, more than one process.
 */
import { dispatch, spawn, start, stop } from 'nact';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createActorSystem, type ActorSystem } from '../../src/runtime/system.ts';
import { seededRandom } from '../kit/clock.ts';

const ROUNDS_COUNT = 9;
/** The optimising compiler needs some 100,000 messages to make up its mind. */
const WARM_UP_ROUNDS_COUNT = 10;
const { gc } = globalThis;
if (gc === undefined) throw new Error('Run with --expose-gc.');
const collect = gc;

const heapBytes = (): number => {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
};
const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
async function measure(name: string, unit: string, perCount: number, round: () => Promise<void>): Promise<number> {
  for (let i = 0; i < WARM_UP_ROUNDS_COUNT; i++) await round();
  const figures: number[] = [];
  for (let i = 0; i < ROUNDS_COUNT; i++) {
    const startedMs = performance.now();
    await round();
    figures.push(((performance.now() - startedMs) * 1_000) / perCount);
  }
  const figure = median(figures);
  report(name, figure, unit);
  return figure;
}
function report(name: string, figure: number, unit: string): void {
  console.log(
    `${name.padEnd(64)} ${figure >= 100 ? Math.round(figure).toLocaleString('en').padStart(9) : figure.toFixed(3).padStart(9)} ${unit}`,
  );
}

interface Add {
  readonly type: 'add';
  readonly n: number;
}
const add: Add = { type: 'add', n: 1 };

class Counter implements ActorSpec<number[], Add> {
  readonly kind: string = 'counter';
  readonly mailbox = { capacityCount: 1_000_000 };
  readonly supervision = { directive: 'stop' } as const;
  leftCount = 0;
  done: () => void = () => undefined;
  start(): number[] {
    return [0];
  }
  receive(state: number[], message: Add): number[] {
    state[0] = (state[0] ?? 0) + message.n;
    if (--this.leftCount === 0) this.done();
    return state;
  }
  expect(count: number): Promise<void> {
    this.leftCount = count;
    return new Promise((resolve) => (this.done = resolve));
  }
}
class AsyncCounter extends Counter {
  // eslint-disable-next-line @typescript-eslint/require-await -- what is measured is a handler that returns a promise
  async receiveLater(state: number[], message: Add): Promise<number[]> {
    return super.receive(state, message);
  }
}

function fresh(): ActorSystem {
  return createActorSystem({ name: 'bench', clock: systemClock, random: seededRandom(1) });
}

const MESSAGES_COUNT = 100_000;
const KEYS_COUNT = 10_000;
const KEYS = Array.from({ length: KEYS_COUNT }, (_, i) => `1:user-${String(i)}@example.com`);
let sameTurn = 0;

async function oneActor(): Promise<void> {
  const root = start();
  let left = 0;
  let done = (): void => undefined;
  const raw = spawn(
    root,
    (state: number[], message: Add) => {
      state[0] = (state[0] ?? 0) + message.n;
      if (--left === 0) done();
      return state;
    },
    'raw',
    { initialState: [0] },
  );
  const rawUs = await measure('raw nact, one actor, sync handler', 'us/message', MESSAGES_COUNT, () => {
    left = MESSAGES_COUNT;
    for (let i = 0; i < MESSAGES_COUNT; i++) dispatch(raw, add);
    return new Promise((resolve) => (done = resolve));
  });
  stop(root);

  const system = fresh();
  const spec = new Counter();
  const ref = system.spawn(spec, 'cell');
  const cellUs = await measure('cell, one actor, sync handler', 'us/message', MESSAGES_COUNT, () => {
    const all = spec.expect(MESSAGES_COUNT);
    for (let i = 0; i < MESSAGES_COUNT; i++) ref.tell(add);
    return all;
  });
  const slow = new AsyncCounter();
  const later = system.spawn<number[], Add>(
    {
      kind: 'later',
      start: () => slow.start(),
      receive: (state, message) => slow.receiveLater(state, message),
      mailbox: slow.mailbox,
      supervision: slow.supervision,
    },
    'later',
  );
  await measure('cell, one actor, async handler', 'us/message', MESSAGES_COUNT, () => {
    const all = slow.expect(MESSAGES_COUNT);
    for (let i = 0; i < MESSAGES_COUNT; i++) later.tell(add);
    return all;
  });
  await measure('cell, one message per turn', 'us/message', 2_000, async () => {
    for (let i = 0; i < 2_000; i++) {
      const one = spec.expect(1);
      ref.tell(add);
      await one;
    }
  });
  report('cell / raw nact (target 0.25)', cellUs / rawUs, 'ratio');
  system.kill();
  sameTurn = rawUs;
}

function people(system: ActorSystem, spec: ActorSpec<number[], Add>, limitCount: number) {
  return system.entities<string, number[], Add>({
    parent: 'people',
    kind: 'counter',
    spec: () => spec,
    idleMs: 3_600_000,
    sweepEveryMs: 60_000,
    activeLimitCount: limitCount,
    inFlightLimitCount: 100,
    bufferCount: 100_000,
  });
}

async function manyEntities(): Promise<void> {
  const system = fresh();
  const spec = new Counter();
  const group = people(system, spec, KEYS_COUNT * 2);
  const us = await measure('entities, one message to each of 10,000 (batch)', 'us/message', KEYS_COUNT, () => {
    const all = spec.expect(KEYS_COUNT);
    for (const key of KEYS) group.tell(key, add);
    return all;
  });
  report('entity message / raw nact (target 0.25)', us / sameTurn, 'ratio');
  await measure('entities, five messages to each of 10,000', 'us/message', KEYS_COUNT * 5, () => {
    const all = spec.expect(KEYS_COUNT * 5);
    for (let i = 0; i < 5; i++) for (const key of KEYS) group.tell(key, add);
    return all;
  });
  await measure('entities, activate + one message + passivate', 'us/entity', KEYS_COUNT, async () => {
    for (const key of KEYS) group.passivate(key);
    const all = spec.expect(KEYS_COUNT);
    for (const key of KEYS) group.tell(key, add);
    await all;
  });
  system.kill();

  const root = start();
  const mute = spawn(root, () => undefined, 'people');
  let left = 0;
  let done = (): void => undefined;
  let round = 0;
  const work = (state: number[], message: Add): number[] => {
    state[0] = (state[0] ?? 0) + message.n;
    if (--left === 0) done();
    return state;
  };
  await measure('raw nact, spawn + one message + stop, mute parent', 'us/actor', KEYS_COUNT, async () => {
    round++;
    left = KEYS_COUNT;
    const all = new Promise<void>((resolve) => (done = resolve));
    const refs = KEYS.map((_, i) => spawn(mute, work, `${String(i)}+${String(round)}`, { initialState: [0] }));
    for (const ref of refs) dispatch(ref, add);
    await all;
    for (const ref of refs) stop(ref);
    await new Promise((resolve) => setImmediate(resolve));
  });
  stop(root);
}

async function idleEntities(count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, i) => `1:${String(i)}`);
  const system = fresh();
  const spec = new Counter();
  const group = people(system, spec, count);
  const before = heapBytes();
  const startedMs = performance.now();
  for (let from = 0; from < count; from += 10_000) {
    const all = spec.expect(Math.min(10_000, count - from));
    for (const key of keys.slice(from, from + 10_000)) group.tell(key, add);
    await all;
  }
  const tookMs = performance.now() - startedMs;
  const bytes = (heapBytes() - before) / count;
  report(`${count.toLocaleString('en')} idle entities: heap each, state of one number included`, bytes, 'bytes (target 1,500)');
  report(`${count.toLocaleString('en')} idle entities: activation with one message`, (tookMs * 1_000) / count, 'us/entity');
  report('resident memory of the process', process.memoryUsage().rss / 2 ** 20, 'MiB');
  const again = spec.expect(10_000);
  const step = Math.max(1, Math.floor(count / 10_000));
  const warmMs = performance.now();
  for (let i = 0; i < 10_000; i++) group.tell(keys[(i * step) % count] ?? '', add);
  await again;
  report('a message to 10,000 of them (cold caches)', ((performance.now() - warmMs) * 1_000) / 10_000, 'us/message');
  const stopMs = performance.now();
  await group.stopAll(60_000);
  report('ordered stop of all', ((performance.now() - stopMs) * 1_000) / count, 'us/entity');
  if (group.activeCount !== 0) throw new Error('Entities are left after stopAll.');
  system.kill();
}

await oneActor();
await manyEntities();
await idleEntities(Number(process.argv[2] ?? 1_000_000));
