import type { Statement } from '../client.ts';

export interface MovedMappingRow {
  readonly [key: string]: unknown;
  /** Position of the person, from 1. */
  readonly ord: number;
  readonly distinctId: string;
  readonly version: number;
}

/** Mappings of persons that a merge has moved or an override has raised: those above version 0. Parameters: int8[] persons, int4[] teams. */
export const movedDistinctIds: Statement = {
  name: 'moved-distinct-ids',
  text: `
    SELECT k.ord::int4 AS "ord", d.distinct_id AS "distinctId", d.version::float8 AS "version"
    FROM unnest($1::int8[], $2::int4[]) WITH ORDINALITY AS k(person_id, team_id, ord)
    JOIN posthog_persondistinctid d ON d.person_id = k.person_id AND d.team_id = k.team_id
    WHERE d.version > 0
    ORDER BY k.ord, d.distinct_id COLLATE "C"`,
};
