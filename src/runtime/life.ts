import { state as stateFact } from '../observe/facts.ts';
import type { StopReason } from './actor.ts';
import { rareOf, THROUGHPUT_COUNT, type Cell, type CellPhase, type CellStatus } from './cell.ts';
import { noteCrash, refuseRest, settleFailed, warnOfLimit } from './leftovers.ts';
import { nextRestart, noCrashes } from './strategy.ts';
import { cancelTimers } from './timers.ts';
import { endWatches, tellWatchers } from './watch.ts';

/** The life of a cell: start, crash, backoff, quarantine, stop. The states are drawn in cell.ts; each function here is one arrow. */

/** Limit of a `stopping` that nobody else limits (restart, quarantine): after it the next life starts all the same. */
const STOPPING_LIMIT_MS = 10_000;

/** Moves the status and tells the place of it. */
export function setStatus(cell: Cell, status: CellStatus): void {
  const from = cell.status;
  cell.status = status;
  cell.place.changed(cell, from);
}

/** Moves the phase and keeps the system's two counts of it. */
export function setPhase(cell: Cell, phase: CellPhase): void {
  const core = cell.place.core;
  const wasRunnable = cell.phase === 'scheduled' || cell.phase === 'running';
  const isRunnable = phase === 'scheduled' || phase === 'running';
  if (isRunnable && !wasRunnable && core.runnableCount++ === 0) core.nowMs = core.clock.monotonic();
  if (wasRunnable && !isRunnable) core.runnableCount--;
  if (cell.phase === 'awaiting') core.awaitingCount--;
  if (phase === 'awaiting') core.awaitingCount++;
  cell.phase = phase;
}

/** Waits for a promise of the spec. Neither continuation is called when the life was given up or the system killed meanwhile. */
export function awaitOutcome(
  cell: Cell,
  promise: Promise<unknown>,
  message: unknown,
  resolved: (value: unknown) => void,
  rejected: (error: unknown) => void,
): void {
  const rare = rareOf(cell);
  const pending = { message, sinceMs: cell.core.nowMs };
  rare.pending = pending;
  setPhase(cell, 'awaiting');
  const resume = (): boolean => {
    if (rare.pending !== pending || cell.core.killed) return false;
    rare.pending = undefined;
    setPhase(cell, 'running');
    return true;
  };
  promise.then(
    (value) => {
      if (resume()) resolved(value);
    },
    (error: unknown) => {
      if (resume()) rejected(error);
    },
  );
}

/** new → starting → active. In phase `running`, and leaves it only for `awaiting` or `parked`. */
export function begin(cell: Cell): void {
  if (!cell.place.admits(cell)) {
    setStatus(cell, 'waiting');
    setPhase(cell, 'parked');
    return;
  }
  setStatus(cell, 'starting');
  try {
    const made = cell.spec.start(cell);
    if (made instanceof Promise) {
      awaitOutcome(
        cell,
        made,
        undefined,
        (state) => {
          started(cell, state);
          cell.drain(THROUGHPUT_COUNT);
        },
        (error) => {
          startFailed(cell, error);
          cell.drain(THROUGHPUT_COUNT);
        },
      );
    } else started(cell, made);
  } catch (error) {
    startFailed(cell, error);
  }
}

function started(cell: Cell, state: unknown): void {
  cell.state = state;
  cell.hasState = true;
  if (cell.status === 'starting') setStatus(cell, 'active'); // else a stop was asked for meanwhile
}

function startFailed(cell: Cell, error: unknown): void {
  noteCrash(cell, error);
  if (cell.status === 'stopping') return;
  if (cell.spec.supervision.directive === 'resume')
    escalate(cell, error); // no state to go on with
  else decide(cell, error);
}

/** A `receive` threw: settles the message, then does what the strategy says. The state is the one from before. */
export function crashed(cell: Cell, message: unknown, error: unknown): void {
  noteCrash(cell, error);
  settleFailed(cell, message, error);
  if (cell.status !== 'stopping') decide(cell, error);
}

function decide(cell: Cell, error: unknown): void {
  const { supervision } = cell.spec;
  switch (supervision.directive) {
    case 'resume':
      return;
    case 'stop':
      requestStop(cell, 'stopped', undefined, undefined);
      return;
    case 'escalate':
      escalate(cell, error);
      return;
    case 'restart': {
      const rare = rareOf(cell);
      const decision = nextRestart(rare.crashes, supervision.budget, supervision.backoff, cell.clock.monotonic(), cell.random.next());
      rare.crashes = decision.history;
      if (decision.granted) backOff(cell, decision.history.attempt, decision.backoffMs);
      else if (supervision.whenSpent === 'escalate') escalate(cell, error);
      else quarantine(cell, supervision.whenSpent.quarantineMs);
    }
  }
}

function backOff(cell: Cell, attempt: number, backoffMs: number): void {
  setStatus(cell, 'backing-off');
  endLife(cell, 'restarted', STOPPING_LIMIT_MS, () => {
    stateFact('runtime-actor-restarted', { kind: cell.kind, path: cell.path, attempt, backoffMs });
    rareOf(cell).pause = cell.core.deadlines.add(backoffMs, () => revive(cell));
    setPhase(cell, 'parked');
  });
}

