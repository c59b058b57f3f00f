import { BOOLEAN, has, INTEGER, JSONB, needs, TEXT, TIME, UUID, type Table } from '../table.ts';

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
  unique: [{ name: 'unique distinct_id for team', columns: ['team_id', 'distinct_id'] }],
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
  unique: [{ name: 'unique personless distinct_id for team', columns: ['team_id', 'distinct_id'] }],
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
  unique: [{ name: 'Unique hash_key for a user/team/feature_flag combo', columns: ['team_id', 'person_id', 'feature_flag_key'] }],
  indexes: ['CREATE INDEX posthog_featureflaghashkeyoverride_person_id_idx ON posthog_featureflaghashkeyoverride (person_id)'],
  isInserted: true,
};

/** Persons, and what hangs on them when two become one. */
export const PERSON_TABLES: readonly Table[] = [person, personDistinctId, personlessDistinctId, cohortPeople, featureFlagHashKeyOverride];
