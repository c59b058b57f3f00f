import type { Statement } from '../client.ts';

export interface UpdatedPersonRow {
  readonly [key: string]: unknown;
  readonly rowId: string;
}

/**
 * Writes whole persons on top of the version that each was folded from (P-36, made optimistic); answers those that had
 * it. A row that another transaction holds is waited for and then compared again, so of two writers one gets nothing.
 * `created_at` is left alone: only a merge changes it. One array per column, so that batches of all sizes share one
 * prepared plan.
 *
 * The rows are locked first, by id (docs/delivery.md section 10): a bare UPDATE locks in the order of its plan, and a hash join
 * over a small table has another one than a merge of two of these persons, which ends in PostgreSQL's deadlock detector a second later.
 * Found again by their place they cost no second look-up: about a tenth of the statement in all.
 * Parameters: int8[] ids, int4[] teams, int8[] versions, text[] properties, bool[] identified.
 */
export const updatePersons: Statement = {
  name: 'update-persons',
  text: `
    WITH held AS MATERIALIZED (
      SELECT p.ctid AS place, u.properties, u.is_identified, u.version
      FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::text[], $5::bool[]) AS u(id, team_id, version, properties, is_identified)
      JOIN posthog_person p ON p.id = u.id AND p.team_id = u.team_id AND COALESCE(p.version, 0) = u.version
      ORDER BY p.id
      FOR NO KEY UPDATE OF p
    )
    UPDATE posthog_person AS p
    SET properties = held.properties::jsonb, is_identified = held.is_identified, version = held.version + 1
    FROM held
    WHERE p.ctid = held.place
    RETURNING p.id::text AS "rowId"`,
};
