/**
 * Entities under a schedule that a seed decides: tells, passivations, sweeps, crashes and the ends of starts, handlers and flushes come in
 * any order. A failing seed reproduces: SEED=<n> vitest run --project unit entities-interleaving.
 */
import { expect, test } from 'vitest';
import type { ActorRef, TellResult } from '../../../src/runtime/ref.ts';
import { createActorSystem } from '../../../src/runtime/system.ts';
import { gate, pass, restarting, settle, type Gate } from '../../kit/actors.ts';
import { manualClock, seededRandom, type SeededRandom } from '../../kit/clock.ts';

interface Numbered {
  readonly key: string;
  readonly number: number;
}
interface Life {
  readonly incarnation: number;
  lastNumber: number;
}

const KEYS = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const IN_FLIGHT_LIMIT_COUNT = 2;
const ACTIVE_LIMIT_COUNT = 4;
const BUFFER_COUNT = 12;

async function run(seed: number): Promise<void> {
  const random: SeededRandom = seededRandom(seed);
  const clock = manualClock();
  const system = createActorSystem({ name: 'interleaving', clock, random: seededRandom(seed + 1) });
  const gates = new Set<Gate>();
  const running = new Map<string, number>();
  const lastHandled = new Map<string, number>();
  const fates = new Map<string, string[]>();
  const accepted: string[] = [];
  const nextNumber = new Map<string, number>();
  /** Refs that an actor outside may still hold: answers come by them. */
  const selves = new Map<string, ActorRef<Numbered>>();
  let inFlight = 0;
  let mostInFlight = 0;

  const idOf = (message: Numbered): string => `${message.key}${String(message.number)}`;
  const fate = (message: Numbered, what: string): void => {
    fates.set(idOf(message), [...(fates.get(idOf(message)) ?? []), what]);
  };
  const openLives = new Map<string, number>();
  /** What a spec sees is noted and checked at the end: an exception inside a spec would only be one more crash. */
  const violations: string[] = [];
  const claim = (holds: boolean, what: string): void => {
    if (!holds) violations.push(what);
  };
  /** Sometimes now, sometimes when the schedule says so. */
  const wait = (): Promise<void> | undefined => {
    if (random.below(3) > 0) return undefined;
    const held = gate();
    gates.add(held);
    return held.promise;
  };
  const alone = async <T>(key: string, work: () => Promise<T>): Promise<T> => {
    claim((running.get(key) ?? 0) === 0, `I1: two lives of ${key} run at once`);
    running.set(key, 1);
    try {
      return await work();
    } finally {
      running.set(key, 0);
    }
  };
  const inFlightWork = async <T>(work: () => Promise<T>): Promise<T> => {
    mostInFlight = Math.max(mostInFlight, ++inFlight);
    try {
      return await work();
    } finally {
      inFlight--;
    }
  };

  const people = system.entities<string, Life, Numbered>({
    parent: 'people',
    kind: 'person',
    idleMs: 200,
    sweepEveryMs: 100,
    activeLimitCount: ACTIVE_LIMIT_COUNT,
    inFlightLimitCount: IN_FLIGHT_LIMIT_COUNT,
    bufferCount: BUFFER_COUNT,
    canPassivate: () => random.below(4) > 0,
    spec: (key) => ({
      kind: 'person',
      mailbox: { capacityCount: 6 },
      supervision: restarting({ quarantineMs: 500 }, 2),
      start: (ctx) =>
        alone(key, () =>
          inFlightWork(async () => {
            claim(!openLives.has(key), `I5: ${key} starts before the flush of its last life has ended`);
            selves.set(key, ctx.self);
            await wait();
            if (random.below(12) === 0) throw new Error('start fails');
            openLives.set(key, ctx.incarnation);
            return { incarnation: ctx.incarnation, lastNumber: 0 };
          }),
        ),
      receive: (life, message, ctx) => {
        const handle = (): Life => {
          claim(ctx.incarnation === life.incarnation, `I1: ${key} handles with the state of another life`);
          // the number of a message that fails is passed over: what comes later is still later
          if (random.below(15) === 0) throw new Error('receive fails');
          claim(message.number > (lastHandled.get(key) ?? 0), `I3: ${key} out of order`);
          lastHandled.set(key, message.number);
          fate(message, 'handled');
          return { ...life, lastNumber: message.number };
        };
        claim((running.get(key) ?? 0) === 0, `I1: two handlers of ${key} run at once`);
        const held = wait();
        if (held === undefined) return handle();
        return alone(key, async () => {
          await held;
          return handle();
        });
      },
      failed: (_life, message) => fate(message, 'failed'),
      refused: (message, reason) => fate(message, reason),
      stopping: (life, reason) =>
        alone(key, async () => {
          claim(openLives.get(key) === life.incarnation, `I5: ${key} is flushed twice`);
          if (reason === 'passivated') await inFlightWork(async () => await wait());
          else await wait();
          openLives.delete(key);
        }),
    }),
  });

  for (let step = 0; step < 400; step++) {
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
      case 3: {
        const key = random.pick(KEYS);
        const number = (nextNumber.get(key) ?? 0) + 1;
        nextNumber.set(key, number);
        const message: Numbered = { key, number };
        const self = random.below(4) === 0 ? selves.get(key) : undefined;
        const told: TellResult = self === undefined ? people.tell(key, message) : self.tell(message);
        if (told === 'accepted') accepted.push(`${key}${String(number)}`);
        break;
      }
      case 4:
        people.passivate(random.pick(KEYS));
        break;
      case 5:
        if (gates.size > 0) {
          const one = random.pick([...gates]);
          gates.delete(one);
          one.open();
        }
        break;
      case 6:
        clock.advance(random.below(120));
        break;
      default:
        await new Promise((resolve) => setImmediate(resolve));
    }
    expect(people.activeCount, 'I6: entities in memory').toBeLessThanOrEqual(ACTIVE_LIMIT_COUNT + IN_FLIGHT_LIMIT_COUNT);
    expect(people.bufferedCount).toBeGreaterThanOrEqual(0);
  }

  const stopped = people.stopAll(1e9);
  let isStopped = false;
  void stopped.then(() => (isStopped = true));
  while (!isStopped) {
    for (const one of gates) one.open();
    gates.clear();
    await settle(system);
    await pass(system, clock, 50);
  }
  await stopped;

  expect(violations).toEqual([]);
  expect(openLives, 'I5: every life that started was flushed').toEqual(new Map());
  expect(mostInFlight, 'I6: in flight').toBeLessThanOrEqual(IN_FLIGHT_LIMIT_COUNT);
  expect([people.activeCount, people.bufferedCount, people.inFlightCount]).toEqual([0, 0, 0]);
  for (const id of accepted) expect(fates.get(id), `I2: the fate of ${id}`).toHaveLength(1);
  expect(fates.size, 'I2: only accepted messages have a fate').toBe(accepted.length);
  expect(accepted.length).toBeGreaterThan(50);
  await system.shutdown(0);
  expect(system.timerCount).toBe(0);
}

const chosen = process.env['SEED'];
const seeds = chosen === undefined ? Array.from({ length: Number(process.env['SEEDS'] ?? 60) }, (_, i) => i + 1) : [Number(chosen)];

test.each(seeds)('I1-I6 hold under schedule %i', async (seed) => {
  await run(seed);
});
