import type { ActorSpec } from './actor.ts';
import { createAsks } from './ask.ts';
import { Cell, rareOf } from './cell.ts';
import type { Clock, Random } from './clock.ts';
import type { Core, Place } from './core.ts';
import { createDeadLetters, type DeadLetters } from './dead-letters.ts';
import { createDeadlineQueue } from './deadlines.ts';
import { createEntities, type Entities, type EntitiesOptions } from './entities.ts';
import { createInspector, type ActorInspector } from './inspect.ts';
import { requestStop, launch } from './life.ts';
import { createMailboxPool } from './mailbox.ts';
import { createTree, type Node } from './node.ts';
import type { ActorRef, AnyRef } from './ref.ts';
import { createSharedTurn } from './turn.ts';
import type { Alias } from './watch.ts';

/**
 * A tree of actors on one clock. Actors started one by one take a nact turn each; the entities of all groups share one (turn.ts).
 * Closed in order by `shutdown`; `kill` is the crash of the process, for simulations.
 */
export interface ActorSystem {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Starts an actor under the root, or under a parent. The name is unique among the living children (a taken one throws); a name that was
   * used before gets a running number (`writer+2`), so a path never names two lives. `onEscalate` is called after the actor has ended,
   * when its strategy escalates.
   */
  spawn<S, M>(spec: ActorSpec<S, M>, name: string, parent?: ParentRef, onEscalate?: (ref: AnyRef, error: unknown) => void): ActorRef<M>;
  /** A mute parent: never receives messages, only holds children. Asked twice for a name, it answers with the same. */
  parent(name: string): ParentRef;
  /**
   * Ordered stop: refuse new → finish current → `stopping` awaited → rest to `refused` or dead letters → name freed. Resolves then, also
   * when the actor had ended before. After `limitMs` the actor is given up: what it still waits for no longer matters to it.
   * @defaultValue 10 s
   */
  stop(ref: AnyRef, limitMs?: number): Promise<void>;
  /** Request and reply. Rejects with an AskError at once when refused or failed, else at the deadline; a later reply is a dead letter. */
  ask<M, R>(ref: ActorRef<M>, make: (replyTo: ActorRef<R>) => M, deadlineMs: number): Promise<R>;
  entities<K extends string, S, M>(options: EntitiesOptions<K, S, M>): Entities<K, M>;
  readonly inspect: ActorInspector;
  readonly deadLetters: DeadLetters;
  /**
   * True when no actor is scheduled or in a turn: whatever happens next comes from a timer or from a promise of someone outside. Ask in a
   * macrotask of your own, after the microtasks have run. Actors that wait for a promise are counted by {@link awaitingCount}.
   */
  isQuiescent(): boolean;
  readonly awaitingCount: number;
  /** Timers outstanding: asks, backoffs, sweeps, actor timers. */
  readonly timerCount: number;
  /** From now on no actor runs, tell answers `stopped`, nothing is flushed, no ask settles. Promises under way outside are not ended. */
  kill(): void;
  /** Stops what is left, groups and actors in reverse order of their start, then everything else. Each gets what remains of the limit. */
  shutdown(limitMs: number): Promise<void>;
}

/** A place for children in the tree. */
export interface ParentRef {
  readonly name: string;
  readonly path: string;
}

const STOP_LIMIT_MS = 10_000;
/** Mailboxes kept for reuse: as many as entities get ready within one batch; 200 bytes each. */
const POOLED_MAILBOXES_COUNT = 16_384;
/** Names whose last number is remembered per parent. Static actors have a handful of names; the oldest go first. */
const REMEMBERED_NAMES_COUNT = 1_024;

