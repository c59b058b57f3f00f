import { foldGroup } from '../domain/group-fold.ts';
import type { TeamId } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import { withoutNull } from './arrays.ts';
import type { PostgresClient, Transaction } from './client.ts';
import { jsonbText } from './json.ts';
import { type GroupStore, PostgresError } from './port.ts';
import { type GroupRow, insertGroup, lockGroup, updateGroup } from './statements/upsert-group.ts';
import {
  areGroupTypesOfProjects,
  type GroupTypeRow,
  groupTypesByProject,
  groupTypesByTeam,
  type GroupTypeStatements,
} from './statements/group-types.ts';

type Group = Parameters<GroupStore['upsertGroup']>[0];
type UpsertedGroup = Awaited<ReturnType<GroupStore['upsertGroup']>>;

/** A team has at most five group types, because the events table has five columns for them (G-2). */
const MAX_GROUP_TYPES = 5;
/** How often a new group may appear between our look and our insert before we give up; each time costs one round. */
const MAX_RACES = 10;

/**
 * Group types and groups.
 *
 * I1  The types of a team are remembered for `rememberMs`, for at most `teamsCount` teams (the longest known goes first),
 *     and an event without a new type costs no query. A type once registered never changes its index.
 * I2  A group's version grows with every write; an upsert repeated after a lost answer finds nothing to change.
 */
export function createGroupStore(
  client: PostgresClient,
  options: {
    readonly clock: Clock;
    /** @defaultValue 30,000 ms, as PostHog's */
    readonly rememberMs?: number;
    /** @defaultValue 10,000 */
    readonly teamsCount?: number;
  },
): GroupStore {
  const { clock, rememberMs = 30_000, teamsCount = 10_000 } = options;
  const remembered = new Map<TeamId, { readonly types: Map<string, number>; readonly untilMs: number }>();

  let statements: GroupTypeStatements | undefined;

  async function groupTypes(): Promise<GroupTypeStatements> {
    if (statements !== undefined) return statements;
    const [row] = await client.run<{ answer: boolean }>(areGroupTypesOfProjects, []);
    return (statements = row?.answer === true ? groupTypesByProject : groupTypesByTeam);
  }

  async function typesOf(team: TeamId): Promise<Map<string, number>> {
    const known = remembered.get(team);
    if (known !== undefined && clock.monotonic() < known.untilMs) return known.types;
    const rows = await client.run<GroupTypeRow>((await groupTypes()).typesOf, [team]);
    const types = new Map(rows.map((row) => [row.groupType, row.index]));
    remembered.delete(team);
    remembered.set(team, { types, untilMs: clock.monotonic() + rememberMs });
    if (remembered.size > teamsCount) {
      const [longestKnown] = remembered.keys();
      if (longestKnown !== undefined) remembered.delete(longestKnown);
    }
    return types;
  }

  return {
    async groupTypeIndex(team, type) {
      const groupType = withoutNull(type).toWellFormed();
      const types = await typesOf(team);
      const known = types.get(groupType);
      if (known !== undefined) return known;
      const { register, typesOf: allTypes } = await groupTypes();
      // Somebody else may take the index, or register the very type, between our look and our insert.
      for (let index = types.size; index < MAX_GROUP_TYPES; index++) {
        const [row] = await client.run<GroupTypeRow>(register, [team, groupType, index]);
        const found = row ?? (await client.run<GroupTypeRow>(allTypes, [team])).find((other) => other.groupType === groupType);
        if (found === undefined) continue;
        types.set(groupType, found.index);
        return found.index;
      }
      return undefined;
    },

    async upsertGroup(group) {
      for (let races = 0; races < MAX_RACES; races++) {
        const result = await client.transaction('upsert-group', (transaction) => upsert(transaction, group, clock.now()));
        if (result !== 'raced') return result;
      }
      throw new PostgresError('unavailable', `upsert-group: the group appeared and vanished ${MAX_RACES} times.`);
    },
  };
}

/** GU-1, GU-2. `raced`: another process inserted the group first; nothing was written. */
async function upsert(transaction: Transaction, group: Group, nowMs: number): Promise<UpsertedGroup | 'raced'> {
  const key = [group.teamId, group.groupTypeIndex, withoutNull(group.groupKey)];
  const [existing] = await transaction.run<GroupRow>(lockGroup, key);
  if (existing === undefined) {
    const createdAtMs = Math.min(nowMs, group.createdAtMs);
    const rows = await transaction.run(insertGroup, [...key, createdAtMs, jsonbText(group.set)]);
    return rows.length === 0 ? 'raced' : { changed: true, version: 1, createdAtMs, properties: group.set };
  }
  const { version, createdAtMs, properties } = existing;
  const folded = foldGroup(properties, group.set);
  if (!folded.changed) return { changed: false, version, createdAtMs, properties };
  const next = { version: version + 1, createdAtMs: Math.min(createdAtMs, group.createdAtMs), properties: folded.properties };
  await transaction.run(updateGroup, [...key, next.createdAtMs, jsonbText(next.properties), next.version]);
  return { changed: true, ...next };
}
