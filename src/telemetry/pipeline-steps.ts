import type { DeadLetterReason, DropReason } from '../domain/outcome.ts';

/**
 * PostHog counts an event by the step of its pipeline in which it ended (spec/ingestion.md 1.7, L-6). Here an event has an outcome with
 * a reason, and the reason says the step: so these counters are read off the account and cost an event nothing.
 */
const STEP_OF_DROP: Readonly<Record<DropReason, string | undefined>> = {
  disallowed: 'eventDisallowedStep',
  blocked_token: undefined, // B-2: before the pipeline
  no_token: 'populateTeamDataStep',
  invalid_token: 'populateTeamDataStep',
  invalid_uuid: 'populateTeamDataStep',
  invalid_distinct_id: 'populateTeamDataStep',
  too_old: 'populateTeamDataStep',
  quota: undefined, // not PostHog's
  client_ingestion_warning: 'clientIngestionWarning',
  heatmap: 'extractHeatmapDataStep',
  plugin: 'pluginsProcessEventStep',
  invalid_event_for_flags: 'invalidEventForProvidedFlags',
  duplicate: 'createEventStep',
};

const STEP_OF_DEAD_LETTER: Readonly<Record<DeadLetterReason, string | undefined>> = {
  failed_parse_message: undefined, // K-21: no pipeline ever saw it
  failed_parse_event: 'populateTeamDataStep',
  unknown_team_id: 'populateTeamDataStep',
  processing_error: 'prepareEventStep',
  plugin_quarantined: 'pluginsProcessEventStep',
  person_refused: 'processPersonsStep',
  row_refused: 'createEventStep',
  row_too_large: 'createEventStep',
  actor_crashed: 'prepareEventStep',
  redirect_too_large: undefined, // it was on its way to another topic
};

/** The step in which events of this outcome end; undefined: PostHog's pipeline does not see them. */
export function lastStepOf(outcome: string, reason: string): string | undefined {
  if (outcome === 'stored') return 'createEventStep';
  if (outcome === 'dropped') return STEP_OF_DROP[reason as DropReason];
  return outcome === 'dead-lettered' ? STEP_OF_DEAD_LETTER[reason as DeadLetterReason] : undefined;
}

/** Dropped here by name, and nothing missing for PostHog: the event did what it was for, or another counter or warning has it. */
const NOT_COUNTED: ReadonlySet<string> = new Set<DropReason>([
  'client_ingestion_warning', // L-3
  'heatmap', // L-4
  'plugin', // L-5: event_pipeline_dropped_events_total
  'invalid_event_for_flags', // PP-2
  'duplicate', // its row is there
]);

/** `ingestion_event_dropped_total`: an alert on it must not fire because people touch pages. */
export const isCountedDrop = (outcome: string, reason: string): boolean => outcome === 'dropped' && !NOT_COUNTED.has(reason);

/** `event_processed_and_ingested`: everything that went through the pipeline without an error, dropped or not, but for T-1. */
export function isProcessed(outcome: string, reason: string): boolean {
  return outcome === 'stored' || (outcome === 'dropped' && reason !== 'disallowed' && lastStepOf(outcome, reason) !== undefined);
}
