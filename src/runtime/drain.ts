import type { ActorRef } from './ref.ts';

/** Asks an actor that keeps work to write it out now, and to say when none is left. Part of the protocol of every writer. */
export interface Drain {
  readonly type: 'drain';
  readonly replyTo: ActorRef<Drained>;
}

export interface Drained {
  readonly type: 'drained';
}

/** Those who have asked and were not answered yet. */
export type Drains = Drain['replyTo'][];

/** Answers all of them, once. */
export function tellDrained(drains: Drains): void {
  for (const replyTo of drains.splice(0)) replyTo.tell({ type: 'drained' });
}
