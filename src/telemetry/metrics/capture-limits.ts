/** Who is limited at capture and why, by PostHog's names where it has them (spec/capture.md 10). */
import type { Gauge } from 'prom-client';
import type { FactListeners, Makers } from '../makers.ts';

/** PostHog's words for the types of restrictions, in labels. */
const RESTRICTIONS: Readonly<Record<string, string>> = {
  drop_event_from_ingestion: 'drop_event',
  force_overflow_from_ingestion: 'force_overflow',
};
const labelOf = (type: string): string => RESTRICTIONS[type] ?? type;

export function captureLimitMetrics({ counter, gauge }: Makers): FactListeners {
  const overflowed = counter('capture_events_rerouted_overflow', 'Events sent to the overflow topic.', 'reason');
  const historical = counter('capture_events_rerouted_historical', 'Events sent to the historical topic for their age.', 'reason');
  const deadLettered = counter('capture_events_rerouted_dlq', 'Events that a restriction sent to the dead letters.');
  const customTopic = counter('capture_events_rerouted_custom_topic', 'Events sent to a topic that an operator has named.');
  const keys = gauge('partition_limits_key_count', 'Keys whose rate is known (OVERFLOW_ENABLED).');
  const overQuota = counter('capture_quota_limit_exceeded', 'Events left out for the quota of their token.', 'resource');
  const limited = gauge('capture_billing_limits_loaded_tokens', 'Members of the sets of the limited.', 'cache_key');
  const applied = counter(
    'capture_event_restrictions_applied',
    'Events that a restriction was applied to.',
    'restriction_type',
    'pipeline',
  );
  const entries = gauge('capture_event_restrictions_loaded_count', 'Entries that are known.', 'pipeline');
  const tokens = gauge('capture_event_restrictions_tokens_count', 'Tokens that entries are known for.', 'pipeline');
  const refreshed = gauge('capture_event_restrictions_last_refresh_timestamp', 'Unix time at which all entries were known.', 'pipeline');
  const stale = gauge(
    'capture_event_restrictions_stale',
    '1: some restrictions no longer apply, since they could not be read for too long.',
    'pipeline',
  );
  const fetched = counter('capture_event_restrictions_redis_fetch', 'Questions for the entries of a type.', 'restriction_type', 'result');
  const malformed = counter(
    'troupe_capture_restrictions_malformed_total',
    'Entries that were left out, at each reading.',
    'restriction_type',
  );
  const pipelines = new Set<string>();
  const remaining = boundedGauge(
    gauge(
      'capture_quota_remaining',
      'What is left to a token, of those that sent last (TROUPE_CAPTURE_ALLOWANCES).',
      'event_type',
      'token',
    ),
  );
  const unreadable = counter('troupe_capture_allowances_unreadable_total', 'Counters that are no whole number, when asked.', 'event_type');
  const overRate = counter('troupe_capture_rate_exceeded_total', 'Events beyond the rate of their token.', 'over');
  const keysLimited = counter('capture_events_rate_limited_token_distinctid', 'Events of keys that send too many.', 'reason');
  const tokenFaults = counter('troupe_capture_token_settings_malformed_total', 'Fields that do not hold, at each reading.');

  return {
    'capture-events-rerouted'({ to, reason, count }) {
      if (to === 'overflow') overflowed.inc({ reason }, count);
      else if (to === 'historical') historical.inc({ reason }, count);
      else if (to === 'dead-letters') deadLettered.inc(count);
      else customTopic.inc(count);
    },
    'capture-overflow-keys-counted': ({ count }) => keys.set(count),
    'capture-quota-exceeded': ({ resource, count }) => overQuota.inc({ resource }, count),
    'capture-quotas-read': ({ resource, tokens: count }) => limited.set({ cache_key: resource }, count),
    'capture-replay-overflow-read': ({ sessions }) => limited.set({ cache_key: '@posthog/capture-overflow/replay' }, sessions),
    'capture-allowance-taken': ({ resource, who, remaining: count }) => remaining.set({ event_type: resource, token: who }, count),
    'capture-allowance-unreadable': ({ resource }) => unreadable.inc({ event_type: resource }),
    'capture-rate-exceeded': ({ over, count }) => overRate.inc({ over }, count),
    'capture-keys-limited': ({ reason, count }) => keysLimited.inc({ reason }, count),
    'capture-token-settings-malformed': () => tokenFaults.inc(),
    'capture-restrictions-applied': ({ type, pipeline, count }) => applied.inc({ restriction_type: labelOf(type), pipeline }, count),
    'capture-restrictions-fetched': ({ type, result }) => fetched.inc({ restriction_type: labelOf(type), result }),
    'capture-restriction-malformed': ({ type }) => malformed.inc({ restriction_type: labelOf(type) }),
    'capture-restrictions-read'({ pipeline, entries: count, tokens: tokenCount, atMs }) {
      pipelines.add(pipeline);
      entries.set({ pipeline }, count);
      tokens.set({ pipeline }, tokenCount);
      refreshed.set({ pipeline }, atMs / 1_000);
      stale.set({ pipeline }, 0);
    },
    // An entry of a type may be for any pipeline.
    'capture-restrictions-stale'() {
      for (const pipeline of pipelines) stale.set({ pipeline }, 1);
    },
  };
}

/** Series of tokens that are shown: those that were set last. */
const MAX_TOKEN_SERIES = 100;

/** A gauge whose labels are not a closed set: the series that was set longest ago makes room. */
function boundedGauge<Label extends string>(gauge: Gauge<Label>): { set(labels: Record<Label, string>, value: number): void } {
  const shown = new Map<string, Record<Label, string>>();
  return {
    set(labels, value) {
      const name = JSON.stringify(labels);
      shown.delete(name);
      shown.set(name, labels);
      gauge.set(labels, value);
      if (shown.size <= MAX_TOKEN_SERIES) return;
      for (const [oldest, its] of shown) {
        shown.delete(oldest);
        gauge.remove(its);
        return;
      }
    },
  };
}
