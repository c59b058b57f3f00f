import type { ActorContext } from './actor.ts';

/** Tells itself how something ended that it had begun. A full mailbox must not swallow it: the urgent lane always has room. */
export function tellSelf<M>(ctx: ActorContext<M>, message: M): void {
  if (ctx.self.tell(message) === 'full') ctx.after(0, message);
}
