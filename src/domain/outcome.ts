import type { Offset } from './ids.ts';

/**
 * Every record of an input topic ends in exactly one Outcome (delivery.md, promise 1):
 *
 *     stored · dropped(reason) · redirected(topic) · dead-lettered(reason)
 *
 * The reasons are closed unions, so that each is safe as a metric label and none is invented in passing.
 */
export type DropReason =
  | 'disallowed' // DROP_EVENTS_BY_TOKEN_DISTINCT_ID (T-1)
  | 'blocked_token' // DROP_EVENTS_BY_TOKEN (B-2)
  | 'no_token' // T-3
  | 'invalid_token' // T-3
  | 'invalid_uuid' // T-4, as the newest generation does
  | 'invalid_distinct_id' // T-8
  | 'too_old' // T-8: older than the team's drop_events_older_than
  | 'quota' // the team's quota hook said no
  | 'client_ingestion_warning' // L-3: becomes a warning, never an event
  | 'heatmap' // L-4
  | 'plugin' // L-5: a plugin returned null
  | 'invalid_event_for_flags' // PP-2
  | 'duplicate'; // equal sorting key inside one block

export type DeadLetterReason =
  | 'failed_parse_message' // K-21: not JSON, no data, data not JSON
  | 'failed_parse_event' // fields of a type that cannot be used
  | 'unknown_team_id' // T-2: an envelope that may name its team names none that is there
  | 'processing_error' // a rule threw on this event: a bug, kept with its bytes
  | 'plugin_quarantined'
  | 'person_refused' // PostgreSQL refuses this event's person for what the event holds
  | 'row_refused' // ClickHouse refuses exactly this row
  | 'row_too_large'
  | 'redirect_too_large' // the overflow topic takes no record of this size
  | 'actor_crashed';

export type Outcome =
  | { readonly type: 'stored' }
  | { readonly type: 'dropped'; readonly reason: DropReason }
  | { readonly type: 'redirected'; readonly topic: string }
  | { readonly type: 'dead-lettered'; readonly reason: DeadLetterReason };

export const STORED: Outcome = { type: 'stored' };

const droppedByReason = new Map<DropReason, Outcome>();
/** The Outcome `dropped(reason)`; one shared object per reason. */
export function dropped(reason: DropReason): Outcome {
  let outcome = droppedByReason.get(reason);
  if (outcome === undefined) droppedByReason.set(reason, (outcome = { type: 'dropped', reason }));
  return outcome;
}

const deadLetteredByReason = new Map<DeadLetterReason, Outcome>();
/** The Outcome `dead-lettered(reason)`; one shared object per reason. */
export function deadLettered(reason: DeadLetterReason): Outcome {
  let outcome = deadLetteredByReason.get(reason);
  if (outcome === undefined) deadLetteredByReason.set(reason, (outcome = { type: 'dead-lettered', reason }));
  return outcome;
}

const redirectedByTopic = new Map<string, Outcome>();
/** The Outcome `redirected(topic)`; one shared object per topic, of which there are few. */
export function redirected(topic: string): Outcome {
  let outcome = redirectedByTopic.get(topic);
  if (outcome === undefined) redirectedByTopic.set(topic, (outcome = { type: 'redirected', topic }));
  return outcome;
}

/**
 * The handle through which whoever finishes a record says so. One Settlement serves one partition in one
 * generation; records carry it beside their offset, so that no sink needs to know Kafka.
 * Settling an offset twice or after the generation ended is counted and otherwise ignored.
 */
export interface Settlement {
  readonly topic: string;
  readonly partition: number;
  readonly generation: number;
  /** False once the partition was revoked: work for it may be abandoned, never inserted. */
  readonly active: boolean;
  settle(offset: Offset, outcome: Outcome): void;
}
