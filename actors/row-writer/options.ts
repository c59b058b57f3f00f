import type { Clock } from '../../src/runtime/clock.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { Strategy } from '../../src/runtime/strategy.ts';
import type { DeadLetterMessage } from '../dead-letter/messages.ts';
import type { Warning } from '../redis-buffer/messages.ts';

/** What a row writer needs, wherever its rows go. */
export interface RowWriterDeps {
  readonly clock: Clock;
  readonly deadLetter: ActorRef<DeadLetterMessage>;
  /** Tells a team about its own data (O-4); best effort. */
  readonly warn: (warning: Warning) => void;
  /** False when the last heartbeat of the partition's owner is older than the margin, or the generation is over. */
  readonly mayWrite: (topic: string, partition: number, generation: number) => boolean;
  readonly options: RowWriterOptions;
  readonly strategy: Strategy;
}

export interface RowWriterOptions {
  /** A flight takes off when so many event rows wait, so many bytes, or a row this old. */
  readonly maxRowsCount: number;
  readonly maxBytes: number;
  readonly maxAgeMs: number;
  readonly mailboxCapacityCount: number;
  /** How long a stop may go on trying to send what is left. @defaultValue 10,000 ms */
  readonly stopFlushMs?: number;
}
