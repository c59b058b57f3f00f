import type { PostgresClient, Statement } from './client.ts';
import { TABLES } from './schema.ts';
import { type Column, isNeeded, type Table, type Uniqueness } from './table.ts';

/** One thing about the tables that Troupe cannot work with. */
export interface SchemaProblem {
  readonly table: string;
  readonly column: string | undefined;
  /** What is wrong and why it matters; one sentence without its full stop. */
  readonly message: string;
  /** What puts it right by adding; undefined when something of PostHog's would have to change. */
  readonly statements: readonly string[] | undefined;
  /** What a person can do when there is no statement. */
  readonly remedy: string;
}

/** The tables as they are: all that is asked of the catalogue. */
export interface SchemaFound {
  readonly columns: readonly ColumnRow[];
  readonly uniques: readonly UniqueRow[];
}
export interface ColumnRow {
  readonly [key: string]: unknown;
  readonly table: string;
  readonly column: string;
  readonly type: string;
  /** An insert must give a value: not null, no default, no identity, not generated. */
  readonly isMandatory: boolean;
}
export interface UniqueRow {
  readonly [key: string]: unknown;
  readonly table: string;
  readonly name: string;
  /** Columns and expressions of the index, as PostgreSQL prints them. */
  readonly columns: readonly string[];
  /** False for what a CREATE INDEX CONCURRENTLY that failed left behind: it promises nothing, and holds the name. */
  readonly isValid: boolean;
}

/** Reads what there is of {@link TABLES}, found as the statements will find them: by the search_path. */
export async function readSchema(client: PostgresClient): Promise<SchemaFound> {
  return {
    columns: await client.run<ColumnRow>(readColumns, [tableNames]),
    uniques: await client.run<UniqueRow>(readUniqueIndexes, [tableNames]),
  };
}

/** Everything that keeps Troupe from working with these tables, in the order in which the statements must run; empty when they will do. */
export function problemsOf({ columns, uniques }: SchemaFound): readonly SchemaProblem[] {
  return TABLES.filter(isNeeded).flatMap((table) => {
    const present = columns.filter((row) => row.table === table.name);
    if (present.length === 0) return [missingTable(table)];
    return [
      ...columnProblems(table, present),
      ...mandatoryColumns(table, present),
      ...uniqueProblems(
        table,
        present,
        uniques.filter((row) => row.table === table.name),
      ),
    ];
  });
}

/** CREATE of a table with all that belongs to it. */
export function createStatements(table: Table): readonly string[] {
  const columns = Object.entries(table.columns).map(([name, { ddl }]) => `"${name}" ${ddl}`);
  const uniques = (table.unique ?? []).filter(({ isIndex }) => isIndex !== true);
  const constraints = uniques.map(({ name, columns: of }) => `CONSTRAINT "${name}" UNIQUE (${of.join(', ')})`);
  const body = [...columns, ...constraints, ...(table.constraints ?? [])].join(',\n  ');
  const storage = table.storage === undefined ? '' : ` WITH (${table.storage})`;
  const indexes = (table.indexes ?? []).map((index) => index.replace('CREATE INDEX', 'CREATE INDEX IF NOT EXISTS'));
  const uniqueIndexes = (table.unique ?? []).filter(({ isIndex }) => isIndex).map((unique) => uniqueIndex(table, unique, ''));
  return [`CREATE TABLE IF NOT EXISTS ${table.name} (\n  ${body}\n)${storage}`, ...indexes, ...uniqueIndexes];
}

const PLACE = 'Point DATABASE_URL at the database of PostHog';
const PAST = 'the tables are older than those of October 2024: run the migrations of your PostHog';

function missingTable(table: Table): SchemaProblem {
  const message = `table ${table.name} does not exist`;
  return { table: table.name, column: undefined, message, statements: createStatements(table), remedy: PLACE };
}

function columnProblems(table: Table, present: readonly ColumnRow[]): SchemaProblem[] {
  return Object.entries(table.columns).flatMap(([name, column]) => {
    const found = present.find((row) => row.column === name);
    return column.need === undefined ? [] : columnProblem(table, { name, column, found });
  });
}

