import type { Asks } from './ask.ts';
import type { Cell, CellStatus } from './cell.ts';
import type { Clock, Random } from './clock.ts';
import type { DeadLetterSink } from './dead-letters.ts';
import type { DeadlineQueue } from './deadlines.ts';
import type { MailboxPool } from './mailbox.ts';
import type { Tree } from './node.ts';

/** What all cells of one system share. Fields are written by the cells and by the system; everyone else reads. */
export interface Core {
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: DeadlineQueue;
  readonly deadLetters: DeadLetterSink;
  readonly asks: Asks;
  readonly mailboxes: MailboxPool;
  readonly tree: Tree;
  /** Set once, by `kill` or at the end of `shutdown`: no cell runs again. */
  killed: boolean;
  /** Cells that are scheduled or in a turn. */
  runnableCount: number;
  /** Cells that wait for a promise of their spec. */
  awaitingCount: number;
  /**
   * Monotonic ms, read once per turn and whenever the first cell becomes runnable: late by at most the length of a turn, and free on the
   * hot path (reading the clock costs as much as a whole message). For ages and `since`, never for deadlines.
   */
  nowMs: number;
}

/** Where a cell lives: the children of one parent, or one group of entities. */
export interface Place {
  readonly core: Core;
  /** Path of the parent, without a slash at the end. */
  readonly path: string;
  /** A quarantine that ends over an empty mailbox ends the actor: a next message would make it anew. */
  readonly endsAfterQuarantine: boolean;
  /** Sees to it that `cell.run` is called in a later turn. */
  wake(cell: Cell): void;
  /** Frees the cell's name. */
  remove(cell: Cell): void;
  nextIncarnation(previous: number): number;
  /** May this cell call its `start` now? If not, the place schedules it when it may. */
  admits(cell: Cell): boolean;
  /** Told after each change of status. */
  changed(cell: Cell, from: CellStatus): void;
  /** Told after a message was accepted in a status other than active. */
  holds(cell: Cell): void;
  /** Takes what is left in the mailbox of an ended cell over to a successor; false when there is none. */
  inherits(cell: Cell): boolean;
  escalated(cell: Cell, error: unknown): void;
}
