import type { Clock, Random, Timer } from './clock.ts';
import type { TraceContext } from './envelope.ts';
import type { ActorRef, AnyRef } from './ref.ts';
import type { Strategy } from './strategy.ts';

/** Why a life ends. `restarted`, `budget-spent`: it crashed; the others are orderly. */
export type StopReason = 'stopped' | 'passivated' | 'restarted' | 'budget-spent' | 'parent-stopped';

/** Why an accepted message will reach no life of its actor; see {@link ActorSpec.refused}. */
export type RefusalReason = 'stopped' | 'quarantined';

/** What a cell offers its behavior while it lives. Timers end with the life that made them. */
export interface ActorContext<M> {
  readonly self: ActorRef<M>;
  readonly path: string;
  readonly kind: string;
  /** Running number of this life under its key; 1 for the first. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Trace of the message in work; undefined when it is not sampled. */
  readonly trace: TraceContext | undefined;
  /** Tells `message` to self after `delayMs`, by the urgent lane (it cannot be refused by a full mailbox). */
  after(delayMs: number, message: M): Timer;
  every(intervalMs: number, message: M): Timer;
  /** Exactly one `message` to self when `ref` ends, also when it already has. */
  watch(ref: AnyRef, message: M): void;
  /** Stops this actor in order after the message in work. */
  stop(): void;
}

/** An actor, as data: what `actors/<name>/index.ts` returns and a supervisor spawns. */
export interface ActorSpec<State, M> {
  /** Metric label and inspection group, e.g. 'distinct-id'. */
  readonly kind: string;
  /** Makes the state; may load. Messages wait in the mailbox meanwhile. A throw is a restart with backoff. */
  start(ctx: ActorContext<M>): State | Promise<State>;
  /** Handles one message; the returned state is the next one. Never runs twice at once in one actor. */
  receive(state: State, message: M, ctx: ActorContext<M>): State | Promise<State>;
  /**
   * Awaited (bounded) before the name is freed: the flush of a clean stop. Every life whose `start` succeeded ends with exactly one
   * call, also one that crashed (`restarted`, `budget-spent`): the reason tells, and the state is the one from before the crash.
   */
  stopping?(state: State, reason: StopReason, ctx: ActorContext<M>): void | Promise<void>;
  /**
   * Called with the message whose `receive` threw, with the state from before it: settle what it carried.
   * Without it, a failing message is a dead letter and counted.
   */
  failed?(state: State, message: M, error: unknown, ctx: ActorContext<M>): void;
  /**
   * Called with each accepted message that no life will handle: settle what it carried, with this reason. There may never have
   * been a state, so none is given. `error` is the last crash, if one led here. Without it, such a message is a dead letter, and
   * while in quarantine `tell` answers `stopped`.
   */
  refused?(message: M, reason: RefusalReason, error: unknown, ctx: ActorContext<M>): void;
  /** No default: a bound is a decision. */
  readonly mailbox: { readonly capacityCount: number };
  readonly supervision: Strategy;
  /** Small and without personal data. Read synchronously by the inspector; never called otherwise. */
  readonly inspect?: (state: State) => Readonly<Record<string, string | number | boolean>>;
}