function columnProblem(
  table: Table,
  { name, column, found }: { readonly name: string; readonly column: Column; readonly found: ColumnRow | undefined },
): SchemaProblem[] {
  const { types, because } = column.need ?? { types: [], because: '' };
  if (found === undefined) {
    const message = `column ${table.name}.${name} is missing`;
    const statements = [`ALTER TABLE ${table.name} ADD COLUMN IF NOT EXISTS "${name}" ${column.ddl}`];
    return [{ table: table.name, column: name, message, statements, remedy: PAST }];
  }
  if (types.includes(found.type)) return [];
  const message = `column ${table.name}.${name} is ${found.type}, Troupe needs ${types.join(' or ')}, because ${because}`;
  return [{ table: table.name, column: name, message, statements: undefined, remedy: PAST }];
}

function mandatoryColumns(table: Table, present: readonly ColumnRow[]): SchemaProblem[] {
  if (!table.isInserted) return [];
  const filled = new Set([
    ...Object.entries(table.columns).flatMap(([name, { need }]) => (need === undefined ? [] : [name])),
    ...(table.alsoFills ?? []),
  ]);
  return present
    .filter(({ column, isMandatory }) => isMandatory && !filled.has(column))
    .map(({ column }) => ({
      table: table.name,
      column,
      message: `column ${table.name}.${column} is NOT NULL without a default, and Troupe, which inserts rows, does not know what to give it`,
      statements: undefined,
      remedy: `Give it a default: ALTER TABLE ${table.name} ALTER COLUMN "${column}" SET DEFAULT ...`,
    }));
}

function uniqueProblems(table: Table, present: readonly ColumnRow[], uniques: readonly UniqueRow[]): SchemaProblem[] {
  const hasIndex = (wanted: readonly string[]): boolean =>
    uniques.some(
      ({ columns, isValid }) =>
        isValid && columns.length === wanted.length && wanted.every((one) => columns.some((other) => plain(other) === plain(one))),
    );
  return (table.unique ?? []).flatMap((unique) => {
    if (hasIndex(unique.columns) || (unique.or !== undefined && hasIndex(unique.or))) return [];
    // In a database of projects the promise is per project, or a new project's first event would meet another one's row.
    const isOfProjects = unique.or !== undefined && present.some(({ column }) => column === 'project_id');
    const wanted = { ...unique, columns: isOfProjects ? (unique.or ?? []) : unique.columns };
    const list = wanted.columns.join(', ');
    return [
      {
        table: table.name,
        column: undefined,
        message: `table ${table.name} has no unique index on (${list}), by which two processes that insert the same row are told apart`,
        statements: [
          ...(uniques.some(({ name, isValid }) => name === unique.name && !isValid) ? [`DROP INDEX "${unique.name}"`] : []),
          uniqueIndex(table, wanted, 'CONCURRENTLY '),
        ],
        remedy: 'Remove the rows that are there twice, then run it again',
      },
    ];
  });
}

const uniqueIndex = (table: Table, { name, columns }: Uniqueness, how: '' | 'CONCURRENTLY '): string =>
  `CREATE UNIQUE INDEX ${how}IF NOT EXISTS "${name}" ON ${table.name} (${columns.join(', ')})`;

/** One text for an expression, however PostgreSQL prints it: `COALESCE(group_type_index::integer, '-1'::integer)`. */
const plain = (expression: string): string => expression.toLowerCase().replace(/::[a-z]+|['"()\s]/g, '');

const tableNames = `{${TABLES.map((table) => table.name).join(',')}}`;

const readColumns: Statement = {
  name: 'schema-columns',
  text: `
    SELECT t.name AS "table", a.attname::text AS "column", format_type(a.atttypid, NULL) AS "type",
           a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS "isMandatory"
    FROM unnest($1::text[]) AS t(name)
    JOIN pg_attribute a ON a.attrelid = to_regclass(quote_ident(t.name)) AND a.attnum > 0 AND NOT a.attisdropped`,
};
const readUniqueIndexes: Statement = {
  name: 'schema-unique-indexes',
  text: `
    SELECT t.name AS "table", c.relname::text AS "name", i.indisvalid AS "isValid",
           ARRAY(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) AS k) AS "columns"
    FROM unnest($1::text[]) AS t(name)
    JOIN pg_index i ON i.indrelid = to_regclass(quote_ident(t.name)) AND i.indisunique AND i.indpred IS NULL
    JOIN pg_class c ON c.oid = i.indexrelid`,
};
