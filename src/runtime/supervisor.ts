import { state as stateFact } from '../observe/facts.ts';
import type { ActorSpec } from './actor.ts';
import type { ActorRef, AnyRef } from './ref.ts';
import { nextRestart, noCrashes, type BackoffCurve, type Budget } from './strategy.ts';
import { sleep } from './patience.ts';
import type { ActorSystem, ParentRef } from './system.ts';
import type { Alias } from './watch.ts';

/**
 * Children with an order. A child's own strategy deals with its crashes; what it cannot bear (budget spent, directive escalate) comes here.
 *
 *   stopped ──start──▶ up ──a child escalates──▶ restarting ──▶ up
 *                      │                            │ budget spent
 *                      └──stop──▶ stopped ◀─────────┴──▶ escalates to the level above
 *
 * I1 children start in the order given, one after the other, and stop in reverse.
 * I2 one-for-one: only the child that escalated starts anew. rest-for-one: those started after it stop first, in reverse, then it and they
 *    start in order: the order of children says who depends on whom.
 * I3 one thing at a time: starts, restarts and stops of one supervisor never overlap.
 * I4 restarts are within the budget, each after its backoff; one more and everything stops, in reverse, and `onEscalate` is called once.
 */
export interface SupervisorOptions {
  readonly system: ActorSystem;
  /** For facts: the supervisor itself is no actor. */
  readonly name: string;
  readonly strategy: 'one-for-one' | 'rest-for-one';
  readonly children: readonly ChildSpec[];
  readonly budget: Budget;
  readonly backoff: BackoffCurve;
  /** For each child, when a restart stops it. */
  readonly stopLimitMs: number;
  readonly onEscalate: (error: unknown) => void;
}

/** A child as data: its name, unique among its siblings, and how a life of it begins. */
export interface ChildSpec {
  readonly name: string;
  /**
   * Starts one life of the child. `escalate` is called at most once, after that life has ended by itself. A throw counts as an escalation.
   */
  start(escalate: (error: unknown) => void): RunningChild | Promise<RunningChild>;
}
/** One life of a child. */
export interface RunningChild {
  stop(limitMs: number): Promise<void>;
}

/** Children with an order, as one: it can be a child itself. */
export interface Supervisor extends RunningChild {
  /** Resolves when all children have been started; rejects when that spends the budget. */
  start(): Promise<void>;
  /** Starts one more child, last in order. Rejects when the supervisor is not up, or has a child of that name. */
  add(child: ChildSpec): Promise<void>;
  /** Stops one child for good; resolves when it has ended, also when there is none of that name. */
  remove(name: string, limitMs: number): Promise<void>;
  /** Names of the running children, in order of start. */
  running(): readonly string[];
}

interface Slot {
  readonly spec: ChildSpec;
  running: RunningChild | undefined;
}

