import type { Statement } from '../client.ts';

export interface DefinitionStatements {
  /** Parameters: int4[] team, text[] name, float8[] hour in epoch ms. */
  readonly writeEvents: Statement;
  /** Parameters: int4[] team, text[] name, int4[] parent, int4[] group type index or -1, text[] property type or ''. */
  readonly writeProperties: Statement;
  /** Parameters: int4[] team, text[] event, text[] property. */
  readonly writeEventProperties: Statement;
}

/** Definitions belong to a team, and since 2025 to its project, whose teams share them: whether this database is of the second kind. */
export const areDefinitionsOfProjects: Statement = {
  name: 'are-definitions-of-projects',
  text: `
    SELECT count(*) = 4 AS "answer" FROM pg_attribute
    WHERE attname = 'project_id' AND NOT attisdropped AND attrelid IN (
      to_regclass('posthog_eventdefinition'), to_regclass('posthog_propertydefinition'),
      to_regclass('posthog_eventproperty'), to_regclass('posthog_team'))`,
};

/**
 * The three writes have one form: names of teams that exist, what is to change of those that are there, the rest inserted. What is there
 * is looked for before the insert, because an insert that conflicts has used up a number of the table's sequence. ON CONFLICT names no
 * constraint: PostHog has renamed them, and a row that another process inserted meanwhile says the same.
 */
export function definitionStatements(owner: 'team' | 'project'): DefinitionStatements {
  const ofProject = owner === 'project';
  const projectId = ofProject ? ', project_id' : '';
  const ownerIds = ofProject ? 't.id AS team_id, t.project_id AS project_id' : 't.id AS team_id';
  // The expression is that of PostHog's index.
  const isSameOwner = ofProject
    ? 'coalesce(d.project_id, d.team_id::bigint) = coalesce(s.project_id, s.team_id::bigint)'
    : 'd.team_id = s.team_id';
  return {
    writeEvents: {
      name: `write-event-definitions-of-${owner}`,
      text: `
        WITH s AS (
          SELECT ${ownerIds}, u.name, to_timestamp(u.hour_ms / 1000) AS hour
          FROM unnest($1::int4[], $2::text[], $3::float8[]) AS u(team_id, name, hour_ms) JOIN posthog_team t ON t.id = u.team_id
        ), seen_again AS (
          UPDATE posthog_eventdefinition d SET last_seen_at = s.hour FROM s
          WHERE ${isSameOwner} AND d.name = s.name AND (d.last_seen_at IS NULL OR d.last_seen_at < s.hour)
        )
        INSERT INTO posthog_eventdefinition (id, name, created_at, last_seen_at, team_id${projectId})
        SELECT gen_random_uuid(), s.name, now(), s.hour, s.team_id${projectId} FROM s
        WHERE NOT EXISTS (SELECT FROM posthog_eventdefinition d WHERE ${isSameOwner} AND d.name = s.name)
        ORDER BY s.team_id, s.name
        ON CONFLICT DO NOTHING`,
    },
    writeProperties: {
      name: `write-property-definitions-of-${owner}`,
      text: `
        WITH s AS (
          SELECT ${ownerIds}, u.name, u.parent::int2 AS parent, nullif(u.index, -1)::int2 AS index, nullif(u.type, '') AS type
          FROM unnest($1::int4[], $2::text[], $3::int4[], $4::int4[], $5::text[]) AS u(team_id, name, parent, index, type)
          JOIN posthog_team t ON t.id = u.team_id
        ), typed AS (
          UPDATE posthog_propertydefinition d SET property_type = s.type, is_numerical = s.type = 'Numeric' FROM s
          WHERE ${isSameOwner} AND d.name = s.name AND d.type = s.parent
            AND coalesce(d.group_type_index, -1) = coalesce(s.index, -1) AND d.property_type IS NULL AND s.type IS NOT NULL
        )
        INSERT INTO posthog_propertydefinition (id, name, is_numerical, property_type, type, group_type_index, team_id${projectId})
        SELECT gen_random_uuid(), s.name, s.type IS NOT DISTINCT FROM 'Numeric', s.type, s.parent, s.index, s.team_id${projectId} FROM s
        WHERE NOT EXISTS (
          SELECT FROM posthog_propertydefinition d
          WHERE ${isSameOwner} AND d.name = s.name AND d.type = s.parent AND coalesce(d.group_type_index, -1) = coalesce(s.index, -1))
        ORDER BY s.team_id, s.name, s.parent, s.index, s.type NULLS LAST
        ON CONFLICT DO NOTHING`,
    },
    writeEventProperties: {
      name: `write-event-properties-of-${owner}`,
      text: `
        WITH s AS (
          SELECT ${ownerIds}, u.event, u.property
          FROM unnest($1::int4[], $2::text[], $3::text[]) AS u(team_id, event, property) JOIN posthog_team t ON t.id = u.team_id
        )
        INSERT INTO posthog_eventproperty (event, property, team_id${projectId})
        SELECT s.event, s.property, s.team_id${projectId} FROM s
        WHERE NOT EXISTS (SELECT FROM posthog_eventproperty d WHERE ${isSameOwner} AND d.event = s.event AND d.property = s.property)
        ORDER BY s.team_id, s.event, s.property
        ON CONFLICT DO NOTHING`,
    },
  };
}

/** F-1. The rows are locked in one order by all processes. Parameter: int4[] team. */
export const markTeamsIngested: Statement = {
  name: 'mark-teams-ingested',
  text: `
    UPDATE posthog_team t SET ingested_event = true
    FROM (SELECT id FROM posthog_team WHERE id = ANY ($1::int4[]) AND NOT ingested_event ORDER BY id FOR UPDATE) AS first
    WHERE t.id = first.id`,
};
