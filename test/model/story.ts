/** Whether ClickHouse's rows tell of persons what PostgreSQL ended with, and of each event what the analysis found. */
import type { BinaryRow } from '../kit/row-binary-reader.ts';
import { canonical } from './canonical.ts';
import { uuidOf, type Sent } from './oracle.ts';
import type { Analysis, VisibleRow } from './history.ts';
import type { Commit, State, StoredPerson } from './recording.ts';

export type StoryFinding = 'one-row' | 'resolve' | 'person-rows' | 'mapping-rows' | 'warnings';
export interface Story {
  readonly tables: ReadonlyMap<string, readonly BinaryRow[]>;
  readonly commits: readonly Commit[];
  readonly events: readonly Sent[];
  readonly analysis: Analysis;
  /** Nobody died and no answer was lost: then everything is told exactly. */
  readonly isQuiet: boolean;
}

const MODES: readonly VisibleRow['mode'][] = ['full', 'propertyless', 'force_upgrade'];

/** The rows of `events`, by uuid. */
export function visibleRows(tables: Story['tables']): Map<string, VisibleRow> {
  return new Map(
    (tables.get('events') ?? []).map((row) => [
      String(row['uuid']),
      {
        personId: String(row['person_id']),
        createdAtMs: Number(row['person_created_at']),
        properties: canonical(JSON.parse(String(row['person_properties']))),
        mode: MODES[Number(row['person_mode'])] ?? 'full',
      },
    ]),
  );
}

/** Uuids of the events that a warning about a merge names. */
export function warnedOf(tables: Story['tables']): Set<string> {
  const merges = (tables.get('ingestion_warnings') ?? []).filter((row) => String(row['type']).startsWith('cannot_merge'));
  return new Set(merges.map((row) => String((JSON.parse(String(row['details'])) as { eventUuid: string }).eventUuid)));
}

export function checkStory(story: Story, report: (finding: StoryFinding, detail: string) => void): void {
  const { tables, commits, events, analysis, isQuiet } = story;
  const { state } = commits.at(-1) as Commit;
  const mappings = newest(tables, 'person_distinct_id2', idOf);
  const overrides = newest(tables, 'person_distinct_id_overrides', idOf);

  const seen = Map.groupBy(tables.get('events') ?? [], (row) => String(row['uuid']));
  for (const { uuid, event, team, distinctId } of events) {
    const rows = seen.get(uuid) ?? [];
    const name = `${event} ${uuid.slice(-4)} of ${team}:${distinctId}`;
    if (rows.length !== 1) report('one-row', `${name} has ${rows.length} rows`);
    const id = `${team}:${distinctId}`;
    const survivor = state.persons.get(state.mappings.get(id)?.rowId ?? '')?.uuid ?? uuidOf(team, distinctId);
    const leadsTo = overrides.get(id)?.['person_id'] ?? rows[0]?.['person_id'];
    if (rows.length > 0 && leadsTo !== survivor) report('resolve', `${name} leads to ${leadsTo} instead of ${survivor}`);
  }

  for (const [id, { rowId, version }] of state.mappings) {
    const uuid = state.persons.get(rowId)?.uuid;
    const told = mappings.get(id);
    if (told?.['person_id'] !== uuid || told?.['version'] !== version) {
      report('mapping-rows', `${id} is told as ${told?.['person_id']}@${told?.['version']} and is ${uuid}@${version}`);
    }
    const override = overrides.get(id);
    if (version > 0 !== (override !== undefined))
      report('mapping-rows', `${id} has version ${version} and ${override === undefined ? 'no' : 'an'} override`);
  }
  for (const id of mappings.keys()) if (!state.mappings.has(id)) report('mapping-rows', `${id} is told and is not there`);

  personRows(story, state, report);
  const uuids = new Set(events.map(({ uuid }) => uuid));
  const told = (tables.get('ingestion_warnings') ?? []).map((row) => warningText(row['type'], JSON.parse(String(row['details']))));
  const expected = [...analysis.warnings]
    .filter(([uuid]) => uuids.has(uuid))
    .map(([, all]) => all.map(({ type, details }) => warningText(type, details)));
  for (const text of told)
    if (text.startsWith('cannot_merge') && !expected.flat().includes(text)) report('warnings', `${text} was told and nothing is wrong`);
  // Best effort where something died (delivery.md section 6); else each exactly once.
  if (!isQuiet) return;
  for (const [text] of expected) {
    const times = told.filter((one) => one === text).length;
    if (times !== 1) report('warnings', `${text} was told ${times} times`);
  }
}

const warningText = (type: unknown, details: unknown): string => `${String(type)} ${canonical(details)}`;
const idOf = (row: BinaryRow): string => `${row['team_id']}:${row['distinct_id']}`;

function personRows({ tables, commits, isQuiet }: Story, state: State, report: (finding: StoryFinding, detail: string) => void): void {
  const rows = newest(tables, 'person', (row) => `${row['team_id']}:${row['id']}`);
  const nameOf = ({ team, uuid }: StoredPerson): string => `${team}:${uuid}`;
  const alive = new Set<string>();
  for (const person of state.persons.values()) {
    const name = nameOf(person);
    alive.add(name);
    const row = rows.get(name);
    const told = row === undefined ? 'nothing' : textOf(row);
    const { version, isIdentified, createdAtMs, properties } = person;
    const is = `@${version} identified ${Number(isIdentified)} created ${Math.floor(createdAtMs / 1000)} deleted 0 ${properties}`;
    if (told !== is) report('person-rows', `${name} is told as ${told} and is ${is}`);
  }
  const last = new Map(commits.flatMap((commit) => [...commit.state.persons.values()]).map((person) => [nameOf(person), person]));
  for (const [name, { version }] of last) {
    if (alive.has(name)) continue;
    const row = rows.get(name);
    if (row?.['is_deleted'] !== 1) report('person-rows', `${name} is gone and ${row === undefined ? 'was never told' : 'still shows'}`);
    else if (isQuiet && Number(row['version']) < version + 100)
      report('person-rows', `${name} is hidden with version ${row['version']}, its last was ${version}`);
  }
}

function textOf(row: BinaryRow): string {
  const properties = canonical(JSON.parse(String(row['properties'])));
  return `@${row['version']} identified ${row['is_identified']} created ${Math.floor(Number(row['created_at']) / 1000)} deleted ${row['is_deleted']} ${properties}`;
}

/** The rows that a ReplacingMergeTree(version) leaves. */
function newest(tables: Story['tables'], table: string, keyOf: (row: BinaryRow) => string): Map<string, BinaryRow> {
  const rows = new Map<string, BinaryRow>();
  for (const row of tables.get(table) ?? []) {
    const known = rows.get(keyOf(row));
    if (known === undefined || Number(row['version']) >= Number(known['version'])) rows.set(keyOf(row), row);
  }
  return rows;
}
