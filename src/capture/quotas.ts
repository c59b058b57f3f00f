import { own } from '../domain/json.ts';
import { state } from '../observe/facts.ts';
import { watchLimitedSets, type LimitedSetsSource } from './limited-sets.ts';
import type { Closing } from './repeated.ts';
import type { RawEvent } from './shapes.ts';

/** What PostHog's billing limits, each by itself (spec/capture.md 7.3). */
export const QUOTA_RESOURCES = ['events', 'recordings', 'exceptions', 'surveys', 'llm_events'] as const;
export type QuotaResource = (typeof QUOTA_RESOURCES)[number];

export interface Quotas {
  /** Whether the token has used up what it has paid for. Reads memory, never waits. */
  isLimited(resource: QuotaResource, token: string): boolean;
}

const SURVEY_EVENTS = new Set(['survey sent', 'survey shown', 'survey dismissed']);

/** By which quota an event goes. A product tour's survey is none of the surveys. */
export function resourceOf({ event, properties }: Pick<RawEvent, 'event' | 'properties'>): Exclude<QuotaResource, 'recordings'> {
  if (event === '$exception') return 'exceptions';
  if (event.startsWith('$ai_')) return 'llm_events';
  return SURVEY_EVENTS.has(event) && own(properties, '$product_tour_id') === undefined ? 'surveys' : 'events';
}

/** Nobody is limited. */
export const NO_QUOTAS: Quotas = { isLimited: () => false };

/** Tokens that PostHog's billing has limited, read from its sorted sets: see watchLimitedSets for what holds when Redis is away. */
export function watchQuotas(source: LimitedSetsSource): Quotas & Closing {
  const { has, close } = watchLimitedSets({
    ...source,
    keys: new Map(QUOTA_RESOURCES.map((resource) => [resource, `@posthog/quota-limits/${resource}`])),
    operation: 'quota-limits',
    onRead: (resource, tokens) => state('capture-quotas-read', { resource, tokens }),
  });
  return { isLimited: has, close };
}
