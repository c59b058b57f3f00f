import { BOOLEAN, has, INTEGER, needs, TEXT, TIME, UUID, type Table } from '../table.ts';

// Django fills `id` and the counters itself, so its tables have no defaults for them: Troupe gives every value.

const eventDefinition: Table = {
  name: 'posthog_eventdefinition',
  columns: {
    id: needs(UUID, 'uuid PRIMARY KEY'),
    name: needs(TEXT, 'varchar(400) NOT NULL'),
    created_at: needs(TIME, 'timestamptz DEFAULT now()'),
    last_seen_at: needs(TIME, 'timestamptz'),
    query_usage_30_day: has('integer'),
    volume_30_day: has('integer'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
  },
  unique: [
    {
      name: 'posthog_eventdefinition_team_id_name_80fa0b87_uniq',
      columns: ['team_id', 'name'],
      or: ['coalesce(project_id, team_id)', 'name'],
    },
  ],
  alsoFills: ['project_id'],
  isInserted: true,
};

const propertyDefinition: Table = {
  name: 'posthog_propertydefinition',
  columns: {
    id: needs(UUID, 'uuid PRIMARY KEY'),
    name: needs(TEXT, 'varchar(400) NOT NULL'),
    is_numerical: needs(BOOLEAN, 'boolean NOT NULL DEFAULT false'),
    property_type: needs(TEXT, 'varchar(50)'),
    property_type_format: has('varchar(50)'),
    type: needs(INTEGER, 'smallint NOT NULL DEFAULT 1'),
    group_type_index: needs(INTEGER, 'smallint'),
    query_usage_30_day: has('integer'),
    volume_30_day: has('integer'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
  },
  unique: [
    {
      name: 'posthog_propertydefinition_uniq',
      columns: ['team_id', 'name', 'type', 'coalesce(group_type_index, -1)'],
      or: ['coalesce(project_id, team_id)', 'name', 'type', 'coalesce(group_type_index, -1)'],
      isIndex: true,
    },
  ],
  alsoFills: ['project_id'],
  constraints: [
    `CONSTRAINT property_type_is_valid CHECK (property_type IN ('DateTime', 'String', 'Numeric', 'Boolean', 'Duration'))`,
    'CONSTRAINT group_type_index_set CHECK (type <> 3 OR group_type_index IS NOT NULL)',
  ],
  isInserted: true,
};

const eventProperty: Table = {
  name: 'posthog_eventproperty',
  columns: {
    id: has('bigserial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    event: needs(TEXT, 'varchar(400) NOT NULL'),
    property: needs(TEXT, 'varchar(400) NOT NULL'),
  },
  unique: [
    {
      name: 'posthog_event_property_unique_team_event_property',
      columns: ['team_id', 'event', 'property'],
      or: ['coalesce(project_id, team_id)', 'event', 'property'],
    },
  ],
  alsoFills: ['project_id'],
  indexes: ['CREATE INDEX posthog_eve_team_id_22de03_idx ON posthog_eventproperty (team_id, event)'],
  isInserted: true,
};

/** What a team's events and properties are called: PostHog's menus. */
export const DEFINITION_TABLES: readonly Table[] = [eventDefinition, propertyDefinition, eventProperty];
