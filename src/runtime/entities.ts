import type { ActorSpec } from './actor.ts';
import { Cell, type CellStatus } from './cell.ts';
import type { Core, Place } from './core.ts';
import type { TraceContext } from './envelope.ts';
import { requestStop, launch } from './life.ts';
import type { Node } from './node.ts';
import type { AnyRef, TellResult } from './ref.ts';
import { createRecency, type Recency, type RecencyLinks } from './recency.ts';
import { createSweeper } from './sweep.ts';
import type { SharedTurn } from './turn.ts';
import { keyHash } from './key-hash.ts';

/**
 * Actors addressed by key: started by the first message, passivated when idle or when room is needed.
 *
 *             tell                      start ok                    idle | limit
 *   (none) ─────────▶ Activating ────────────────────▶ Active ───────────────────▶ Passivating
 *                         │  ▲                           │                             │
 *             start fails │  │ backoff elapsed           │ crash, budget left          │ stopped, nothing buffered
 *                         ▼  │                           ▼                             ├──────────────▶ (none)
 *                      Backing-off ◀─────────────────────┘                             │ stopped, messages buffered
 *                         │ budget spent                                               ▼
 *                         ▼                                                       Activating (incarnation + 1)
 *                     Quarantined ── until elapsed ──▶ (none)
 *
 * I1 at most one incarnation of a key runs.
 * I2 a message accepted for a key is handled, handed on to the next incarnation, or settled with a reason (`failed`, `refused`, dead letter).
 * I3 messages of one key are handled in the order of their tells, across incarnations.
 * I4 passivation never starts while a message is buffered or in work.
 * I5 `start` of incarnation n+1 happens after `stopping` of n has ended. A passivation is therefore awaited without a limit.
 * I6 activations and passivations in flight are at most `inFlightLimitCount`; entities in memory at most `activeLimitCount` plus that.
 *
 * A quarantined key: `tell` is `accepted` when the spec has `refused`, which then settles the message with its reason; otherwise the
 * answer is `stopped` and the message stays the caller's. Nothing is remembered of a key that is gone: incarnations are numbered per
 * group, so they grow per key but have gaps. Keys never appear in a path: a name is a hash of the key and the incarnation.
 */
export interface EntitiesOptions<K extends string, S, M> {
  /** Name of the mute parent: `/people`. */
  readonly parent: string;
  /** Metric label; the specs' own kind should say the same. */
  readonly kind: string;
  /** A nact-safe name for a key, without its content. @defaultValue a 64-bit hash */
  readonly keyName?: (key: K) => string;
  /** Called at each activation. What it returns lives as long as the entity: return one shared object, or a small one with a prototype. */
  readonly spec: (key: K) => ActorSpec<S, M>;
  /** Not told for this long: passivated at the next sweep. */
  readonly idleMs: number;
  /** Entities in memory above which the least recently told are passivated. */
  readonly activeLimitCount: number;
  readonly inFlightLimitCount: number;
  /** False keeps an idle entity: unsaved state, say. @defaultValue always true */
  readonly canPassivate?: (state: S) => boolean;
  readonly sweepEveryMs: number;
  /** Messages held, over the whole group, for entities that cannot handle them yet (activating, backing off, passivating). */
  readonly bufferCount: number;
  /** An entity whose strategy says escalate. It has ended; the next message makes it anew. */
  readonly onEscalate?: (ref: AnyRef, error: unknown) => void;
}

/** A group of actors addressed by key. */
export interface Entities<K extends string, M> {
  /**
   * Hands a message to the entity of this key, starting it if need be. `full`: its mailbox, the group's buffer or the room for entities is
   * used up. `stopped`: the group is stopping, or the key is in quarantine and its spec has no `refused`.
   */
  tell(key: K, message: M, trace?: TraceContext): TellResult;
  /** Starts the passivation of an idle entity; false when there is none, or it has work, or `canPassivate` objects. */
  passivate(key: K): boolean;
  /** Ends all entities in order, at most `inFlightLimitCount` at a time; after `limitMs` those left are given up. No later tell is accepted. */
  stopAll(limitMs: number): Promise<void>;
  /** Entities in memory, in whatever state. */
  readonly activeCount: number;
  /** Messages held for entities that cannot handle them yet. */
  readonly bufferedCount: number;
  readonly inFlightCount: number;
  /** Path of the key's present incarnation, for inspection. */
  pathOf(key: K): string | undefined;
}

/** How many of the least recently told are looked at to make room for one new key; the rest of the search is the sweep's. */
const LOOK_FOR_ROOM_COUNT = 8;

export class EntityCell extends Cell implements RecencyLinks {
  readonly key: string;
  older: RecencyLinks | undefined = undefined;
  newer: RecencyLinks | undefined = undefined;
  usedEpoch = 0;
  constructor(spec: ActorSpec<unknown, unknown>, place: Place, key: string) {
    super(spec, place);
    this.key = key;
  }
}

const isHeld = (status: CellStatus): boolean =>
  status === 'waiting' || status === 'starting' || status === 'backing-off' || status === 'stopping';
const isInFlight = (status: CellStatus): boolean => status === 'starting' || status === 'stopping';

