import { teamId } from '../domain/ids.ts';
import type { Team } from '../domain/team.ts';
import { int4Array, textArray } from './arrays.ts';
import type { PostgresClient, Statement } from './client.ts';
import type { TeamStore } from './port.ts';

/** Teams from `posthog_team` (T-2, T-3). Without a cache: its caller knows how old an answer may be (T-5). */
export function createTeamStore(client: PostgresClient): TeamStore {
  async function ask(statement: Statement, count: number, keys: Buffer): Promise<readonly (Team | undefined)[]> {
    const teams = new Array<Team | undefined>(count).fill(undefined);
    if (count === 0) return teams;
    for (const { ord, id, ...rest } of await client.run<TeamRow>(statement, [keys])) teams[ord - 1] = { id: teamId(id), ...rest };
    return teams;
  }
  return {
    byToken: (tokens) => ask(teamsByToken, tokens.length, textArray(tokens)),
    byId: (ids) => ask(teamsById, ids.length, int4Array(ids.map(int4OrNone))),
  };
}

interface TeamRow extends Omit<Team, 'id'> {
  readonly [key: string]: unknown;
  /** Position of the key, from 1. */
  readonly ord: number;
  readonly id: number;
}

const columns = `
  k.ord::int4 AS "ord", t.id::int4 AS "id", t.api_token AS "token", t.name AS "name", t.anonymize_ips AS "anonymizeIps", t.ingested_event AS "ingestedEvent"`;
const teamsByToken: Statement = {
  name: 'teams-by-token',
  text: `SELECT ${columns} FROM unnest($1::text[]) WITH ORDINALITY AS k(token, ord) JOIN posthog_team t ON t.api_token = k.token`,
};
const teamsById: Statement = {
  name: 'teams-by-id',
  text: `SELECT ${columns} FROM unnest($1::int4[]) WITH ORDINALITY AS k(id, ord) JOIN posthog_team t ON t.id = k.id`,
};

/** An id that no integer column can hold is nobody's; clients may send any number as a team. */
function int4OrNone(id: number): number {
  return Number.isInteger(id) && Math.abs(id) <= 2_147_483_647 ? id : -1;
}
