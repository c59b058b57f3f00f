import type { ActorSpec } from '../../src/runtime/actor.ts';
import type { TraceContext } from '../../src/runtime/envelope.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import { createActorSystem, type ActorSystem } from '../../src/runtime/system.ts';
import { manualClock, seededRandom, type ManualClock } from './clock.ts';

/** A system on a clock that stands still. */
export function testSystem(seed = 1): { readonly system: ActorSystem; readonly clock: ManualClock } {
  const clock = manualClock();
  return { system: createActorSystem({ name: 'test', clock, random: seededRandom(seed) }), clock };
}

/** Runs actors until none is scheduled and all microtasks have run. Fails rather than hangs when they never come to rest. */
export async function settle(system: ActorSystem, turnsCount = 10_000): Promise<void> {
  for (let turn = 0; turn < turnsCount; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (system.isQuiescent()) {
      await new Promise((resolve) => setImmediate(resolve));
      if (system.isQuiescent()) return;
    }
  }
  throw new Error(`The actors did not come to rest in ${String(turnsCount)} turns of the loop.`);
}

/** Moves the clock in steps of `stepMs`, letting the actors come to rest after each. */
export async function pass(system: ActorSystem, clock: ManualClock, ms: number, stepMs = ms): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(Math.min(stepMs, ms - passed));
    await settle(system);
  }
}

/** A ref that remembers what it was told. */
export interface Probe<M> extends ActorRef<M> {
  readonly messages: readonly M[];
  readonly traces: readonly (TraceContext | undefined)[];
  /** From now on it refuses. */
  answer(result: 'accepted' | 'full' | 'stopped'): void;
}
export function probe<M>(name = 'probe'): Probe<M> {
  const messages: M[] = [];
  const traces: (TraceContext | undefined)[] = [];
  let result: 'accepted' | 'full' | 'stopped' = 'accepted';
  return {
    path: `/${name}`,
    kind: 'probe',
    messages,
    traces,
    tell(message, trace) {
      if (result !== 'accepted') return result;
      messages.push(message);
      traces.push(trace);
      return 'accepted';
    },
    answer(next) {
      result = next;
    },
  };
}

/** A promise to be settled by the test: holds a handler where the test wants it. */
export interface Gate<T = void> {
  readonly promise: Promise<T>;
  open(value: T): void;
  fail(error: unknown): void;
}
export function gate<T = void>(): Gate<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  return { promise, open: resolve, fail: reject };
}

/** A spec with the parts a test does not care about filled in. */
export function specOf<S, M>(parts: Pick<ActorSpec<S, M>, 'start' | 'receive'> & Partial<ActorSpec<S, M>>): ActorSpec<S, M> {
  return { kind: 'test', mailbox: { capacityCount: 1_000 }, supervision: { directive: 'stop' }, ...parts };
}

/** Restarts after 10 ms, 20 ms, 40 ms, …, 1 s without jitter; three in 10 s. */
export function restarting(whenSpent: 'escalate' | { readonly quarantineMs: number }, count = 3): Strategy {
  return {
    directive: 'restart',
    budget: { count, periodMs: 10_000 },
    backoff: { minMs: 10, maxMs: 1_000, jitterRatio: 0, quietMs: 60_000 },
    whenSpent,
  };
}

/** Counts handlers that run at the same time. */
export function overlapMeter(): { enter(): void; leave(): void; readonly most: number } {
  let now = 0;
  let most = 0;
  return {
    enter() {
      most = Math.max(most, ++now);
    },
    leave() {
      now--;
    },
    get most() {
      return most;
    },
  };
}
