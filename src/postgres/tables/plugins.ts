import { BOOLEAN, BYTES, has, INTEGER, JSONB, needs, TEXT, TIME, type Table } from '../table.ts';

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
  constraints: ['CONSTRAINT unique_filename_for_plugin UNIQUE (plugin_id, filename)'],
  isInserted: false,
};

const pluginAttachment: Table = {
  name: 'posthog_pluginattachment',
  columns: {
    id: has('serial PRIMARY KEY'),
    team_id: needs(INTEGER, 'integer'),
    plugin_config_id: needs(INTEGER, 'integer'),
    key: needs(TEXT, 'varchar(200) NOT NULL'),
    content_type: has('varchar(200) NOT NULL'),
    file_name: needs(TEXT, 'varchar(200) NOT NULL'),
    file_size: has('integer NOT NULL'),
    contents: needs(BYTES, 'bytea NOT NULL'),
  },
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
  constraints: ['CONSTRAINT posthog_unique_plugin_storage_key UNIQUE (plugin_config_id, key)'],
  isInserted: false,
};

/** Plugins (apps), their enablement for teams, and what they keep. */
export const PLUGIN_TABLES: readonly Table[] = [plugin, pluginConfig, pluginSourceFile, pluginAttachment, pluginStorage];
