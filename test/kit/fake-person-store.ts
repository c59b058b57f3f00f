import type { Json } from '../../src/domain/event.ts';
import { personId, type TeamId, teamId } from '../../src/domain/ids.ts';
import type { Person } from '../../src/domain/person.ts';
import type { Team } from '../../src/domain/team.ts';
import { withoutNull } from '../../src/postgres/arrays.ts';
import { jsonbText } from '../../src/postgres/json.ts';
import {
  type GroupStore,
  type PersonKey,
  type PersonStore,
  type PluginConfigRow,
  type PluginConfigStore,
  PostgresError,
  type TeamStore,
} from '../../src/postgres/port.ts';
import type {
  AddDistinctIdResult,
  CreateResult,
  FoundPerson,
  MergeCommand,
  MergeResult,
  NewPerson,
  PersonWrite,
  UpdateResult,
} from '../../src/postgres/port.ts';

/** A call of a PersonStore, as its fate is decided. */
export interface PersonStoreCall {
  readonly operation: keyof PersonStore;
  readonly input: unknown;
}

/**
 * Decides what becomes of each call, so that a simulation owns every interleaving:
 *
 *     called ──arrive──▶ applied, in one step ──answer──▶ resolved
 *
 * Each may wait as long as it likes. `arrive` rejects: the call was never applied, and the rejection is its answer.
 * `answer` rejects: it was applied, and its answer is lost.
 */
export interface PersonStoreFate {
  arrive?(call: PersonStoreCall): Promise<void> | void;
  answer?(call: PersonStoreCall): Promise<void> | void;
}

interface PersonRow {
  readonly teamId: TeamId;
  readonly uuid: string;
  createdAtMs: number;
  /** As jsonb keeps it: text, so that nobody shares an object with the store. */
  properties: string;
  isIdentified: boolean;
  version: number;
}
interface MappingRow {
  rowId: string;
  version: number;
  readonly teamId: TeamId;
  readonly distinctId: string;
}

/** What several fake stores share, as several processes share one database. */
export interface FakePersonDatabase {
  readonly persons: Map<string, PersonRow>;
  /** By `team:distinct id`. */
  readonly mappings: Map<string, MappingRow>;
  /** By `team:distinct id`; the value is is_merged. */
  readonly personless: Map<string, boolean>;
  /** posthog_cohortpeople and posthog_featureflaghashkeyoverride, which others write and merges move (M-3). */
  readonly cohortPeople: { readonly cohortId: number; rowId: string }[];
  /** By row id of the person, then by flag: its hash key. */
  readonly flagOverrides: Map<string, Map<string, string>>;
  nextRowId: number;
  /** Told after each call that was applied, before its answer leaves: a commit, if it changed anything. */
  onApplied?: () => void;
}

export function createFakePersonDatabase(): FakePersonDatabase {
  return { persons: new Map(), mappings: new Map(), personless: new Map(), cohortPeople: [], flagOverrides: new Map(), nextRowId: 1 };
}

/** A PersonStore in memory. Passes the contract suite of the real one. */
export function createFakePersonStore(database = createFakePersonDatabase(), fate: PersonStoreFate = {}): PersonStore {
  async function decided<Input, Answer>(operation: keyof PersonStore, input: Input, apply: (input: Input) => Answer): Promise<Answer> {
    const call = { operation, input };
    await fate.arrive?.(call);
    const answer = apply(input);
    database.onApplied?.();
    await fate.answer?.(call);
    return answer;
  }
  return {
    load: (keys) => decided('load', keys, (input) => input.map((key) => load(database, key))),
    create: (persons) =>
      decided('create', persons, (input) =>
        atomically(database, () =>
          firstOfEach<NewPerson, CreateResult>(input, namesOf, { type: 'exists' }, (person) => create(database, person)),
        ),
      ),
    update: (writes) =>
      decided('update', writes, (input) =>
        firstOfEach<PersonWrite, UpdateResult>(
          input,
          (write) => [write.person.rowId],
          { type: 'conflict' },
          (write) => update(database, write),
        ),
      ),
    addDistinctIds: (adds) =>
      decided('addDistinctIds', adds, (input) =>
        atomically(database, () =>
          firstOfEach<DistinctIdAdd, AddDistinctIdResult>(
            input,
            ({ person, distinctId }) => [textOf({ teamId: person.teamId, distinctId })],
            { type: 'exists' },
            ({ person, distinctId }) => addDistinctId(database, person, distinctId),
          ),
        ),
      ),
    merge: (command) => decided('merge', command, (input) => merge(database, input)),
    movedDistinctIds: (persons) =>
      decided('movedDistinctIds', persons, (input) =>
        input.map(({ rowId, teamId: team }) =>
          [...database.mappings.values()]
            .filter((mapping) => mapping.rowId === rowId && mapping.teamId === team && mapping.version > 0)
            .map(({ distinctId, version }) => ({ distinctId, version }))
            .sort((a, b) => Buffer.compare(Buffer.from(a.distinctId), Buffer.from(b.distinctId))),
        ),
      ),
    markPersonless: (keys) =>
      decided('markPersonless', keys, (input) =>
        atomically(database, () =>
          input.map((key) => {
            const text = textOf(key);
            if (!database.personless.has(text)) database.personless.set(text, false);
            return { isMerged: database.personless.get(text) === true };
          }),
        ),
      ),
    markMerged: (keys) =>
      decided('markMerged', keys, (input) => {
        const existed = new Map(input.map((key) => [textOf(key), database.personless.has(textOf(key))]));
        for (const text of existed.keys()) database.personless.set(text, true);
        return input.map((key) => ({ existed: existed.get(textOf(key)) === true }));
      }),
  };
}

