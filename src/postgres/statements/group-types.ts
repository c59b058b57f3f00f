import type { Statement } from '../client.ts';

export interface GroupTypeRow {
  readonly [key: string]: unknown;
  readonly groupType: string;
  readonly index: number;
}

export interface GroupTypeStatements {
  /** All types of the team. Parameter: int4 team. */
  readonly typesOf: Statement;
  /** Answers nothing when the type or the index is taken. Parameters: int4 team, text type, int4 index. */
  readonly register: Statement;
}

/** Group types belong to a team, and since 2025 to its project, whose teams share them: whether this database is of the second kind. */
export const areGroupTypesOfProjects: Statement = {
  name: 'are-group-types-of-projects',
  text: `
    SELECT EXISTS (
      SELECT FROM pg_attribute
      WHERE attrelid = to_regclass('posthog_grouptypemapping') AND attname = 'project_id' AND NOT attisdropped
    ) AS "answer"`,
};

export const groupTypesByTeam: GroupTypeStatements = {
  typesOf: {
    name: 'group-types-of-team',
    text: `SELECT group_type AS "groupType", group_type_index::int4 AS "index" FROM posthog_grouptypemapping WHERE team_id = $1::int4`,
  },
  register: {
    name: 'register-group-type-of-team',
    text: `
      INSERT INTO posthog_grouptypemapping (team_id, group_type, group_type_index)
      VALUES ($1::int4, $2::text, $3::int4)
      ON CONFLICT DO NOTHING
      RETURNING group_type AS "groupType", group_type_index::int4 AS "index"`,
  },
};

export const groupTypesByProject: GroupTypeStatements = {
  typesOf: {
    name: 'group-types-of-project',
    text: `
      SELECT m.group_type AS "groupType", m.group_type_index::int4 AS "index"
      FROM posthog_team t JOIN posthog_grouptypemapping m ON m.project_id = t.project_id
      WHERE t.id = $1::int4`,
  },
  register: {
    name: 'register-group-type-of-project',
    text: `
      INSERT INTO posthog_grouptypemapping (team_id, project_id, group_type, group_type_index)
      SELECT t.id, t.project_id, $2::text, $3::int4 FROM posthog_team t WHERE t.id = $1::int4
      ON CONFLICT DO NOTHING
      RETURNING group_type AS "groupType", group_type_index::int4 AS "index"`,
  },
};
