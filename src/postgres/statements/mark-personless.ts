import type { Statement } from '../client.ts';

export interface PersonlessRow {
  readonly [key: string]: unknown;
  /** Position of the key, from 1. */
  readonly ord: number;
  /** Null when the row was written by somebody else after this statement began: look again. */
  readonly isMerged: boolean | null;
}

/** Rule Q-1: notes the ids as used without a person, unless noted already. Parameters: int4[] teams, text[] distinct ids; no key twice. */
export const markPersonless: Statement = {
  name: 'mark-personless',
  text: `
    WITH input AS (
      SELECT * FROM unnest($1::int4[], $2::text[]) WITH ORDINALITY AS k(team_id, distinct_id, ord)
    ), known AS (
      SELECT i.ord, d.is_merged
      FROM input i JOIN posthog_personlessdistinctid d ON d.team_id = i.team_id AND d.distinct_id = i.distinct_id
    ), noted AS (
      INSERT INTO posthog_personlessdistinctid (team_id, distinct_id, is_merged, created_at)
      SELECT i.team_id, i.distinct_id, false, now()
      FROM input i
      WHERE NOT EXISTS (SELECT FROM known WHERE known.ord = i.ord)
      ORDER BY i.team_id, i.distinct_id
      ON CONFLICT (team_id, distinct_id) DO NOTHING
      RETURNING team_id, distinct_id, is_merged
    )
    SELECT i.ord::int4 AS "ord", COALESCE(known.is_merged, noted.is_merged) AS "isMerged"
    FROM input i
    LEFT JOIN known ON known.ord = i.ord
    LEFT JOIN noted ON noted.team_id = i.team_id AND noted.distinct_id = i.distinct_id`,
};

export interface MarkedRow {
  readonly [key: string]: unknown;
  readonly teamId: number;
  readonly distinctId: string;
  readonly isNew: boolean;
}

/**
 * Rule M-1's first half: is_merged := true. Answers only the rows written; a row that said so before is left alone.
 * `xmax` is 0 exactly when ON CONFLICT inserted. Parameters: int4[] teams, text[] distinct ids; no key twice.
 */
export const markMerged: Statement = {
  name: 'mark-merged',
  text: `
    INSERT INTO posthog_personlessdistinctid AS d (team_id, distinct_id, is_merged, created_at)
    SELECT k.team_id, k.distinct_id, true, now()
    FROM unnest($1::int4[], $2::text[]) AS k(team_id, distinct_id)
    ORDER BY k.team_id, k.distinct_id
    ON CONFLICT (team_id, distinct_id) DO UPDATE SET is_merged = true WHERE NOT d.is_merged
    RETURNING d.team_id AS "teamId", d.distinct_id AS "distinctId", (xmax = 0) AS "isNew"`,
};
