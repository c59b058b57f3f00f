import type { Statement } from '../client.ts';

export interface LoadedPersonRow {
  readonly [key: string]: unknown;
  /** Position of the key, from 1. */
  readonly ord: number;
  readonly mappingVersion: number;
  readonly rowId: string;
  readonly id: string;
  readonly createdAtMs: number;
  readonly properties: Record<string, unknown>;
  readonly isIdentified: boolean;
  readonly version: number;
}

/** Persons by (team, distinct id): P-2. Answers rows only for keys that have one. Parameters: int4[] teams, text[] distinct ids. */
export const loadPersons: Statement = {
  name: 'load-persons',
  text: `
    SELECT k.ord::int4 AS "ord",
           COALESCE(d.version, 0)::float8 AS "mappingVersion",
           p.id::text AS "rowId",
           p.uuid::text AS "id",
           floor(extract(epoch FROM p.created_at) * 1000)::float8 AS "createdAtMs",
           p.properties AS "properties",
           p.is_identified AS "isIdentified",
           COALESCE(p.version, 0)::float8 AS "version"
    FROM unnest($1::int4[], $2::text[]) WITH ORDINALITY AS k(team_id, distinct_id, ord)
    JOIN posthog_persondistinctid d ON d.team_id = k.team_id AND d.distinct_id = k.distinct_id
    JOIN posthog_person p ON p.id = d.person_id AND p.team_id = d.team_id`,
};
