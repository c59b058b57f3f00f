/** Answers on their way (G1, G2): each invocation leaves the plugin by one, in order for each that waits. */
import type { PluginAnswer } from './messages.ts';
import type { Invocation, PluginState } from './state.ts';

export function answer(state: PluginState, { ticket, replyTo }: Invocation, result: PluginAnswer['result']): void {
  state.outbox.push({ replyTo, answer: { type: 'plugin-answered', ticket, result } });
}

/** Tells what can be told: a refusing mailbox holds back its own answers only; who is gone needs none. False when some are left. */
export function tellOutbox(state: PluginState): boolean {
  if (state.outbox.length === 0) return true;
  const full = new Set<unknown>();
  state.outbox = state.outbox.filter(({ replyTo, answer: told }) => {
    if (!full.has(replyTo) && replyTo.tell(told) !== 'full') return false;
    full.add(replyTo);
    return true;
  });
  return state.outbox.length === 0;
}