function quarantine(cell: Cell, quarantineMs: number): void {
  setStatus(cell, 'quarantined');
  stateFact('runtime-actor-quarantined', { kind: cell.kind, path: cell.path, untilMs: cell.clock.now() + quarantineMs });
  endLife(cell, 'budget-spent', STOPPING_LIMIT_MS, () => {
    const rare = rareOf(cell);
    rare.pause = cell.core.deadlines.add(quarantineMs, () => {
      rare.crashes = noCrashes;
      if (cell.place.endsAfterQuarantine && cell.depth === 0) requestStop(cell, 'stopped', undefined, undefined);
      else revive(cell);
    });
    refuseRest(cell, 'quarantined');
    // with `refused` a tell is accepted and wakes the cell, which settles it; without, tell answers 'stopped'
    cell.releaseMailbox();
    setPhase(cell, 'idle');
  });
}

/** The next life of a cell: backing-off | quarantined → new. */
function revive(cell: Cell): void {
  rareOf(cell).pause = undefined;
  cell.incarnation = cell.place.nextIncarnation(cell.incarnation);
  launch(cell);
}

/** (made) | waiting → new, with a turn in which to start. */
export function launch(cell: Cell): void {
  setStatus(cell, 'new');
  if (cell.phase === 'scheduled') return;
  setPhase(cell, 'scheduled');
  cell.place.wake(cell);
}

/**
 * Ends the present life, if there is one: timers, watches and queued signals go, `stopping` is called and awaited. Then `then`, in phase
 * `running`; if a stop was asked for meanwhile, the cell ends instead.
 */
function endLife(cell: Cell, reason: StopReason, limitMs: number | undefined, then: () => void): void {
  cancelTimers(cell);
  endWatches(cell);
  if (cell.rare?.urgent !== undefined) cell.rare.urgent = undefined;
  const goOn = (): void => {
    if (cell.status === 'stopping') end(cell);
    else then();
  };
  if (!cell.hasState) {
    goOn();
    return;
  }
  const { state } = cell;
  cell.hasState = false;
  try {
    const flushed = cell.spec.stopping?.(state, reason, cell);
    if (!(flushed instanceof Promise)) {
      cell.state = undefined;
      goOn();
      return;
    }
    const limit =
      limitMs === undefined
        ? undefined
        : cell.core.deadlines.add(limitMs, () => {
            warnOfLimit(cell, limitMs);
            giveUpWaiting(cell);
            setPhase(cell, 'running');
            cell.state = undefined;
            goOn();
          });
    const ended = (): void => {
      limit?.cancel();
      cell.state = undefined;
      goOn();
    };
    awaitOutcome(cell, flushed, undefined, ended, (error) => {
      noteCrash(cell, error);
      ended();
    });
  } catch (error) {
    noteCrash(cell, error);
    cell.state = undefined;
    goOn();
  }
}

/**
 * Asks for an ordered stop: no new messages from now on, the one in work is finished, `stopping`, the rest refused, the name freed, then
 * `onEnd`. After `limitMs` the cell ends whatever it is waiting for; without it, it waits as long as it takes.
 */
export function requestStop(cell: Cell, reason: StopReason, limitMs: number | undefined, onEnd: (() => void) | undefined): void {
  if (cell.status === 'stopped') {
    onEnd?.();
    return;
  }
  const rare = rareOf(cell);
  if (rare.stop !== undefined && (limitMs === undefined || rare.stop.limit !== undefined)) {
    if (onEnd !== undefined) rare.stop.onEnd.push(onEnd);
    return;
  }
  const isFirst = rare.stop === undefined;
  const limit = limitMs === undefined ? undefined : cell.core.deadlines.add(limitMs, () => abandon(cell, limitMs));
  const onEnds = rare.stop?.onEnd ?? [];
  if (onEnd !== undefined) onEnds.push(onEnd);
  rare.stop = { reason: rare.stop?.reason ?? reason, limit, onEnd: onEnds };
  if (!isFirst) return;
  rare.pause?.cancel();
  rare.pause = undefined;
  setStatus(cell, 'stopping');
  if (cell.phase === 'running' || cell.phase === 'awaiting') return; // the loop goes on to finishStop by itself
  setPhase(cell, 'running');
  finishStop(cell);
}

/** stopping → stopped, in phase `running`. */
export function finishStop(cell: Cell): void {
  endLife(cell, cell.rare?.stop?.reason ?? 'stopped', undefined, () => end(cell));
}

function abandon(cell: Cell, limitMs: number): void {
  if (cell.status === 'stopped') return;
  warnOfLimit(cell, limitMs);
  const unfinished = cell.rare?.pending?.message;
  giveUpWaiting(cell);
  if (unfinished !== undefined) settleFailed(cell, unfinished, new Error('Given up at the limit of a stop.'));
  end(cell);
}

function giveUpWaiting(cell: Cell): void {
  if (cell.rare !== undefined) cell.rare.pending = undefined;
}

function escalate(cell: Cell, error: unknown): void {
  requestStop(cell, 'budget-spent', STOPPING_LIMIT_MS, () => {
    const onEscalate = cell.rare?.onEscalate;
    if (onEscalate === undefined) cell.place.escalated(cell, error);
    else onEscalate(cell, error);
  });
}

function end(cell: Cell): void {
  cancelTimers(cell);
  endWatches(cell);
  cell.state = undefined;
  cell.hasState = false;
  const stop = cell.rare?.stop;
  stop?.limit?.cancel();
  setPhase(cell, 'parked');
  setStatus(cell, 'stopped');
  if (!cell.place.inherits(cell)) refuseRest(cell, 'stopped');
  cell.releaseMailbox();
  cell.place.remove(cell);
  tellWatchers(cell);
  for (const onEnd of stop?.onEnd ?? []) onEnd();
}