export function createEntities<K extends string, S, M>(
  core: Core,
  parent: Node,
  turn: SharedTurn,
  options: EntitiesOptions<K, S, M>,
): Entities<K, M> {
  const nameOf = options.keyName ?? keyHash;
  const cells = new Map<string, EntityCell>();
  const recency: Recency<EntityCell> = createRecency();
  /** Cells without a permit to start, oldest first; a Set, because one may be stopped meanwhile. */
  const waiting = new Set<Cell>();
  /** Cells that got their permit after waiting and have a turn coming: nobody may overtake them. */
  const granted = new Set<Cell>();
  let lives = 0;
  let inFlightCount = 0;
  let heldCount = 0;
  let isClosing = false;

  const place: Place = {
    core,
    path: `/${options.parent}`,
    endsAfterQuarantine: true,
    wake: (cell) => turn.wake(cell),
    nextIncarnation: () => ++lives,
    admits(cell) {
      if (granted.delete(cell) || inFlightCount + granted.size < options.inFlightLimitCount) return true;
      waiting.add(cell);
      return false;
    },
    changed(cell, from) {
      const to = cell.status;
      if (isHeld(from)) heldCount -= cell.depth;
      if (isHeld(to)) heldCount += cell.depth;
      if (from === 'waiting') waiting.delete(cell);
      if (to === 'stopping' && granted.delete(cell)) admitNext();
      if (isInFlight(to) && !isInFlight(from)) inFlightCount++;
      else if (isInFlight(from) && !isInFlight(to)) {
        inFlightCount--;
        admitNext();
        sweeper.resume();
      }
    },
    holds(cell) {
      if (isHeld(cell.status)) heldCount++;
    },
    inherits: (cell) => succeed(cell as EntityCell),
    remove(cell) {
      const entity = cell as EntityCell;
      recency.remove(entity);
      if (cells.get(entity.key) === entity) cells.delete(entity.key);
      if (entity.node !== undefined) core.tree.removeLeaf(parent, entity.node);
    },
    escalated: (cell, error) => options.onEscalate?.(cell, error),
  };

  function admitNext(): void {
    for (const cell of waiting) {
      if (inFlightCount + granted.size >= options.inFlightLimitCount) return;
      waiting.delete(cell);
      granted.add(cell);
      launch(cell);
    }
  }

  function create(key: K): EntityCell {
    const cell = new EntityCell(options.spec(key) as unknown as ActorSpec<unknown, unknown>, place, key);
    cell.node = core.tree.spawnLeaf(parent, `${nameOf(key)}+${String(cell.incarnation)}`, cell);
    cells.set(key, cell);
    recency.add(cell);
    return cell;
  }

  /** Passivating with messages buffered: they go to a new incarnation, in order (I2, I3). */
  function succeed(cell: EntityCell): boolean {
    if (cell.rare?.stop?.reason !== 'passivated' || cell.depth === 0 || isClosing) return false;
    const { mailbox, key } = cell;
    cell.mailbox = undefined;
    const successor = create(key as K);
    successor.mailbox = mailbox;
    launch(successor);
    return true;
  }

  function tryPassivate(cell: EntityCell): boolean {
    if (cell.status !== 'active' || cell.phase !== 'idle' || inFlightCount + granted.size >= options.inFlightLimitCount) return false;
    if (!mayGo(cell)) return false;
    requestStop(cell, 'passivated', undefined, undefined);
    return true;
  }

  function mayGo(cell: EntityCell): boolean {
    if (options.canPassivate === undefined) return true;
    try {
      return options.canPassivate(cell.state as S);
    } catch {
      return false; // an objection like any other: the entity shows in the inspector as active
    }
  }

  function hasRoom(): boolean {
    const { activeLimitCount, inFlightLimitCount } = options;
    for (let look = 0; cells.size >= activeLimitCount && look < LOOK_FOR_ROOM_COUNT; look++) {
      const oldest = recency.oldest();
      if (oldest === undefined) break;
      if (!tryPassivate(oldest)) recency.touch(oldest);
    }
    return cells.size < activeLimitCount + (inFlightCount > 0 ? inFlightLimitCount : 0);
  }

  const sweeper = createSweeper({
    core,
    turn,
    recency,
    idleMs: options.idleMs,
    sweepEveryMs: options.sweepEveryMs,
    isOverLimit: () => cells.size > options.activeLimitCount,
    mayStart: () => inFlightCount + granted.size < options.inFlightLimitCount,
    tryPassivate,
  });

  async function stopAll(limitMs: number): Promise<void> {
    isClosing = true;
    sweeper.close();
    if (core.killed) return;
    const untilMs = core.clock.monotonic() + limitMs;
    const left = cells.values();
    // each lane ends one entity after the other, so no more than the limit are in flight (I6)
    const lane = async (): Promise<void> => {
      for (const cell of left) {
        let isEnded = false;
        let ended = (): void => {
          isEnded = true;
        };
        requestStop(cell, 'parent-stopped', Math.max(0, untilMs - core.clock.monotonic()), () => ended());
        if (!isEnded) await new Promise<void>((resolve) => (ended = resolve));
      }
    };
    await Promise.all(Array.from({ length: Math.max(1, options.inFlightLimitCount) }, lane));
  }

  return {
    tell(key, message, trace) {
      if (isClosing || core.killed) return 'stopped';
      let cell = cells.get(key);
      if (cell === undefined) {
        if (!hasRoom()) return 'full';
        cell = create(key);
      } else if (cell.usedEpoch !== recency.epoch) recency.touch(cell);
      const { status } = cell;
      if (!isHeld(status)) return cell.tell(message, trace);
      const isPassivating = status === 'stopping' && cell.rare?.stop?.reason === 'passivated';
      if (status === 'stopping' && !isPassivating) return 'stopped';
      if (heldCount >= options.bufferCount) return 'full';
      return cell.hold(message, trace);
    },
    passivate(key) {
      const cell = cells.get(key);
      return cell !== undefined && tryPassivate(cell);
    },
    stopAll,
    get activeCount() {
      return cells.size;
    },
    get bufferedCount() {
      return heldCount;
    },
    get inFlightCount() {
      return inFlightCount;
    },
    pathOf: (key) => cells.get(key)?.path,
  };
}
