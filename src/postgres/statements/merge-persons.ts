import type { Statement } from '../client.ts';

export interface LockedPersonRow {
  readonly [key: string]: unknown;
  readonly rowId: string;
  readonly version: number;
}
export interface MovedDistinctIdRow {
  readonly [key: string]: unknown;
  readonly distinctId: string;
  readonly version: number;
}

/** Locks both persons, in one order for everybody, against updates, merges and new distinct ids. Parameters: int4 team, int8[] ids. */
export const lockPersons: Statement = {
  name: 'lock-persons',
  text: `
    SELECT id::text AS "rowId", COALESCE(version, 0)::float8 AS "version"
    FROM posthog_person
    WHERE team_id = $1::int4 AND id = ANY ($2::int8[])
    ORDER BY id
    FOR UPDATE`,
};

/**
 * Rule M-3, (a) to (e), on persons that {@link lockPersons} holds. Everything hangs on \`moved\`: with no distinct id to
 * move, which is a lost race (M-6), nothing is done.
 * Parameters: int4 team, int8 person that stays, int8 person that goes, float8 created at in ms, text properties, int8 version.
 */
export const mergePersons: Statement = {
  name: 'merge-persons',
  text: `
    WITH moved AS (
      UPDATE posthog_persondistinctid SET person_id = $2::int8, version = COALESCE(version, 0) + 1
      WHERE team_id = $1::int4 AND person_id = $3::int8
      RETURNING distinct_id, version
    ), survivor AS (
      UPDATE posthog_person
      SET created_at = to_timestamp($4::float8 / 1000), properties = $5::text::jsonb, is_identified = true, version = $6::int8
      WHERE team_id = $1::int4 AND id = $2::int8 AND EXISTS (SELECT FROM moved)
    ), cohorts AS (
      UPDATE posthog_cohortpeople SET person_id = $2::int8
      WHERE person_id = $3::int8 AND EXISTS (SELECT FROM moved)
    ), flags_of_source AS (
      DELETE FROM posthog_featureflaghashkeyoverride
      WHERE team_id = $1::int4 AND person_id = $3::int8 AND EXISTS (SELECT FROM moved)
      RETURNING feature_flag_key, hash_key
    ), flags AS (
      INSERT INTO posthog_featureflaghashkeyoverride (team_id, person_id, feature_flag_key, hash_key)
      SELECT $1::int4, $2::int8, feature_flag_key, hash_key FROM flags_of_source
      ON CONFLICT (team_id, person_id, feature_flag_key) DO NOTHING
    ), source AS (
      DELETE FROM posthog_person WHERE team_id = $1::int4 AND id = $3::int8 AND EXISTS (SELECT FROM moved)
    )
    SELECT distinct_id AS "distinctId", version::float8 AS "version" FROM moved ORDER BY distinct_id`,
};
