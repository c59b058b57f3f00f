import type { ActorContext, ActorSpec, StopReason } from './actor.ts';
import type { Clock, Random, Timer } from './clock.ts';
import type { Core, Place } from './core.ts';
import type { TraceContext } from './envelope.ts';
import { refuseRest } from './leftovers.ts';
import { awaitOutcome, begin, crashed, finishStop, requestStop, setPhase } from './life.ts';
import type { Mailbox } from './mailbox.ts';
import type { Node, Occupant } from './node.ts';
import type { ActorRef, AnyRef, TellResult } from './ref.ts';
import type { CrashHistory } from './strategy.ts';
import { after, every } from './timers.ts';
import { watch, type Watching } from './watch.ts';

/**
 * One actor: mailbox, the loop that handles it, and what `tell` answers. Births, crashes and ends are in life.ts.
 *
 * status (what the life is doing)                              phase (what the loop is doing)
 *   new ──▶ starting ──▶ active ──▶ stopping ──▶ stopped         idle ──tell──▶ scheduled ──turn──▶ running ──▶ idle
 *     ▲        │ fails     │ crash                                                 ▲                 │
 *     │        ▼           ▼                                                       └── promise ◀── awaiting
 *     └──── backing-off ◀──┤                                     parked: nothing runs until a timer or a permit says so
 *     ▲                    ▼ budget spent
 *     └──── quarantined ◀──┘                                     (waiting: a `new` entity without a permit to start)
 *
 * I1 never two handlers at once: `receive`, `start` and `stopping` are called only in phase `running`, and a promise of theirs moves the
 *    phase to `awaiting`, in which nothing is taken from the mailbox.
 * I2 an accepted message is handled, passed to `failed` or `refused`, or becomes a dead letter: exactly one of them.
 * I3 messages are handled in the order of their tells, across restarts; urgent ones (timers, signals) before the others.
 * I4 no exception of a spec leaves the cell.
 * I5 every life whose `start` succeeded ends with one `stopping`, and the next one starts after it.
 * I6 a cell that has nothing to do holds no mailbox.
 *
 * One object plays ref, context and nact occupant: what an actor costs at rest is what a million of them cost. The types keep the parts
 * apart. A synchronous `receive` costs no promise and no closure; an asynchronous one must return a native promise.
 */
export type CellStatus = 'new' | 'waiting' | 'starting' | 'active' | 'backing-off' | 'quarantined' | 'stopping' | 'stopped';
/** What the loop of a cell is doing; the drawing is above. */
export type CellPhase = 'idle' | 'scheduled' | 'running' | 'awaiting' | 'parked';

/** Messages handled before the next of those who share a turn gets its own. */
export const THROUGHPUT_COUNT = 100;
/**
 * Messages per turn of an actor that has its turns to itself: a writer. More than entities can tell it in a shared turn and the promises
 * between (turn.ts: 256 messages, of which each may be followed by a few), or they pile up in its mailbox, and what they hold, which is the
 * most of an event, is carried along by the garbage collector.
 */
const OWN_TURN_COUNT = 1_024;

/** What few cells need, made when first needed. */
export interface Rare {
  urgent: Mailbox | undefined;
  timers: Set<Timer> | undefined;
  /** Who is told when this cell ends. */
  watchers: Watching[] | undefined;
  /** Whom this life watches. */
  watching: Set<Watching> | undefined;
  crashes: CrashHistory;
  lastError: unknown;
  lastErrorCode: string | undefined;
  /** The promise waited for: a late one, of a life given up, is told by not being this. */
  pending: { readonly message: unknown; readonly sinceMs: number } | undefined;
  /** Backoff or quarantine. */
  pause: Timer | undefined;
  stop: { readonly reason: StopReason; readonly limit: Timer | undefined; readonly onEnd: (() => void)[] } | undefined;
  onEscalate: ((ref: AnyRef, error: unknown) => void) | undefined;
}

export class Cell implements ActorRef<unknown>, ActorContext<unknown>, Occupant {
  readonly spec: ActorSpec<unknown, unknown>;
  readonly place: Place;
  node: Node | undefined = undefined;
  state: unknown = undefined;
  hasState = false;
  status: CellStatus = 'new';
  phase: CellPhase = 'idle';
  mailbox: Mailbox | undefined = undefined;
  trace: TraceContext | undefined = undefined;
  incarnation: number;
  handledCount = 0;
  rare: Rare | undefined = undefined;

  constructor(spec: ActorSpec<unknown, unknown>, place: Place) {
    this.spec = spec;
    this.place = place;
    this.incarnation = place.nextIncarnation(0);
  }

  get path(): string {
    return `${this.place.path}/${this.node?.name ?? ''}`;
  }
  get kind(): string {
    return this.spec.kind;
  }
  get self(): ActorRef<unknown> {
    return this;
  }
  get core(): Core {
    return this.place.core;
  }
  get clock(): Clock {
    return this.place.core.clock;
  }
  get random(): Random {
    return this.place.core.random;
  }
  get depth(): number {
    return this.mailbox?.depth ?? 0;
  }

