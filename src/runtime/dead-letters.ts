import { state } from '../observe/facts.ts';
import type { Clock } from './clock.ts';

/**
 * The one end of messages that found no actor, or whose handler failed and whose spec does not settle them. Always counted and stated;
 * the last ones are kept for the inspector by type and target only, never with content.
 */
export type DeadLetterReason = 'stopped' | 'full' | 'unhandled' | 'late-reply' | 'failed';

/** What is kept of a message that no actor took. */
export interface DeadLetter {
  /** `type` of the message, or its JavaScript type. */
  readonly messageType: string;
  readonly path: string;
  readonly kind: string;
  readonly reason: DeadLetterReason;
  /** Epoch ms. */
  readonly atMs: number;
}
/** What the inspector reads. */
export interface DeadLetters {
  /** Count by reason since the start of the system. */
  counts(): Readonly<Record<DeadLetterReason, number>>;
  /** The last {@link RECENT_COUNT}, oldest first. */
  recent(): readonly DeadLetter[];
}
/** What the runtime writes. */
export interface DeadLetterSink extends DeadLetters {
  add(target: { readonly kind: string; readonly path: string }, message: unknown, reason: DeadLetterReason): void;
}

/** Letters kept for the inspector. */
export const RECENT_COUNT = 100;

/** The sink of one actor system. */
export function createDeadLetters(clock: Clock): DeadLetterSink {
  const counts: Record<DeadLetterReason, number> = { stopped: 0, full: 0, unhandled: 0, 'late-reply': 0, failed: 0 };
  const recent: DeadLetter[] = [];

  return {
    add(target, message, reason) {
      const letter: DeadLetter = { messageType: messageTypeOf(message), path: target.path, kind: target.kind, reason, atMs: clock.now() };
      counts[reason]++;
      recent.push(letter);
      if (recent.length > RECENT_COUNT) recent.shift();
      state('runtime-message-dead-lettered', { kind: letter.kind, reason, path: letter.path, messageType: letter.messageType });
    },
    counts: () => ({ ...counts }),
    recent: () => [...recent],
  };
}

/** A word for a message that is safe in logs and metrics: its `type`, else what JavaScript calls it. */
export function messageTypeOf(message: unknown): string {
  if (typeof message === 'object' && message !== null && 'type' in message && typeof message.type === 'string') return message.type;
  return typeof message;
}
