import { state } from '../../observe/facts.ts';
import type { Stage } from '../batch.ts';
import { NO_GLOBAL_LIMIT, type GlobalLimit } from '../global-limit.ts';
import { NO_PERSON, withHeaders } from '../routed.ts';
import type { PreparedEvent } from './prepare.ts';

const MAX_ID_CHARACTERS = 128;

/**
 * What a key has too many of makes no person, and goes aside without its key when it is of the main lane (spec/capture.md 7.2): one key that everybody
 * uses, or one client gone wild, holds up neither its partition nor its person. Nothing is refused or left out.
 */
export function limitedGlobally(limit: GlobalLimit, isDryRun = false): Stage<PreparedEvent> {
  if (limit === NO_GLOBAL_LIMIT) return (next) => next;
  return (next) => (batch) => {
    const beyond = new Set<PreparedEvent>();
    for (const event of batch.events) {
      const key = `${batch.token}:${event.distinctId.slice(0, MAX_ID_CHARACTERS)}`;
      if (limit.isBeyond(key)) beyond.add(event);
    }
    if (beyond.size === 0) return next(batch);
    state('capture-keys-limited', { reason: isDryRun ? 'dry_run' : 'limited', count: beyond.size });
    if (isDryRun) return next(batch);
    const events = batch.events.map((event) => {
      if (!beyond.has(event)) return event;
      const isAside = event.lane === 'main' && event.topic === undefined;
      return withHeaders(isAside ? { ...event, lane: 'overflow' as const, isKeyless: true } : event, NO_PERSON);
    });
    return next({ ...batch, events });
  };
}
