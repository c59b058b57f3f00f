import type { Statement } from '../client.ts';

export interface UpdatedPersonRow {
  readonly [key: string]: unknown;
  readonly rowId: string;
}

/**
 * Writes whole persons on top of the version that each was folded from (P-36, made optimistic); answers those that had
 * it. A row that another transaction holds is waited for and then compared again, so of two writers one gets nothing.
 * `created_at` is left alone: only a merge changes it. Rows come sorted by id. One array per column, so that batches of
 * all sizes share one prepared plan.
 * Parameters: int8[] ids, int4[] teams, int8[] versions, text[] properties, bool[] identified.
 */
export const updatePersons: Statement = {
  name: 'update-persons',
  text: `
    UPDATE posthog_person AS p
    SET properties = u.properties::jsonb, is_identified = u.is_identified, version = u.version + 1
    FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::text[], $5::bool[]) AS u(id, team_id, version, properties, is_identified)
    WHERE p.id = u.id AND p.team_id = u.team_id AND COALESCE(p.version, 0) = u.version
    RETURNING p.id::text AS "rowId"`,
};
