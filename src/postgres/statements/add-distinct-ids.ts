import type { Statement } from '../client.ts';

export interface AddedDistinctIdRow {
  readonly [key: string]: unknown;
  /** Position in the input, from 1. */
  readonly ord: number;
  readonly hasPerson: boolean;
  /** Null when the distinct id has a person already. */
  readonly version: number | null;
}

/**
 * Rule M-1 in one statement: notes each id as merged, and maps it with version 1 when it was used personless before (so
 * that ClickHouse gets an override row), else 0. The persons are held against merges (FOR KEY SHARE), not against
 * updates. `xmax` is 0 exactly when ON CONFLICT inserted.
 * Parameters: int8[] person ids, int4[] teams, text[] distinct ids; no distinct id of a team twice.
 */
export const addDistinctIds: Statement = {
  name: 'add-distinct-ids',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::int8[], $2::int4[], $3::text[]) WITH ORDINALITY AS i(person_id, team_id, distinct_id, ord)
    ), person AS (
      SELECT id, team_id FROM posthog_person WHERE team_id = ANY ($2::int4[]) AND id = ANY ($1::int8[]) ORDER BY id FOR KEY SHARE
    ), wanted AS (
      SELECT i.* FROM input i JOIN person p ON p.id = i.person_id AND p.team_id = i.team_id
    ), marked AS (
      INSERT INTO posthog_personlessdistinctid (team_id, distinct_id, is_merged, created_at)
      SELECT w.team_id, w.distinct_id, true, now()
      FROM wanted w
      WHERE NOT EXISTS (SELECT FROM posthog_persondistinctid d WHERE d.team_id = w.team_id AND d.distinct_id = w.distinct_id)
      ORDER BY w.team_id, w.distinct_id
      ON CONFLICT (team_id, distinct_id) DO UPDATE SET is_merged = true
      RETURNING team_id, distinct_id, (xmax = 0) AS is_new
    ), added AS (
      INSERT INTO posthog_persondistinctid (team_id, distinct_id, person_id, version)
      SELECT w.team_id, w.distinct_id, w.person_id, CASE WHEN marked.is_new THEN 0 ELSE 1 END
      FROM wanted w
      JOIN marked ON marked.team_id = w.team_id AND marked.distinct_id = w.distinct_id
      ORDER BY w.team_id, w.distinct_id
      ON CONFLICT (team_id, distinct_id) DO NOTHING
      RETURNING team_id, distinct_id, version
    )
    SELECT i.ord::int4 AS "ord", w.ord IS NOT NULL AS "hasPerson", a.version::int4 AS "version"
    FROM input i
    LEFT JOIN wanted w ON w.ord = i.ord
    LEFT JOIN added a ON a.team_id = i.team_id AND a.distinct_id = i.distinct_id`,
};
