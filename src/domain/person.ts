import type { Json } from './event.ts';
import type { PersonId, TeamId } from './ids.ts';

/** A row of `posthog_person` as the pipeline sees it. Immutable: a fold makes a new one. */
export interface Person {
  /** `posthog_person.id`; '0' for a person that is not in the database yet. bigint text: pg returns it so. */
  readonly rowId: string;
  readonly id: PersonId;
  readonly teamId: TeamId;
  readonly createdAtMs: number;
  readonly properties: Readonly<Json>;
  readonly isIdentified: boolean;
  /** COALESCE(version, 0). */
  readonly version: number;
}
