import type { Timer } from './clock.ts';
import type { DeadLetterSink } from './dead-letters.ts';
import type { DeadlineQueue } from './deadlines.ts';
import type { ActorRef, TellResult } from './ref.ts';

/**
 * Request and reply with a deadline.
 *
 * I1 an ask settles exactly once: with the first reply, or with an {@link AskError}.
 * I2 it fails at once, not at its deadline, when the target refuses the message, when the message becomes a dead letter, and when its
 *    handler throws.
 * I3 a reply after that is a dead letter (`late-reply`), and the teller learns `stopped`.
 */
export type AskErrorCode = 'full' | 'stopped' | 'failed' | 'deadline';
/** An ask that got no reply: the code says why, and comes at once where that is known. */
export class AskError extends Error {
  readonly code: AskErrorCode;
  constructor(code: AskErrorCode, path: string, cause?: unknown) {
    super(`Ask to ${path} ended without a reply: ${code}.`, cause === undefined ? undefined : { cause });
    this.name = 'AskError';
    this.code = code;
  }
}

export interface Asks {
  ask<M, R>(ref: ActorRef<M>, make: (replyTo: ActorRef<R>) => M, deadlineMs: number): Promise<R>;
  /** Tells whoever asked with this very message that no reply will come. Does nothing when nobody did. */
  reject(message: unknown, code: AskErrorCode, cause?: unknown): void;
  readonly pendingCount: number;
}

interface Pending {
  readonly path: string;
  readonly reject: (error: AskError) => void;
  /** Ends the wait; false when it had ended before. */
  readonly end: () => boolean;
}

/** The asks of one actor system, all on one timer. */
export function createAsks(deadlines: DeadlineQueue, deadLetters: DeadLetterSink): Asks {
  const pendingByMessage = new Map<unknown, Pending>();
  let lastNumber = 0;

  function fail(pending: Pending, code: AskErrorCode, cause?: unknown): void {
    if (pending.end()) pending.reject(new AskError(code, pending.path, cause));
  }

  return {
    ask<M, R>(ref: ActorRef<M>, make: (replyTo: ActorRef<R>) => M, deadlineMs: number): Promise<R> {
      return new Promise<R>((resolve, reject) => {
        let isOpen = true;
        let deadline: Timer | undefined = undefined;
        const path = `/asks/${String(++lastNumber)}`;
        const replyTo: ActorRef<R> = {
          path,
          kind: 'reply',
          tell(reply): TellResult {
            if (!pending.end()) {
              deadLetters.add(replyTo, reply, 'late-reply');
              return 'stopped';
            }
            resolve(reply);
            return 'accepted';
          },
        };
        const pending: Pending = {
          path: ref.path,
          reject,
          end() {
            if (!isOpen) return false;
            isOpen = false;
            deadline?.cancel();
            if (pendingByMessage.get(message) === pending) pendingByMessage.delete(message);
            return true;
          },
        };
        const message = make(replyTo);
        // two asks with one message object, or with equal primitives, can only be told apart by the deadline
        pendingByMessage.set(message, pending);
        deadline = deadlines.add(deadlineMs, () => fail(pending, 'deadline'));
        const told = ref.tell(message);
        if (told !== 'accepted') fail(pending, told);
      });
    },
    reject(message, code, cause) {
      const pending = pendingByMessage.get(message);
      if (pending !== undefined) fail(pending, code, cause);
    },
    get pendingCount() {
      return pendingByMessage.size;
    },
  };
}