  tell(message: unknown, trace?: TraceContext): TellResult {
    const status = this.status;
    if (status === 'active') return this.accept(message, trace);
    if (status === 'stopping' || status === 'stopped') return 'stopped';
    if (status === 'quarantined' && this.spec.refused === undefined) return 'stopped';
    return this.hold(message, trace);
  }

  /** Takes a message that the present status cannot handle; the place counts it. */
  hold(message: unknown, trace: TraceContext | undefined): TellResult {
    const told = this.accept(message, trace);
    if (told === 'accepted') this.place.holds(this);
    return told;
  }

  private accept(message: unknown, trace: TraceContext | undefined): TellResult {
    const core = this.place.core;
    if (core.killed) return 'stopped';
    const mailbox = (this.mailbox ??= core.mailboxes.take());
    if (mailbox.depth >= this.spec.mailbox.capacityCount) return 'full';
    if (this.phase === 'idle') this.schedule(core);
    mailbox.push(message, trace, core.nowMs);
    return 'accepted';
  }

  /** The lane of timers and signals: first in line, never refused. */
  acceptUrgent(message: unknown): void {
    const core = this.place.core;
    if (core.killed || this.status === 'stopping' || this.status === 'stopped') return;
    const rare = rareOf(this);
    rare.urgent ??= core.mailboxes.take();
    rare.urgent.push(message, undefined, core.nowMs);
    if (this.phase === 'idle') this.schedule(core);
  }

  private schedule(core: Core): void {
    if (core.runnableCount++ === 0) core.nowMs = core.clock.monotonic();
    this.phase = 'scheduled';
    this.place.wake(this);
  }

  turn(): void {
    const core = this.place.core;
    core.nowMs = core.clock.monotonic();
    this.run(OWN_TURN_COUNT);
  }

  /** One turn of at most `limitCount` messages; answers how many it handled. */
  run(limitCount: number): number {
    if (this.phase !== 'scheduled' || this.place.core.killed) return 0;
    this.phase = 'running';
    if (this.status === 'new') begin(this);
    return this.drain(limitCount);
  }

  /** Handles messages while the phase is `running`, then settles the phase. */
  drain(limitCount: number): number {
    const spec = this.spec;
    let handledCount = 0;
    while (handledCount < limitCount && this.phase === 'running' && this.status === 'active') {
      const urgent = this.rare?.urgent;
      const lane = urgent !== undefined && urgent.depth > 0 ? urgent : this.mailbox;
      if (lane === undefined || lane.depth === 0) break;
      const message = lane.take();
      this.trace = lane.takenTrace;
      handledCount++;
      try {
        const next = spec.receive(this.state, message, this);
        if (next !== this.state) {
          if (next instanceof Promise) this.waitFor(next, message, limitCount - handledCount);
          else this.state = next;
        }
        this.handledCount++;
      } catch (error) {
        crashed(this, message, error);
      }
    }
    if (this.phase === 'running') this.settle();
    return handledCount;
  }

  private waitFor(promise: Promise<unknown>, message: unknown, limitCount: number): void {
    awaitOutcome(
      this,
      promise,
      message,
      (next) => {
        this.state = next;
        this.drain(limitCount);
      },
      (error) => {
        crashed(this, message, error);
        this.drain(limitCount);
      },
    );
  }

  /** The end of a turn: again, idle, or on to the end. */
  private settle(): void {
    this.trace = undefined;
    if (this.status === 'stopping') {
      finishStop(this);
      return;
    }
    if (this.status === 'quarantined') refuseRest(this, 'quarantined');
    const urgentDepth = this.rare?.urgent?.depth ?? 0;
    if (this.depth + urgentDepth > 0) {
      this.phase = 'scheduled';
      this.place.wake(this);
      return;
    }
    this.releaseMailbox();
    setPhase(this, 'idle');
  }

  releaseMailbox(): void {
    if (this.mailbox?.depth !== 0) return;
    this.place.core.mailboxes.give(this.mailbox);
    this.mailbox = undefined;
  }

  after(delayMs: number, message: unknown): Timer {
    return after(this, delayMs, message);
  }
  every(intervalMs: number, message: unknown): Timer {
    return every(this, intervalMs, message);
  }
  watch(ref: AnyRef, message: unknown): void {
    watch(this, ref, message);
  }
  stop(): void {
    requestStop(this, 'stopped', undefined, undefined);
  }
}

/** The cell's rare part, made now if it has none. */
export function rareOf(cell: Cell): Rare {
  return (cell.rare ??= {
    urgent: undefined,
    timers: undefined,
    watchers: undefined,
    watching: undefined,
    crashes: { grantedAtMs: [], attempt: 0, lastAtMs: -Infinity },
    lastError: undefined,
    lastErrorCode: undefined,
    pending: undefined,
    pause: undefined,
    stop: undefined,
    onEscalate: undefined,
  });
}
