import { ENCODERS, EVENT_ENCODER } from './rows.ts';
import { DEDUPLICATION_WINDOW, EVENT_SETTINGS, PROJECTION, PROJECTION_QUERY } from './tables.ts';

/** What Troupe asks of the tables that are there: whether its rows can be written and found again. Pure. */

/** Columns that PostHog's `events` lacks, with the type in which they are added. */
const ADDED_COLUMNS: ReadonlyMap<string, string> = new Map([
  ['_topic', 'LowCardinality(String)'],
  ['_partition', 'UInt64'],
  ['_offset', 'UInt64'],
]);

/** A table as the server describes it. */
export interface TableDescription {
  readonly name: string;
  readonly engine: string;
  /** Engine with its arguments and settings. */
  readonly engineFull: string;
  readonly createQuery: string;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly defaultKind: string }[];
}

/** Where rows of a Distributed table really are. */
export interface LocalTable {
  readonly cluster: string;
  readonly database: string;
  readonly table: string;
}

export function localTableOf(table: TableDescription): LocalTable | undefined {
  const match = /^Distributed\('([^']+)', '([^']+)', '([^']+)'/.exec(table.engineFull);
  const [, cluster, database, name] = match ?? [];
  return cluster === undefined || database === undefined || name === undefined ? undefined : { cluster, database, table: name };
}

export interface SchemaProblem {
  /** What is wrong, with the name of the thing. */
  readonly message: string;
  /** What would put it right; undefined when nothing that keeps the data does. */
  readonly statement: string | undefined;
  /** Troupe can work with it, at a cost that the message states. */
  readonly isBearable: boolean;
}

/**
 * Everything about an existing table that keeps Troupe from writing rows and finding them again. In the order in which the
 * statements must be run.
 * @param local the table behind a Distributed one
 */
export function schemaProblems(table: TableDescription, local?: LocalTable & { readonly description: TableDescription }): SchemaProblem[] {
  const encoder = ENCODERS.find((candidate) => candidate.table === table.name);
  if (encoder === undefined) return [];
  const problems = encoder.columns.flatMap((column, i) => columnProblems(table, column, encoder.types[i] ?? ''));
  if (table.name !== EVENT_ENCODER.table) return problems;
  const stored = local?.description ?? table;
  const name = local === undefined ? table.name : `${local.database}.${local.table} ON CLUSTER '${local.cluster}'`;
  const missingOfLocal =
    local === undefined ? [] : [...ADDED_COLUMNS].flatMap(([column, type]) => missingColumn(local.description, name, column, type));
  return [...missingOfLocal, ...problems, ...settingsProblems(stored, name), ...projectionProblems(stored, name)];
}

function columnProblems(table: TableDescription, column: string, type: string): SchemaProblem[] {
  const missing = missingColumn(table, table.name, column, ADDED_COLUMNS.get(column) ?? type);
  const found = table.columns.find((candidate) => candidate.name === column);
  if (missing.length > 0 || found === undefined) return missing;
  if (found.defaultKind === 'MATERIALIZED' || found.defaultKind === 'ALIAS') {
    return [problem(`column ${table.name}.${column} is ${found.defaultKind}, so it cannot be written`)];
  }
  if (bytesLike(found.type) === bytesLike(type) || isEnumWith(found.type, type)) return [];
  return [problem(`column ${table.name}.${column} is ${found.type}; rows are written for ${type}`)];
}

function missingColumn(table: TableDescription, name: string, column: string, type: string): SchemaProblem[] {
  if (table.columns.some((candidate) => candidate.name === column)) return [];
  return [problem(`column ${name}.${column} is missing`, `ALTER TABLE ${name} ADD COLUMN IF NOT EXISTS ${column} ${type}`)];
}

function settingsProblems(table: TableDescription, name: string): SchemaProblem[] {
  const isReplicated = table.engine.startsWith('Replicated') || table.engine.startsWith('Shared');
  return Object.entries(EVENT_SETTINGS).flatMap(([setting, value]) => {
    const isWindow = setting === 'non_replicated_deduplication_window';
    if (isWindow && isReplicated) return []; // its own window is on by default
    const set = new RegExp(`\\b${setting} = ([^,)\\s]+)`).exec(table.engineFull)?.[1];
    if (isWindow ? Number(set ?? 0) >= DEDUPLICATION_WINDOW : set === value) return [];
    const why = isWindow ? 'a second copy of a block in flight would not be noticed' : 'the projection of stored offsets needs it';
    return [
      problem(`table ${name} lacks the setting ${setting} = ${value}: ${why}`, `ALTER TABLE ${name} MODIFY SETTING ${setting} = ${value}`),
    ];
  });
}

function projectionProblems(table: TableDescription, name: string): SchemaProblem[] {
  if (/GROUP BY\s+_topic,\s*_partition,\s*_offset/.test(table.createQuery)) return [];
  const statement = `ALTER TABLE ${name} ADD PROJECTION IF NOT EXISTS ${PROJECTION} (${PROJECTION_QUERY})`;
  const message = `table ${name} lacks a projection of stored offsets: each takeover of a partition reads three columns of the whole table`;
  return [{ ...problem(message, statement), isBearable: true }];
}

function problem(message: string, statement?: string): SchemaProblem {
  return { message, statement, isBearable: false };
}

/** Types whose values are the same bytes in RowBinary have the same text here. */
function bytesLike(type: string): string {
  return type
    .replace(/^LowCardinality\((.*)\)$/, '$1')
    .replace(/^SimpleAggregateFunction\(\w+, (.*)\)$/, '$1')
    .replace(/^(DateTime64\(\d)(?:, '[^']*')?\)$/, '$1)')
    .replace(/^DateTime\('[^']*'\)$/, 'DateTime')
    .replace(/^UInt(8|64)$/, 'Int$1') // what we write is never negative, nor above 2^53
    .replace(/^Bool$/, 'Int8');
}

/** An enum may know more values than we write, if those that we do have our numbers. */
function isEnumWith(found: string, needed: string): boolean {
  const values = needed.match(/'\w+' = \d+/g);
  return found.startsWith('Enum8(') && values !== null && values.every((value) => found.includes(value));
}
