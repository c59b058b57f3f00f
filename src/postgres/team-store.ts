import { teamId } from '../domain/ids.ts';
import type { Team } from '../domain/team.ts';
import { int4Array, textArray } from './arrays.ts';
import type { PostgresClient, Statement } from './client.ts';
import type { TeamStore } from './port.ts';

/**
 * Teams from `posthog_team` (T-2, T-3). Without a cache: its caller knows how old an answer may be (T-5).
 * Which of the younger columns the table has is asked once; a column added later counts from the next start on.
 */
export function createTeamStore(client: PostgresClient): TeamStore {
  let statements: TeamStatements | undefined;

  async function teams(): Promise<TeamStatements> {
    return (statements ??= statementsFor(await client.run<{ name: string }>(youngerColumns, [])));
  }

  async function ask(which: keyof TeamStatements, count: number, keys: Buffer): Promise<readonly (Team | undefined)[]> {
    const found = new Array<Team | undefined>(count).fill(undefined);
    if (count === 0) return found;
    for (const { ord, id, dropEventsOlderThanS, ...rest } of await client.run<TeamRow>((await teams())[which], [keys])) {
      found[ord - 1] = { id: teamId(id), dropEventsOlderThanS: dropEventsOlderThanS ?? undefined, ...rest };
    }
    return found;
  }

  return {
    byToken: (tokens) => ask('byToken', tokens.length, textArray(tokens)),
    byId: (ids) => ask('byId', ids.length, int4Array(ids.map(int4OrNone))),
  };
}

interface TeamRow extends Omit<Team, 'id' | 'dropEventsOlderThanS'> {
  readonly [key: string]: unknown;
  /** Position of the key, from 1. */
  readonly ord: number;
  readonly id: number;
  readonly dropEventsOlderThanS: number | null;
}
interface TeamStatements {
  readonly byToken: Statement;
  readonly byId: Statement;
}

const YOUNGER = ['heatmaps_opt_in', 'person_processing_opt_out', 'drop_events_older_than'] as const;

const youngerColumns: Statement = {
  name: 'team-younger-columns',
  text: `
    SELECT attname::text AS "name" FROM pg_attribute
    WHERE attrelid = to_regclass('posthog_team') AND NOT attisdropped
      AND attname IN (${YOUNGER.map((name) => `'${name}'`).join(', ')})`,
};

function statementsFor(present: readonly { readonly name: string }[]): TeamStatements {
  const either = (name: (typeof YOUNGER)[number], then: string, otherwise: string): string =>
    present.some((row) => row.name === name) ? then : otherwise;
  // The name says which columns: pooled connections outlive a table that has just got one.
  const shape = YOUNGER.map((name) => Number(present.some((row) => row.name === name))).join('');
  const columns = `
    k.ord::int4 AS "ord", t.id::int4 AS "id", t.api_token AS "token", t.name AS "name", t.anonymize_ips AS "anonymizeIps",
    t.ingested_event AS "ingestedEvent",
    ${either('heatmaps_opt_in', 't.heatmaps_opt_in IS NOT FALSE', 'true')} AS "heatmapsOptIn",
    ${either('person_processing_opt_out', 't.person_processing_opt_out IS TRUE', 'false')} AS "personProcessingOptOut",
    ${either('drop_events_older_than', 'extract(epoch FROM t.drop_events_older_than)::float8', 'NULL::float8')} AS "dropEventsOlderThanS"`;
  return {
    byToken: {
      name: `teams-by-token-${shape}`,
      text: `SELECT ${columns} FROM unnest($1::text[]) WITH ORDINALITY AS k(token, ord) JOIN posthog_team t ON t.api_token = k.token`,
    },
    byId: {
      name: `teams-by-id-${shape}`,
      text: `SELECT ${columns} FROM unnest($1::int4[]) WITH ORDINALITY AS k(id, ord) JOIN posthog_team t ON t.id = k.id`,
    },
  };
}

/** An id that no integer column can hold is nobody's; clients may send any number as a team. */
function int4OrNone(id: number): number {
  return Number.isInteger(id) && Math.abs(id) <= 2_147_483_647 ? id : -1;
}