type DistinctIdAdd = Parameters<PersonStore['addDistinctIds']>[0][number];

/** As the real store does: of the items of a batch that share a name the first is tried, and the others are told `otherwise`. */
function firstOfEach<Item, Result>(
  items: readonly Item[],
  names: (item: Item) => readonly string[],
  otherwise: Result,
  apply: (item: Item) => Result,
): Result[] {
  const seen = new Set<string>();
  return items.map((item) => {
    const own = names(item);
    if (own.some((name) => seen.has(name))) return otherwise;
    for (const name of own) seen.add(name);
    return apply(item);
  });
}

function namesOf({ teamId, id, distinctIds }: NewPerson): string[] {
  return [`${teamId}/${id}`, ...distinctIds.map(({ distinctId }) => textOf({ teamId, distinctId }))];
}

function load({ persons, mappings }: FakePersonDatabase, key: PersonKey): FoundPerson | undefined {
  const mapping = mappings.get(textOf(key));
  const row = mapping === undefined ? undefined : persons.get(mapping.rowId);
  if (mapping === undefined || row === undefined) return undefined;
  return { person: personOf(mapping.rowId, row), mappingVersion: mapping.version };
}

function create(database: FakePersonDatabase, person: NewPerson): CreateResult {
  const keys = person.distinctIds.map(({ distinctId }) => textOf({ teamId: person.teamId, distinctId }));
  if (keys.some((key) => database.mappings.has(key))) return { type: 'exists' };
  const rowId = String(database.nextRowId++);
  const row: PersonRow = {
    teamId: person.teamId,
    uuid: person.id,
    createdAtMs: person.createdAtMs,
    properties: jsonbText(person.properties),
    isIdentified: person.isIdentified,
    version: 0,
  };
  database.persons.set(rowId, row);
  for (const { distinctId, version } of person.distinctIds) addMapping(database, { teamId: person.teamId, distinctId, rowId, version });
  return { type: 'created', person: { ...personOf(rowId, row), properties: person.properties } };
}

function update({ persons }: FakePersonDatabase, { person, version }: PersonWrite): UpdateResult {
  const row = persons.get(person.rowId);
  if (row === undefined || row.teamId !== person.teamId || row.version !== version) return { type: 'conflict' };
  row.properties = jsonbText(person.properties);
  row.isIdentified = person.isIdentified;
  row.version = version + 1;
  return { type: 'updated', version: row.version };
}

function addDistinctId(database: FakePersonDatabase, { rowId, teamId }: Person, distinctId: string): AddDistinctIdResult {
  const key = textOf({ teamId, distinctId });
  if (database.persons.get(rowId)?.teamId !== teamId) return { type: 'conflict' };
  if (database.mappings.has(key)) return { type: 'exists' };
  const version = database.personless.has(key) ? 1 : 0;
  addMapping(database, { teamId, distinctId, rowId, version });
  database.personless.set(key, true);
  return { type: 'added', version };
}

