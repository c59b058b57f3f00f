import type { Statement } from '../client.ts';

export interface CreatedPersonRow {
  readonly [key: string]: unknown;
  /** Position of the person in the input, from 1. */
  readonly ord: number;
  readonly rowId: string;
  /** How many of its distinct ids it got: fewer than asked for means that somebody else was faster. */
  readonly distinctIdsCount: number;
}

/**
 * Inserts the persons none of whose distinct ids is known, with their distinct ids (P-21). In one batch (team, uuid) and
 * (team, distinct id) are unique: the caller sees to it. Distinct ids go in sorted, so that two batches wait for each
 * other in one direction only.
 *
 * A distinct id taken after this statement's snapshot is left out, and its person is to be removed by
 * {@link removePersons} in the same transaction.
 * Parameters: per person int4[] team, uuid[], float8[] created at in ms, text[] properties, text[] last updated at,
 * text[] last operation, bool[] identified; per distinct id int4[] position of its person, text[], int8[] version.
 */
export const createPersons: Statement = {
  name: 'create-persons',
  text: `
    WITH person_input AS (
      SELECT *
      FROM unnest($1::int4[], $2::uuid[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::bool[]) WITH ORDINALITY
        AS i(team_id, uuid, created_at_ms, properties, last_updated_at, last_operation, is_identified, ord)
    ), id_input AS (
      SELECT * FROM unnest($8::int4[], $9::text[], $10::int8[]) AS m(ord, distinct_id, version)
    ), taken AS (
      SELECT m.ord
      FROM id_input m
      JOIN person_input i ON i.ord = m.ord
      JOIN posthog_persondistinctid d ON d.team_id = i.team_id AND d.distinct_id = m.distinct_id
    ), new_person AS (
      INSERT INTO posthog_person
        (team_id, uuid, created_at, properties, properties_last_updated_at, properties_last_operation, is_identified, version)
      SELECT i.team_id, i.uuid, to_timestamp(i.created_at_ms / 1000), i.properties::jsonb, i.last_updated_at::jsonb, i.last_operation::jsonb,
             i.is_identified, 0
      FROM person_input i
      WHERE NOT EXISTS (SELECT FROM taken WHERE taken.ord = i.ord)
      RETURNING id, team_id, uuid
    ), new_id AS (
      INSERT INTO posthog_persondistinctid (team_id, distinct_id, person_id, version)
      SELECT p.team_id, m.distinct_id, p.id, m.version
      FROM new_person p
      JOIN person_input i ON i.team_id = p.team_id AND i.uuid = p.uuid
      JOIN id_input m ON m.ord = i.ord
      ORDER BY p.team_id, m.distinct_id
      ON CONFLICT (team_id, distinct_id) DO NOTHING
      RETURNING person_id
    )
    SELECT i.ord::int4 AS "ord", p.id::text AS "rowId", count(n.person_id)::int4 AS "distinctIdsCount"
    FROM new_person p
    JOIN person_input i ON i.team_id = p.team_id AND i.uuid = p.uuid
    LEFT JOIN new_id n ON n.person_id = p.id
    GROUP BY i.ord, p.id`,
};

/** Removes persons that this very transaction made, with the distinct ids that they did get. Parameter: int8[] person ids. */
export const removePersons: Statement = {
  name: 'remove-persons',
  text: `
    WITH ids AS (DELETE FROM posthog_persondistinctid WHERE person_id = ANY ($1::int8[]))
    DELETE FROM posthog_person WHERE id = ANY ($1::int8[])`,
};
