import type { TeamId } from './ids.ts';

/** What the pipeline needs to know of a team (`posthog_team`). */
export interface Team {
  readonly id: TeamId;
  readonly token: string;
  readonly name: string;
  readonly anonymizeIps: boolean;
  readonly ingestedEvent: boolean;
}
