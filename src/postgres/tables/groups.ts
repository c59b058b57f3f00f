import { has, INTEGER, JSONB, needs, TEXT, TIME, type Table } from '../table.ts';

const group: Table = {
  name: 'posthog_group',
  columns: {
    id: has('serial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    group_key: needs(TEXT, 'varchar(400) NOT NULL'),
    group_type_index: needs(INTEGER, 'integer NOT NULL'),
    group_properties: needs(JSONB, "jsonb NOT NULL DEFAULT '{}'"),
    created_at: needs(TIME, 'timestamptz NOT NULL'),
    properties_last_updated_at: needs(JSONB, "jsonb NOT NULL DEFAULT '{}'"),
    properties_last_operation: needs(JSONB, "jsonb NOT NULL DEFAULT '{}'"),
    version: needs(INTEGER, 'bigint NOT NULL'),
  },
  unique: [{ name: 'unique team_id/group_key/group_type_index combo', columns: ['team_id', 'group_key', 'group_type_index'] }],
  isInserted: true,
};

const groupTypeMapping: Table = {
  name: 'posthog_grouptypemapping',
  columns: {
    id: has('serial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    group_type: needs(TEXT, 'varchar(400) NOT NULL'),
    group_type_index: needs(INTEGER, 'integer NOT NULL'),
    name_singular: has('varchar(400)'),
    name_plural: has('varchar(400)'),
  },
  // Two processes that meet a new type at once are told apart by these alone (G-2).
  unique: [
    { name: 'unique group types for team', columns: ['team_id', 'group_type'], or: ['project_id', 'group_type'] },
    { name: 'unique event column indexes for team', columns: ['team_id', 'group_type_index'], or: ['project_id', 'group_type_index'] },
  ],
  alsoFills: ['project_id'],
  constraints: ['CONSTRAINT "group_type_index is less than or equal 5" CHECK (group_type_index <= 5)'],
  isInserted: true,
};

/** Companies, projects and what else a team groups its people by. */
export const GROUP_TABLES: readonly Table[] = [group, groupTypeMapping];
