import type { TeamId } from './ids.ts';

/** What the pipeline needs to know of a team (`posthog_team`). */
export interface Team {
  readonly id: TeamId;
  readonly token: string;
  readonly name: string;
  readonly anonymizeIps: boolean;
  /** F-1: false until the first event of the team. */
  readonly ingestedEvent: boolean;
  /** H-2: false only where the team said so. */
  readonly heatmapsOptIn: boolean;
  /** Newer PostHogs: every event of the team is personless, whatever its `$process_person_profile` says. */
  readonly personProcessingOptOut: boolean;
  /** T-8, newer PostHogs: events older than this are dropped. Undefined or 0: none are. */
  readonly dropEventsOlderThanS: number | undefined;
}

/** What a team has that never touched its settings. */
export const TEAM_DEFAULTS = {
  anonymizeIps: false,
  ingestedEvent: false,
  heatmapsOptIn: true,
  personProcessingOptOut: false,
  dropEventsOlderThanS: undefined,
} as const satisfies Omit<Team, 'id' | 'token' | 'name'>;
