/**
 * PostHog's tables that Troupe reads or writes, as data (spec/ingestion.md 5.1): how each is made where it is absent,
 * and what must be true of it where it exists. Nothing here is Troupe's own: the tables can belong to a PostHog.
 */
export interface Table {
  readonly name: string;
  readonly columns: Readonly<Record<string, Column>>;
  /** Sets of columns that a unique index must have, because an ON CONFLICT names them. */
  readonly unique: readonly (readonly string[])[];
  /** Columns of newer PostHogs that Troupe fills where they are. */
  readonly alsoFills?: readonly string[];
  /** Further clauses of CREATE TABLE. */
  readonly constraints?: readonly string[];
  readonly storage?: string;
  readonly indexes?: readonly string[];
  /** Whether Troupe inserts rows: then a column that it does not know must be nullable or have a default. */
  readonly isInserted: boolean;
}
export interface Column {
  /** What follows the name in CREATE TABLE. */
  readonly ddl: string;
  /** The types, as format_type() names them, with which Troupe's statements work; undefined: Troupe does not need the column. */
  readonly accepts: readonly string[] | undefined;
}

const INTEGER = ['integer', 'bigint', 'smallint'];
const TEXT = ['text', 'character varying'];
const JSONB = ['jsonb'];
const BOOLEAN = ['boolean'];
const UUID = ['uuid'];
const TIME = ['timestamp with time zone'];

const needs = (accepts: readonly string[], ddl: string): Column => ({ ddl, accepts });
const has = (ddl: string): Column => ({ ddl, accepts: undefined });

const organization: Table = {
  name: 'posthog_organization',
  columns: {
    id: needs(UUID, 'uuid PRIMARY KEY'),
    name: has("varchar(64) NOT NULL DEFAULT ''"),
    available_product_features: has('jsonb[]'),
    plugins_access_level: needs(INTEGER, 'smallint NOT NULL DEFAULT 9'),
  },
  unique: [],
  isInserted: false,
};

const team: Table = {
  name: 'posthog_team',
  columns: {
    id: needs(INTEGER, 'serial PRIMARY KEY'),
    uuid: has('uuid NOT NULL DEFAULT gen_random_uuid()'),
    organization_id: needs(UUID, 'uuid NOT NULL'),
    name: needs(TEXT, "varchar(200) NOT NULL DEFAULT ''"),
    anonymize_ips: needs(BOOLEAN, 'boolean NOT NULL DEFAULT false'),
    api_token: needs(TEXT, 'varchar(200) NOT NULL'),
    slack_incoming_webhook: has('varchar(500)'),
    session_recording_opt_in: has('boolean NOT NULL DEFAULT false'),
    capture_console_log_opt_in: has('boolean'),
    heatmaps_opt_in: has('boolean'),
    ingested_event: needs(BOOLEAN, 'boolean NOT NULL DEFAULT false'),
    person_display_name_properties: has('varchar(400)[]'),
    test_account_filters: has("jsonb NOT NULL DEFAULT '[]'"),
  },
  unique: [['api_token']],
  isInserted: false,
};