function merge(database: FakePersonDatabase, { into, from, properties, createdAtMs, teamId }: MergeCommand): MergeResult {
  const { persons, mappings } = database;
  const [survivor, source] = [persons.get(into.rowId), persons.get(from.rowId)];
  if (survivor === undefined || source === undefined || survivor === source) return { type: 'conflict' };
  if (survivor.teamId !== teamId || source.teamId !== teamId) return { type: 'conflict' };
  if (survivor.version !== into.version || source.version !== from.version) return { type: 'conflict' };
  const moving = [...mappings.values()].filter((mapping) => mapping.rowId === from.rowId);
  if (moving.length === 0) return { type: 'conflict' };
  for (const mapping of moving) {
    mapping.rowId = into.rowId;
    mapping.version += 1;
  }
  for (const row of database.cohortPeople) if (row.rowId === from.rowId) row.rowId = into.rowId;
  const flags = new Map([...(database.flagOverrides.get(from.rowId) ?? []), ...(database.flagOverrides.get(into.rowId) ?? [])]);
  if (flags.size > 0) database.flagOverrides.set(into.rowId, flags);
  database.flagOverrides.delete(from.rowId);
  persons.delete(from.rowId);
  const version = Math.max(into.version, from.version) + 1;
  Object.assign(survivor, { createdAtMs, properties: jsonbText(properties), isIdentified: true, version });
  const moved = moving
    .map(({ distinctId, version }) => ({ distinctId, version }))
    .sort((a, b) => Buffer.compare(Buffer.from(a.distinctId), Buffer.from(b.distinctId)));
  return { type: 'merged', person: { ...into, properties, createdAtMs, isIdentified: true, version }, moved };
}

/** All of a batch or, when it throws, nothing. */
function atomically<T>(database: FakePersonDatabase, run: () => T): T {
  const before = { persons: new Map(database.persons), mappings: new Map(database.mappings), personless: new Map(database.personless) };
  try {
    return run();
  } catch (error) {
    for (const name of ['persons', 'mappings', 'personless'] as const) {
      const map: Map<string, unknown> = database[name];
      map.clear();
      for (const [key, value] of before[name]) map.set(key, value);
    }
    throw error;
  }
}

function addMapping(database: FakePersonDatabase, mapping: MappingRow): void {
  if (mapping.distinctId.length > 400) throw new PostgresError('refused', 'value too long for type character varying(400)');
  database.mappings.set(textOf(mapping), { ...mapping, distinctId: stored(mapping.distinctId) });
}

function personOf(rowId: string, row: PersonRow): Person {
  const properties = JSON.parse(row.properties) as Json;
  return {
    rowId,
    id: personId(row.uuid),
    teamId: row.teamId,
    createdAtMs: row.createdAtMs,
    properties,
    isIdentified: row.isIdentified,
    version: row.version,
  };
}

function textOf(key: PersonKey): string {
  return `${key.teamId}:${stored(key.distinctId)}`;
}
function stored(text: string): string {
  return withoutNull(text).toWellFormed();
}

/** Teams of a list that a test may change while it runs. */
export function createFakeTeamStore(teams: readonly Team[]): TeamStore {
  return {
    byToken: (tokens) => Promise.resolve(tokens.map((token) => teams.find((team) => team.token === token))),
    byId: (ids) => Promise.resolve(ids.map((id) => teams.find((team) => team.id === teamId(id)))),
  };
}

/** Plugin configs of a list that a test may change while it runs. */
export function createFakePluginConfigStore(rows: readonly PluginConfigRow[]): PluginConfigStore {
  return { activePluginConfigs: () => Promise.resolve([...rows]) };
}

/** Groups in memory, by rules G-2 and GU-1 to GU-2. */
export function createFakeGroupStore(): GroupStore {
  const types = new Map<TeamId, string[]>();
  const groups = new Map<string, { version: number; createdAtMs: number; properties: Json }>();
  return {
    groupTypeIndex(team, type) {
      const ofTeam = types.get(team) ?? [];
      types.set(team, ofTeam);
      if (!ofTeam.includes(type) && ofTeam.length < 5) ofTeam.push(type);
      const index = ofTeam.indexOf(type);
      return Promise.resolve(index === -1 ? undefined : index);
    },
    upsertGroup({ teamId, groupTypeIndex, groupKey, set, createdAtMs }) {
      const key = JSON.stringify([teamId, groupTypeIndex, groupKey]);
      const existing = groups.get(key);
      const before = existing?.properties ?? {};
      const changed =
        existing === undefined || Object.entries(set).some(([name, value]) => !Object.hasOwn(before, name) || before[name] != value);
      const group = changed
        ? {
            version: (existing?.version ?? 0) + 1,
            createdAtMs: Math.min(existing?.createdAtMs ?? createdAtMs, createdAtMs),
            properties: { ...before, ...set },
          }
        : existing;
      groups.set(key, group);
      return Promise.resolve({ changed, ...group });
    },
  };
}
