import type { Timer } from './clock.ts';
import { rareOf, type Cell } from './cell.ts';

/** Timers of one life: they tell the cell by its urgent lane, and end with the life (crash, stop, passivation). */
export function after(cell: Cell, delayMs: number, message: unknown): Timer {
  const timers = (rareOf(cell).timers ??= new Set());
  const deadline = cell.core.deadlines.add(delayMs, () => {
    timers.delete(timer);
    cell.acceptUrgent(message);
  });
  const timer: Timer = {
    cancel() {
      timers.delete(timer);
      deadline.cancel();
    },
  };
  timers.add(timer);
  return timer;
}

/** A tick that is still in the mailbox when the next one is due stands for both: a slow actor does not collect ticks. */
export function every(cell: Cell, intervalMs: number, message: unknown): Timer {
  if (!(intervalMs > 0)) throw new RangeError(`An interval must be more than 0 ms, not ${String(intervalMs)}.`);
  const timers = (rareOf(cell).timers ??= new Set());
  let deadline = cell.core.deadlines.add(intervalMs, tick);
  function tick(): void {
    deadline = cell.core.deadlines.add(intervalMs, tick);
    if (cell.rare?.urgent?.includes(message) !== true) cell.acceptUrgent(message);
  }
  const timer: Timer = {
    cancel() {
      timers.delete(timer);
      deadline.cancel();
    },
  };
  timers.add(timer);
  return timer;
}

/** At the end of a life. */
export function cancelTimers(cell: Cell): void {
  const timers = cell.rare?.timers;
  if (timers === undefined) return;
  for (const timer of [...timers]) timer.cancel();
}
