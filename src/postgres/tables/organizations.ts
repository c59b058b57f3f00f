import { BOOLEAN, INTEGER, needs, has, TEXT, UUID, type Table } from '../table.ts';

const organization: Table = {
  name: 'posthog_organization',
  columns: {
    id: needs(UUID, 'uuid PRIMARY KEY'),
    name: has("varchar(64) NOT NULL DEFAULT ''"),
    available_product_features: has('jsonb[]'),
    plugins_access_level: needs(INTEGER, 'smallint NOT NULL DEFAULT 9'),
  },
  isInserted: false,
};

const project: Table = {
  name: 'posthog_project',
  columns: {
    id: has('bigint PRIMARY KEY'),
    organization_id: has('uuid NOT NULL'),
    name: has("varchar(200) NOT NULL DEFAULT ''"),
    created_at: has('timestamptz NOT NULL DEFAULT now()'),
  },
  isInserted: false,
};

const user: Table = {
  name: 'posthog_user',
  columns: {
    id: has('serial PRIMARY KEY'),
    email: has('varchar(254) NOT NULL UNIQUE'),
    distinct_id: has('varchar(200) UNIQUE'),
    is_active: has('boolean NOT NULL DEFAULT true'),
  },
  isInserted: false,
};

const organizationMembership: Table = {
  name: 'posthog_organizationmembership',
  columns: {
    id: has('uuid PRIMARY KEY DEFAULT gen_random_uuid()'),
    organization_id: has('uuid NOT NULL'),
    user_id: has('integer NOT NULL'),
    level: has('smallint NOT NULL DEFAULT 1'),
    joined_at: has('timestamptz NOT NULL DEFAULT now()'),
    updated_at: has('timestamptz NOT NULL DEFAULT now()'),
  },
  constraints: ['CONSTRAINT unique_organization_membership UNIQUE (organization_id, user_id)'],
  isInserted: false,
};

const team: Table = {
  name: 'posthog_team',
  columns: {
    id: needs(INTEGER, 'serial PRIMARY KEY'),
    uuid: has('uuid NOT NULL DEFAULT gen_random_uuid()'),
    organization_id: needs(UUID, 'uuid NOT NULL'),
    project_id: has('bigint REFERENCES posthog_project (id) DEFERRABLE INITIALLY DEFERRED'),
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
  unique: [{ name: 'posthog_team_api_token_key', columns: ['api_token'] }],
  isInserted: false,
};

/** Who owns what: tenants and the people of PostHog. */
export const ORGANIZATION_TABLES: readonly Table[] = [organization, project, user, organizationMembership, team];