/** Starts a tree without actors. Several may live in one process, as simulations have it. */
export function createActorSystem(options: { readonly name: string; readonly clock: Clock; readonly random: Random }): ActorSystem {
  const { clock, random } = options;
  const deadlines = createDeadlineQueue(clock);
  const deadLetters = createDeadLetters(clock);
  const tree = createTree(options.name);
  const core: Core = {
    clock,
    random,
    deadlines,
    deadLetters,
    asks: createAsks(deadlines, deadLetters),
    mailboxes: createMailboxPool(POOLED_MAILBOXES_COUNT),
    tree,
    killed: false,
    runnableCount: 0,
    awaitingCount: 0,
    nowMs: clock.monotonic(),
  };
  const turn = createSharedTurn(core, tree);
  const parents = new Map<string, Home>();
  const root = createHome(core, '', undefined);
  /** What shutdown ends, in order of start. */
  const living = new Set<(limitMs: number) => Promise<void>>();
  let isClosing = false;

  function home(name: string): Home {
    let found = parents.get(name);
    if (found === undefined) {
      found = createHome(core, name, tree.spawnParent(name, {}));
      parents.set(name, found);
    }
    return found;
  }

  function stop(ref: AnyRef, limitMs = STOP_LIMIT_MS): Promise<void> {
    const cell = cellOf(ref);
    if (cell === undefined || core.killed) return Promise.resolve();
    return new Promise((resolve) => requestStop(cell, 'stopped', limitMs, resolve));
  }

  function close(): void {
    if (core.killed) return;
    core.killed = true;
    core.runnableCount = 0;
    core.awaitingCount = 0;
    deadlines.close();
    tree.close();
  }

  return {
    clock,
    random,
    spawn<S, M>(spec: ActorSpec<S, M>, name: string, parent?: ParentRef, onEscalate?: (ref: AnyRef, error: unknown) => void): ActorRef<M> {
      if (core.killed || isClosing) throw new Error(`The actor system is closed: ${name} cannot start.`);
      const place = parent === undefined ? root : home(parent.name);
      const cell = new Cell(spec as unknown as ActorSpec<unknown, unknown>, place);
      cell.node = tree.spawnActor(place.node, place.freshName(name), cell);
      if (onEscalate !== undefined) rareOf(cell).onEscalate = onEscalate;
      const end = (limitMs: number): Promise<void> => stop(cell, limitMs);
      living.add(end);
      place.atEnd.set(cell, () => living.delete(end));
      launch(cell);
      return cell;
    },
    parent: (name) => {
      const { path } = home(name);
      return { name, path };
    },
    stop,
    ask: (ref, make, deadlineMs) => core.asks.ask(ref, make, deadlineMs),
    entities(groupOptions) {
      if (parents.has(groupOptions.parent)) throw new Error(`The parent ${groupOptions.parent} is taken.`);
      const { node } = home(groupOptions.parent);
      if (node === undefined) throw new Error('A group of entities needs a parent below the root.');
      const group = createEntities(core, node, turn, groupOptions);
      living.add((limitMs) => group.stopAll(limitMs));
      return group;
    },
    inspect: createInspector(core),
    deadLetters,
    isQuiescent: () => core.killed || (core.runnableCount === 0 && turn.isIdle),
    get awaitingCount() {
      return core.awaitingCount;
    },
    get timerCount() {
      return deadlines.pendingCount;
    },
    kill: close,
    async shutdown(limitMs) {
      if (core.killed) return;
      isClosing = true;
      const untilMs = clock.monotonic() + limitMs;
      for (const end of [...living].reverse()) await end(Math.max(0, untilMs - clock.monotonic()));
      close();
    },
  };
}

/** The present cell of a ref; undefined for a reply ref and for a name nobody holds. */
function cellOf(ref: AnyRef): Cell | undefined {
  if (ref instanceof Cell) return ref;
  const present = 'present' in ref ? (ref as Alias).present : undefined;
  return present instanceof Cell ? present : undefined;
}

interface Home extends Place {
  readonly node: Node | undefined;
  readonly atEnd: Map<Cell, () => void>;
  freshName(name: string): string;
}

function createHome(core: Core, name: string, node: Node | undefined): Home {
  const lastNumbers = new Map<string, number>();
  const atEnd = new Map<Cell, () => void>();
  return {
    core,
    node,
    atEnd,
    path: name === '' ? '' : `/${name}`,
    endsAfterQuarantine: false,
    freshName(wanted) {
      const children = node?.children ?? core.tree.children;
      const last = lastNumbers.get(wanted) ?? 0;
      if (children.has(last < 2 ? wanted : `${wanted}+${String(last)}`)) throw new Error(`The name ${wanted} is taken.`);
      if (last === 0 && lastNumbers.size >= REMEMBERED_NAMES_COUNT) {
        for (const oldest of lastNumbers.keys()) {
          lastNumbers.delete(oldest);
          break;
        }
      }
      lastNumbers.set(wanted, last + 1);
      return last === 0 ? wanted : `${wanted}+${String(last + 1)}`;
    },
    wake(cell) {
      if (cell.node !== undefined) core.tree.wake(cell.node);
    },
    remove(cell) {
      if (cell.node !== undefined) core.tree.remove(cell.node);
      atEnd.get(cell)?.();
      atEnd.delete(cell);
    },
    nextIncarnation: (previous) => previous + 1,
    admits: () => true,
    changed: () => undefined,
    holds: () => undefined,
    inherits: () => false,
    escalated: () => undefined,
  };
}
