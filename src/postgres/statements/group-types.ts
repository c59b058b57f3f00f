import type { Statement } from '../client.ts';

export interface GroupTypeRow {
  readonly [key: string]: unknown;
  readonly groupType: string;
  readonly index: number;
}

/** Parameter: int4 team. */
export const groupTypesOf: Statement = {
  name: 'group-types-of',
  text: `SELECT group_type AS "groupType", group_type_index AS "index" FROM posthog_grouptypemapping WHERE team_id = $1::int4`,
};

/** Answers nothing when the type or the index is taken. Parameters: int4 team, text type, int4 index. */
export const registerGroupType: Statement = {
  name: 'register-group-type',
  text: `
    INSERT INTO posthog_grouptypemapping (team_id, group_type, group_type_index)
    VALUES ($1::int4, $2::text, $3::int4)
    ON CONFLICT DO NOTHING
    RETURNING group_type AS "groupType", group_type_index AS "index"`,
};
