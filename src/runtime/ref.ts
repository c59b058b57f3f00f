import type { TraceContext } from './envelope.ts';

/**
 * Answer of {@link ActorRef.tell}. `full` and `stopped` mean that the message was NOT taken: the caller still owns it.
 * Never ignore it in a router or a writer.
 */
export type TellResult = 'accepted' | 'full' | 'stopped';

/** What every ref is, whatever its protocol: enough to stop, watch or inspect an actor, not enough to tell it anything. */
export interface AnyRef {
  /** For example `/people/Zk3…+7`: unique over the life of the process. */
  readonly path: string;
  readonly kind: string;
}

/** Handle to an actor. Contravariant in M, as Pekko has it: who takes A | B may stand where a taker of A is wanted, never the reverse. */
export interface ActorRef<in M> extends AnyRef {
  /** Hands a message over. Data only; the sender never touches it again. */
  tell(message: M, trace?: TraceContext): TellResult;
}