const person: Table = {
  name: 'posthog_person',
  columns: {
    id: needs(INTEGER, 'bigserial PRIMARY KEY'),
    created_at: needs(TIME, 'timestamptz NOT NULL'),
    properties_last_updated_at: needs(JSONB, 'jsonb'),
    properties_last_operation: needs(JSONB, 'jsonb'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    properties: needs(JSONB, "jsonb NOT NULL DEFAULT '{}'"),
    is_user_id: has('integer'),
    is_identified: needs(BOOLEAN, 'boolean NOT NULL DEFAULT false'),
    uuid: needs(UUID, 'uuid NOT NULL'),
    version: needs(INTEGER, 'bigint'),
  },
  unique: [],
  // An update finds room on the row's own page, so that no index is written (heap-only tuples: 100 % at 70, 91 % at 100).
  storage: 'fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02',
  indexes: [
    'CREATE INDEX posthog_person_uuid_idx ON posthog_person (uuid)',
    'CREATE INDEX posthog_person_team_id_id_idx ON posthog_person (team_id, id)',
  ],
  isInserted: true,
};

const personDistinctId: Table = {
  name: 'posthog_persondistinctid',
  columns: {
    id: has('bigserial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    person_id: needs(INTEGER, 'bigint NOT NULL REFERENCES posthog_person (id) DEFERRABLE INITIALLY DEFERRED'),
    distinct_id: needs(TEXT, 'varchar(400) NOT NULL'),
    version: needs(INTEGER, 'bigint'),
  },
  unique: [['team_id', 'distinct_id']],
  constraints: ['CONSTRAINT "unique distinct_id for team" UNIQUE (team_id, distinct_id)'],
  indexes: ['CREATE INDEX posthog_persondistinctid_person_id_idx ON posthog_persondistinctid (person_id)'],
  isInserted: true,
};

const personlessDistinctId: Table = {
  name: 'posthog_personlessdistinctid',
  columns: {
    id: has('bigserial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    distinct_id: needs(TEXT, 'varchar(400) NOT NULL'),
    is_merged: needs(BOOLEAN, 'boolean NOT NULL DEFAULT false'),
    created_at: needs(TIME, 'timestamptz NOT NULL DEFAULT now()'),
  },
  unique: [['team_id', 'distinct_id']],
  constraints: ['CONSTRAINT "unique personless distinct_id for team" UNIQUE (team_id, distinct_id)'],
  isInserted: true,
};

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
  unique: [['team_id', 'group_key', 'group_type_index']],
  constraints: ['CONSTRAINT "unique team_id/group_key/group_type_index combo" UNIQUE (team_id, group_key, group_type_index)'],
  isInserted: true,
};

const groupTypeMapping: Table = {
  name: 'posthog_grouptypemapping',
  columns: {
    id: has('serial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    group_type: needs(TEXT, 'varchar(400) NOT NULL'),
    group_type_index: needs(INTEGER, 'integer NOT NULL CHECK (group_type_index <= 5)'),
    name_singular: has('varchar(400)'),
    name_plural: has('varchar(400)'),
  },
  // Per team, or in newer PostHogs per project: the insert's ON CONFLICT names no columns.
  unique: [],
  alsoFills: ['project_id'],
  constraints: [
    'CONSTRAINT "unique group types for team" UNIQUE (team_id, group_type)',
    'CONSTRAINT "unique event column indexes for team" UNIQUE (team_id, group_type_index)',
  ],
  isInserted: true,
};

const cohortPeople: Table = {
  name: 'posthog_cohortpeople',
  columns: {
    id: has('bigserial PRIMARY KEY'),
    cohort_id: has('integer NOT NULL'),
    person_id: needs(INTEGER, 'bigint NOT NULL'),
    version: has('integer'),
  },
  unique: [],
  indexes: ['CREATE INDEX posthog_cohortpeople_person_id_idx ON posthog_cohortpeople (person_id)'],
  isInserted: false,
};

const featureFlagHashKeyOverride: Table = {
  name: 'posthog_featureflaghashkeyoverride',
  columns: {
    id: has('bigserial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer NOT NULL'),
    person_id: needs(INTEGER, 'bigint NOT NULL'),
    feature_flag_key: needs(TEXT, 'varchar(400) NOT NULL'),
    hash_key: needs(TEXT, 'varchar(400) NOT NULL'),
  },
  unique: [['team_id', 'person_id', 'feature_flag_key']],
  constraints: ['CONSTRAINT "Unique hash_key for a user/team/feature_flag combo" UNIQUE (team_id, person_id, feature_flag_key)'],
  indexes: ['CREATE INDEX posthog_featureflaghashkeyoverride_person_id_idx ON posthog_featureflaghashkeyoverride (person_id)'],
  isInserted: true,
};

const plugin: Table = {
  name: 'posthog_plugin',
  columns: {
    id: needs(INTEGER, 'serial PRIMARY KEY'),
    organization_id: has('uuid'),
    plugin_type: needs(TEXT, "varchar(200) DEFAULT 'source'"),
    is_global: has('boolean NOT NULL DEFAULT false'),
    is_preinstalled: has('boolean NOT NULL DEFAULT false'),
    is_stateless: has('boolean DEFAULT false'),
    name: needs(TEXT, "varchar(200) DEFAULT ''"),
    description: has('text'),
    url: needs(TEXT, 'varchar(800) UNIQUE'),
    icon: has('varchar(800)'),
    config_schema: has("jsonb NOT NULL DEFAULT '{}'"),
    tag: has('varchar(200)'),
    archive: has('bytea'),
    latest_tag: has('varchar(800)'),
    capabilities: has("jsonb NOT NULL DEFAULT '{}'"),
    metrics: has('jsonb'),
    public_jobs: has('jsonb'),
    error: has('jsonb'),
    from_json: has('boolean NOT NULL DEFAULT false'),
    from_web: has('boolean NOT NULL DEFAULT false'),
    source: has('text'),
    created_at: has('timestamptz NOT NULL DEFAULT now()'),
    updated_at: needs(TIME, 'timestamptz'),
    log_level: has('integer'),
  },
  unique: [],
  isInserted: false,
};

const pluginConfig: Table = {
  name: 'posthog_pluginconfig',
  columns: {
    id: needs(INTEGER, 'serial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer'),
    plugin_id: needs(INTEGER, 'integer NOT NULL'),
    enabled: needs(BOOLEAN, 'boolean NOT NULL DEFAULT false'),
    order: needs(INTEGER, 'integer NOT NULL'),
    config: needs(JSONB, "jsonb NOT NULL DEFAULT '{}'"),
    error: has('jsonb'),
    web_token: has('varchar(64) UNIQUE'),
    created_at: has('timestamptz NOT NULL DEFAULT now()'),
    updated_at: needs(TIME, 'timestamptz NOT NULL DEFAULT now()'),
    name: has('varchar(400)'),
    description: has('varchar(1000)'),
    deleted: needs(BOOLEAN, 'boolean DEFAULT false'),
    filters: has('jsonb'),
    match_action_id: has('integer'),
  },
  unique: [],
  isInserted: false,
};

const pluginSourceFile: Table = {
  name: 'posthog_pluginsourcefile',
  columns: {
    id: has('uuid PRIMARY KEY DEFAULT gen_random_uuid()'),
    plugin_id: needs(INTEGER, 'integer NOT NULL'),
    filename: needs(TEXT, 'varchar(200) NOT NULL'),
    source: needs(TEXT, 'text NOT NULL'),
    status: has('varchar(20)'),
    transpiled: has('text'),
    error: has('text'),
    updated_at: has('timestamptz'),
  },
  unique: [],
  constraints: ['CONSTRAINT unique_filename_for_plugin UNIQUE (plugin_id, filename)'],
  isInserted: false,
};

const pluginAttachment: Table = {
  name: 'posthog_pluginattachment',
  columns: {
    id: has('serial PRIMARY KEY'),
    team_id: has('integer'),
    plugin_config_id: has('integer'),
    key: has('varchar(200) NOT NULL'),
    content_type: has('varchar(200) NOT NULL'),
    file_name: has('varchar(200) NOT NULL'),
    file_size: has('integer NOT NULL'),
    contents: has('bytea NOT NULL'),
  },
  unique: [],
  isInserted: false,
};

const pluginStorage: Table = {
  name: 'posthog_pluginstorage',
  columns: {
    id: has('bigserial PRIMARY KEY'),
    plugin_config_id: has('integer NOT NULL'),
    key: has('varchar(200) NOT NULL'),
    value: has('text'),
  },
  unique: [],
  constraints: ['CONSTRAINT posthog_unique_plugin_storage_key UNIQUE (plugin_config_id, key)'],
  isInserted: false,
};

/** In the order in which they can be made: a table after those that it refers to. */
export const TABLES: readonly Table[] = [
  ...[organization, team, person, personDistinctId, personlessDistinctId, group, groupTypeMapping, cohortPeople],
  ...[featureFlagHashKeyOverride, plugin, pluginConfig, pluginSourceFile, pluginAttachment, pluginStorage],
];
