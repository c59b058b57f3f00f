import type { Statement } from '../client.ts';

export interface GroupRow {
  readonly [key: string]: unknown;
  readonly version: number;
  readonly createdAtMs: number;
  readonly properties: Record<string, unknown>;
}

/** Parameters: int4 team, int4 index of the group type, text group key. */
export const lockGroup: Statement = {
  name: 'lock-group',
  text: `
    SELECT version::float8 AS "version", floor(extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs", group_properties AS "properties"
    FROM posthog_group
    WHERE team_id = $1::int4 AND group_type_index = $2::int4 AND group_key = $3::text
    FOR UPDATE`,
};

/** Answers nothing when the group is there already. Further parameters: float8 created at in ms, text properties. */
export const insertGroup: Statement = {
  name: 'insert-group',
  text: `
    INSERT INTO posthog_group
      (team_id, group_type_index, group_key, created_at, group_properties, properties_last_updated_at, properties_last_operation, version)
    VALUES ($1::int4, $2::int4, $3::text, to_timestamp($4::float8 / 1000), $5::text::jsonb, '{}', '{}', 1)
    ON CONFLICT (team_id, group_key, group_type_index) DO NOTHING
    RETURNING version`,
};

/** On a row that {@link lockGroup} holds. Further parameters: float8 created at in ms, text properties, int8 version. */
export const updateGroup: Statement = {
  name: 'update-group',
  text: `
    UPDATE posthog_group
    SET created_at = to_timestamp($4::float8 / 1000), group_properties = $5::text::jsonb, version = $6::int8
    WHERE team_id = $1::int4 AND group_type_index = $2::int4 AND group_key = $3::text`,
};
