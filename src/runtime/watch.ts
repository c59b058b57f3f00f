import { Cell, rareOf } from './cell.ts';
import type { AnyRef } from './ref.ts';

/**
 * Death watch: one message to the watcher when the watched actor ends, by the urgent lane.
 *
 * I1 exactly one message per watch, also when the watched actor had ended before, and for refs that are no actor (a reply ref).
 * I2 a watch belongs to the life that asked for it: none is told to a later life, and none is left with the watched actor.
 */
export interface Watching {
  readonly watcher: Cell;
  readonly target: Cell;
  readonly message: unknown;
}

export function watch(watcher: Cell, ref: AnyRef, message: unknown): void {
  const target = resolve(ref);
  if (target === undefined || target.status === 'stopped') {
    watcher.acceptUrgent(message);
    return;
  }
  const watching: Watching = { watcher, target, message };
  (rareOf(target).watchers ??= []).push(watching);
  (rareOf(watcher).watching ??= new Set()).add(watching);
}

/** A ref that stands for whoever holds a name now (supervisor.ts) tells its present cell. */
export interface Alias extends AnyRef {
  readonly present: AnyRef | undefined;
}
function resolve(ref: AnyRef): Cell | undefined {
  if (ref instanceof Cell) return ref;
  const present = 'present' in ref ? (ref as Alias).present : undefined;
  return present instanceof Cell ? present : undefined;
}

/** Tells everyone who watches this cell, which has just ended. */
export function tellWatchers(cell: Cell): void {
  const watchers = cell.rare?.watchers;
  if (cell.rare === undefined || watchers === undefined) return;
  cell.rare.watchers = undefined;
  for (const watching of watchers) {
    if (watching.watcher.rare?.watching?.delete(watching) === true) watching.watcher.acceptUrgent(watching.message);
  }
}

/** Ends the watches of a life that is over. */
export function endWatches(cell: Cell): void {
  const watching = cell.rare?.watching;
  if (cell.rare === undefined || watching === undefined) return;
  cell.rare.watching = undefined;
  for (const one of watching) {
    const rare = one.target.rare;
    if (rare?.watchers !== undefined) rare.watchers = rare.watchers.filter((other) => other !== one);
  }
}
