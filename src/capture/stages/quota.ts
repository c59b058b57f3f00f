import { state } from '../../observe/facts.ts';
import { without, type DropCause, type Stage } from '../batch.ts';
import { NO_QUOTAS, resourceOf, type QuotaResource, type Quotas } from '../quotas.ts';
import type { RawEvent } from '../shapes.ts';

/**
 * Leaves out what its token has not paid for (spec/capture.md 7.3). Events with a quota of their own (exceptions, surveys, LLM) go by
 * that one alone; all others by the one of `resource`. The client is answered 200: old SDKs send what a 429 refused for ever.
 */
export function quota(quotas: Quotas, resource: 'events' | 'recordings'): Stage<RawEvent> {
  if (quotas === NO_QUOTAS) return (next) => next;
  return (next) => (batch) => {
    const { token } = batch;
    const exceeded = new Map<QuotaResource, number>();
    const within = without(batch, (event): DropCause | undefined => {
      const limiting = resource === 'events' ? resourceOf(event) : resource;
      if (!quotas.isLimited(limiting, token)) return undefined;
      exceeded.set(limiting, (exceeded.get(limiting) ?? 0) + 1);
      return `${limiting}_over_quota`;
    });
    if (within === batch) return next(batch);
    for (const [limiting, count] of exceeded) state('capture-quota-exceeded', { resource: limiting, count });
    return within.events.length === 0 ? Promise.resolve({ type: 'over-quota', resource }) : next(within);
  };
}
