/**
 * What an actor costs: `node --expose-gc test/bench/runtime.bench.ts [--quick]`.
 *
 * Measured: CPU of message passing in one process, handlers that do next to nothing, on a warm engine; and the heap of
 * a million idle distinct_id actors, the real ones, each of which has stored an event. Each figure is the median of
 * ROUNDS_COUNT rounds. Expected error on a shared machine: 10-15 %; compare ratios, not absolutes.
 * Not measured: handlers that work, memory pressure of real states, I/O, more than one process.
 */
import { dispatch, spawn, start, stop } from 'nact';
import { createDistinctId } from '../../actors/distinct-id/index.ts';
import type { DistinctIdMessage } from '../../actors/distinct-id/messages.ts';
import type { DistinctIdState } from '../../actors/distinct-id/state.ts';
import type { PersonWriterMessage } from '../../actors/person-writer/messages.ts';
import type { ActorSpec } from '../../src/runtime/actor.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import { createActorSystem, type ActorSystem } from '../../src/runtime/system.ts';
import { seededRandom } from '../kit/clock.ts';
import { aGroup, aTeam } from '../kit/pipeline.ts';
import { deliver, isQuick, median, spread, type Figure } from './figures.ts';

const ROUNDS_COUNT = 9;
/** The optimising compiler needs some 100,000 messages to make up its mind. */
const WARM_UP_ROUNDS_COUNT = 10;
const IDLE_COUNT = isQuick ? 20_000 : 1_000_000;
const { gc } = globalThis;
if (gc === undefined) throw new Error('Run with --expose-gc.');
const collect = gc;
const figures: Figure[] = [];

/** CPU of all threads of this process: on shared cores the wall clock also counts the others. */
function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

const heapBytes = (): number => {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
};
async function measure(what: string, unit: string, perCount: number, round: () => Promise<void>): Promise<number> {
  for (let i = 0; i < WARM_UP_ROUNDS_COUNT; i++) await round();
  const rounds: number[] = [];
  for (let i = 0; i < ROUNDS_COUNT; i++) {
    const before = cpuUs();
    await round();
    rounds.push((cpuUs() - before) / perCount);
  }
  figures.push({ what, value: median(rounds), unit, note: spread(rounds) });
  return median(rounds);
}
function report(what: string, value: number, unit: string, more: Partial<Figure> = {}): void {
  figures.push({ what, value, unit, ...more });
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
  report('cell message against raw nact', cellUs / rawUs, 'x', { goal: { atMost: 0.25 } });
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
  report('message to one of 10,000 entities against raw nact, one actor', us / sameTurn, 'x', { hope: { atMost: 0.25 } });
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

/**
 * The real actor, as supervisors/teams.ts makes it, between stand-ins: a person writer that knows nobody and a ClickHouse
 * writer that counts. Each actor stores one personless event and is idle after that.
 */
async function idleDistinctIds(count: number): Promise<void> {
  const keys = Array.from({ length: count }, (_, i) => `1:user-${String(i)}@example.com`);
  const system = fresh();
  let storedCount = 0;
  const ignore = (kind: string): ActorRef<unknown> => ({ path: `/${kind}`, kind, tell: () => 'accepted' });
  const personWriter: ActorRef<PersonWriterMessage> = {
    path: '/person-writer',
    kind: 'person-writer',
    tell(message) {
      if (message.type !== 'load') throw new Error(`a personless event asks for '${message.type}'`);
      return message.replyTo.tell({ type: 'persons-loaded', ticket: message.ticket, found: message.distinctIds.map(() => undefined) });
    },
  };
  const spec = createDistinctId({
    personWriter,
    prefetched: { take: () => undefined },
    rowWriter: {
      path: '/row-writer',
      kind: 'row-writer',
      tell(message) {
        if (message.type === 'store-events') storedCount += message.rows.length;
        return 'accepted';
      },
    },
    deadLetter: ignore('dead-letter'),
    redisBuffer: ignore('redis-buffer'),
    options: { mailboxCapacityCount: 1_000 },
    strategy: { directive: 'stop' },
  });
  const group = system.entities<string, DistinctIdState, DistinctIdMessage>({
    parent: 'people',
    kind: 'distinct-id',
    spec: () => spec,
    idleMs: 3_600_000,
    sweepEveryMs: 60_000,
    activeLimitCount: count,
    inFlightLimitCount: 20_000,
    bufferCount: 20_000,
  });
  const settlement = { topic: 'events', partition: 0, generation: 1, active: true, settle: () => undefined };
  const team = aTeam();
  const properties = { $process_person_profile: false };
  const tell = (at: number): void => {
    const key = keys[at] ?? '';
    group.tell(key, { type: 'group', team, plugins: [], group: aGroup(settlement, at, [{ properties }], key.slice(2)) });
  };
  const allStored = async (wanted: number): Promise<void> => {
    while (storedCount < wanted) await new Promise((resolve) => setImmediate(resolve));
  };

  const before = heapBytes();
  const startedUs = cpuUs();
  for (let from = 0; from < count; from += 10_000) {
    const to = Math.min(count, from + 10_000);
    for (let at = from; at < to; at++) tell(at);
    await allStored(to);
  }
  const tookUs = cpuUs() - startedUs;
  const each = (heapBytes() - before) / count;
  const named = count.toLocaleString('en');
  if (group.activeCount !== count) throw new Error(`${group.activeCount} actors are active, not ${count}.`);
  report(`${named} idle distinct_id actors: heap of each, key not counted`, each, 'bytes', { goal: { atMost: 1_500 } });
  report(`${named} idle distinct_id actors: activation and one personless event`, tookUs / count, 'us/actor', {
    note: 'making and parsing the event included',
  });
  report(`resident memory of the process with ${named} of them`, process.memoryUsage().rss / 2 ** 20, 'MiB', {
    note: 'of it the keys and what the collector has not given back',
  });
  const step = Math.max(1, Math.floor(count / 10_000));
  const againUs = cpuUs();
  const again = Math.ceil(count / step);
  for (let at = 0; at < count; at += step) tell(at);
  await allStored(count + again);
  report(`one more event to ${again.toLocaleString('en')} of them (cold caches)`, (cpuUs() - againUs) / again, 'us/event');
  const stopUs = cpuUs();
  await group.stopAll(60_000);
  report('ordered stop of all', (cpuUs() - stopUs) / count, 'us/actor');
  if (group.activeCount !== 0) throw new Error('Actors are left after stopAll.');
  system.kill();
}

await oneActor();
await manyEntities();
await idleDistinctIds(IDLE_COUNT);
await deliver(figures);
process.exit(0);
