import { state as stateFact } from '../observe/facts.ts';
import type { RefusalReason } from './actor.ts';
import { rareOf, type Cell } from './cell.ts';

/** What becomes of messages that no `receive` has handled, and of errors that no spec has caught. Nothing here throws. */

/** A message whose `receive` failed: to the spec's `failed`, else to the dead letters; whoever asked with it is told. */
export function settleFailed(cell: Cell, message: unknown, error: unknown): void {
  try {
    if (cell.spec.failed === undefined) cell.core.deadLetters.add(cell, message, 'failed');
    else cell.spec.failed(cell.state, message, error, cell);
  } catch (second) {
    noteCrash(cell, second);
    cell.core.deadLetters.add(cell, message, 'failed');
  }
  cell.core.asks.reject(message, 'failed', error);
}

/** Empties the mailbox: each message to the spec's `refused`, or to the dead letters. */
export function refuseRest(cell: Cell, reason: RefusalReason): void {
  const { mailbox } = cell;
  while (mailbox !== undefined && mailbox.depth > 0) {
    const message = mailbox.take();
    cell.trace = mailbox.takenTrace;
    try {
      if (cell.spec.refused === undefined) cell.core.deadLetters.add(cell, message, reason === 'stopped' ? 'stopped' : 'failed');
      else cell.spec.refused(message, reason, cell.rare?.lastError, cell);
    } catch (error) {
      noteCrash(cell, error);
      cell.core.deadLetters.add(cell, message, 'failed');
    }
    cell.core.asks.reject(message, 'stopped', cell.rare?.lastError);
  }
  cell.trace = undefined;
}

/** States a crash and keeps it for the inspector. The message text goes to the fact only. */
export function noteCrash(cell: Cell, error: unknown): void {
  const code = codeOf(error);
  const rare = rareOf(cell);
  rare.lastError = error;
  rare.lastErrorCode = code;
  stateFact('runtime-actor-crashed', {
    kind: cell.kind,
    path: cell.path,
    code,
    message: error instanceof Error ? error.message : String(error),
  });
}

function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : 'not-an-error';
}

/** States that an actor was given up while it stopped. */
export function warnOfLimit(cell: Cell, limitMs: number): void {
  stateFact('log-written', {
    level: 'warn',
    message: 'An actor took too long to stop and was given up.',
    fields: { actorKind: cell.kind, actorPath: cell.path, limitMs },
  });
}