/** Makes a supervisor; nothing runs before `start`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { system, strategy } = options;
  const slots: Slot[] = options.children.map((spec) => ({ spec, running: undefined }));
  let history = noCrashes;
  let isUp = false;
  let work: Promise<void> = Promise.resolve();

  /** One after the other (I3). The caller gets the failure; the line goes on. */
  function inLine(run: () => Promise<void>): Promise<void> {
    const done = work.then(run);
    work = done.catch(() => undefined);
    return done;
  }

  async function startSlot(slot: Slot): Promise<void> {
    let isThisLife = true;
    const running = await slot.spec.start((error) => {
      if (!isThisLife) return;
      isThisLife = false;
      // escalations of a life that a restart or a stop has meanwhile ended are old news
      void inLine(async () => {
        if (slot.running !== undefined && slot.running === running) await restart(slot, error);
      }).catch((failure: unknown) => giveUp(failure));
    });
    slot.running = running;
  }

  async function stopSlots(from: number, limitMs: number): Promise<void> {
    const failures: unknown[] = [];
    const untilMs = system.clock.monotonic() + limitMs;
    for (const slot of slots.slice(from).reverse()) {
      const { running } = slot;
      slot.running = undefined;
      try {
        await running?.stop(Math.max(0, untilMs - system.clock.monotonic()));
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `Children of ${options.name} failed to stop.`);
  }

  /** Starts the slots that are not running; a failing start is a crash like any other. */
  async function startMissing(): Promise<void> {
    for (;;) {
      const slot = slots.find((one) => one.running === undefined);
      if (slot === undefined || !isUp) return; // a stop asked for during a backoff wins
      try {
        await startSlot(slot);
      } catch (error) {
        await pause(slot, error);
      }
    }
  }

  async function pause(slot: Slot, error: unknown): Promise<void> {
    const decision = nextRestart(history, options.budget, options.backoff, system.clock.monotonic(), system.random.next());
    history = decision.history;
    if (!decision.granted) throw error;
    stateFact('runtime-actor-restarted', {
      kind: 'supervisor',
      path: `${options.name}/${slot.spec.name}`,
      attempt: decision.history.attempt,
      backoffMs: decision.backoffMs,
    });
    await sleep(system.clock, decision.backoffMs);
  }

  async function restart(slot: Slot, error: unknown): Promise<void> {
    if (!isUp) return;
    slot.running = undefined; // it has ended by itself
    if (strategy === 'rest-for-one') await stopSlots(slots.indexOf(slot) + 1, options.stopLimitMs);
    await pause(slot, error);
    await startMissing();
  }

  function giveUp(error: unknown): void {
    if (!isUp) return;
    isUp = false;
    void inLine(() => stopSlots(0, options.stopLimitMs)).then(
      () => options.onEscalate(error),
      (failure: unknown) =>
        options.onEscalate(new AggregateError([error, failure], `${options.name} gave up, and not all of its children stopped.`)),
    );
  }

  return {
    start: () =>
      inLine(async () => {
        isUp = true;
        try {
          await startMissing();
        } catch (error) {
          isUp = false;
          await stopSlots(0, options.stopLimitMs);
          throw error;
        }
      }),
    stop: (limitMs) => {
      isUp = false;
      return inLine(() => stopSlots(0, limitMs));
    },
    add: (child) =>
      inLine(async () => {
        if (!isUp) throw new Error(`${options.name} is not running: ${child.name} cannot start.`);
        if (slots.some((slot) => slot.spec.name === child.name)) throw new Error(`${options.name} has a child named ${child.name}.`);
        const slot: Slot = { spec: child, running: undefined };
        slots.push(slot);
        try {
          await startMissing();
        } catch (error) {
          slots.splice(slots.indexOf(slot), 1);
          throw error;
        }
      }),
    remove: (name, limitMs) =>
      inLine(async () => {
        const index = slots.findIndex((slot) => slot.spec.name === name);
        const [slot] = index < 0 ? [] : slots.splice(index, 1);
        await slot?.running?.stop(limitMs);
      }),
    running: () => slots.filter((slot) => slot.running !== undefined).map((slot) => slot.spec.name),
  };
}

/** A supervised actor, with a ref that outlives its restarts: it tells whoever holds the name now, and `stopped` while nobody does. */
export interface ActorChild<M> extends ChildSpec {
  readonly ref: ActorRef<M>;
}

/** `make` is called for each life, so that what an actor must not share with its predecessor is made anew. */
export function actorChild<S, M>(system: ActorSystem, make: () => ActorSpec<S, M>, name: string, parent?: ParentRef): ActorChild<M> {
  let present: ActorRef<M> | undefined;
  let kind = name;
  const ref: ActorRef<M> & Alias = {
    path: `${parent?.path ?? ''}/${name}`,
    get kind() {
      return kind;
    },
    get present() {
      return present;
    },
    tell: (message, trace) => present?.tell(message, trace) ?? 'stopped',
  };
  return {
    name,
    ref,
    start(escalate) {
      const spec = make();
      kind = spec.kind;
      const started: ActorRef<M> = system.spawn(spec, name, parent, (_ref: AnyRef, error) => {
        if (present === started) present = undefined;
        escalate(error);
      });
      present = started;
      return {
        async stop(limitMs) {
          await system.stop(started, limitMs);
          if (present === started) present = undefined;
        },
      };
    },
  };
}
