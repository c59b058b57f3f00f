import { without, type Stage } from '../batch.ts';
import type { PreparedEvent } from './prepare.ts';

/**
 * Leaves out the events of what an operator has listed, each a `token` or a `token:distinct_id` (spec/capture.md 7.1). The
 * client is told nothing, so that it does not send them again.
 */
export function tokenDropper(listed: readonly string[]): Stage<PreparedEvent> {
  const entries = new Set(listed);
  if (entries.size === 0) return (next) => next;
  return (next) => (batch) =>
    next(
      entries.has(batch.token)
        ? without(batch, () => 'token_dropper')
        : without(batch, ({ distinctId }) => (entries.has(`${batch.token}:${distinctId}`) ? 'token_dropper' : undefined)),
    );
}
