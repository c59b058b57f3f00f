import type { PostgresClient, Statement } from './client.ts';
import { PostgresError } from './port.ts';
import { type Table, TABLES } from './schema.ts';

/** One thing about an existing table that Troupe cannot work with. */
export interface SchemaProblem {
  readonly table: string;
  readonly column: string | undefined;
  /** What is wrong, what is expected, and what to do. */
  readonly message: string;
}

/**
 * Makes the tables that are absent (unless `create` is 'never') and checks all of them, column by column. Run at start.
 * Several processes may do it at once: the making is guarded by a lock. Existing tables are never changed.
 * @throws PostgresError 'misconfigured' that lists every problem found.
 */
export async function ensureSchema(client: PostgresClient, options: { readonly create: 'missing-tables' | 'never' }): Promise<void> {
  if (options.create === 'missing-tables') {
    const present = await tablesPresent(client);
    const absent = TABLES.filter((table) => !present.has(table.name));
    if (absent.length > 0) await client.script('create-tables', createTables(absent));
  }
  const problems = await schemaProblems(client);
  if (problems.length === 0) return;
  const list = problems.map((problem) => `\n  - ${problem.message}`).join('');
  throw new PostgresError('misconfigured', `The database does not have the tables that Troupe needs:${list}`);
}

/** Everything that {@link ensureSchema} would complain about; empty when the tables will do. */
export async function schemaProblems(client: PostgresClient): Promise<readonly SchemaProblem[]> {
  const columns = await client.run<ColumnRow>(readColumns, [tableNames]);
  const uniques = await client.run<UniqueRow>(readUniqueIndexes, [tableNames]);
  return TABLES.flatMap((table) => problemsOf(table, columns, uniques));
}

interface ColumnRow {
  readonly [key: string]: unknown;
  readonly table: string;
  readonly column: string;
  readonly type: string;
  /** An insert must give a value: not null, no default, no identity, not generated. */
  readonly isMandatory: boolean;
}
interface UniqueRow {
  readonly [key: string]: unknown;
  readonly table: string;
  readonly columns: readonly string[];
}

const tableNames = `{${TABLES.map((table) => table.name).join(',')}}`;

// to_regclass follows the search_path, as the statements will.
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
    SELECT t.name AS "table", array_agg(a.attname::text) AS "columns"
    FROM unnest($1::text[]) AS t(name)
    JOIN pg_index i ON i.indrelid = to_regclass(quote_ident(t.name)) AND i.indisunique AND i.indpred IS NULL AND i.indisvalid
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    GROUP BY t.name, i.indexrelid`,
};

function problemsOf(table: Table, allColumns: readonly ColumnRow[], allUniques: readonly UniqueRow[]): SchemaProblem[] {
  const present = allColumns.filter((row) => row.table === table.name);
  const problem = (column: string | undefined, message: string): SchemaProblem => ({ table: table.name, column, message });
  if (present.length === 0) {
    return [
      problem(
        undefined,
        `Table "${table.name}" does not exist. Point DATABASE_URL at PostHog's database, run PostHog's migrations, or let Troupe create the tables.`,
      ),
    ];
  }
  const problems: SchemaProblem[] = [];
  for (const [name, { accepts, ddl }] of Object.entries(table.columns)) {
    if (accepts === undefined) continue;
    const found = present.find((row) => row.column === name);
    const remedy = "Run PostHog's migrations up to October 2024 or later (Django migration 0483).";
    if (found === undefined) problems.push(problem(name, `Table "${table.name}" has no column "${name}" (expected: ${ddl}). ${remedy}`));
    else if (!accepts.includes(found.type)) {
      problems.push(
        problem(name, `Column "${name}" of table "${table.name}" has type ${found.type}, expected ${accepts.join(' or ')}. ${remedy}`),
      );
    }
  }
  const given = new Set([...Object.keys(table.columns), ...(table.alsoFills ?? [])]);
  for (const { column, isMandatory } of table.isInserted ? present : []) {
    if (!isMandatory || given.has(column)) continue;
    problems.push(
      problem(
        column,
        `Table "${table.name}" has a column "${column}" that is NOT NULL without a default, and Troupe does not fill it. ` +
          `Give it a default: ALTER TABLE ${table.name} ALTER COLUMN "${column}" SET DEFAULT ...;`,
      ),
    );
  }
  for (const columns of table.unique) {
    const isThere = allUniques.some(
      (row) => row.table === table.name && row.columns.length === columns.length && columns.every((name) => row.columns.includes(name)),
    );
    if (isThere) continue;
    const list = columns.join(', ');
    problems.push(
      problem(
        undefined,
        `Table "${table.name}" has no unique index on (${list}). Add one: CREATE UNIQUE INDEX CONCURRENTLY ON ${table.name} (${list});`,
      ),
    );
  }
  return problems;
}

async function tablesPresent(client: PostgresClient): Promise<ReadonlySet<string>> {
  const rows = await client.run<ColumnRow>(readColumns, [tableNames]);
  return new Set(rows.map((row) => row.table));
}

/** IF NOT EXISTS, and after a lock: another process may be at the same place. The number is arbitrary and ours. */
function createTables(absent: readonly Table[]): string {
  return ['SELECT pg_advisory_xact_lock(7206873)', ...absent.flatMap(createTable)].join(';\n');
}

function createTable(table: Table): string[] {
  const columns = Object.entries(table.columns).map(([name, { ddl }]) => `"${name}" ${ddl}`);
  const uniques = (table.constraints ?? []).length > 0 ? [] : table.unique.map((names) => `UNIQUE (${names.join(', ')})`);
  const body = [...columns, ...uniques, ...(table.constraints ?? [])].join(',\n  ');
  const storage = table.storage === undefined ? '' : ` WITH (${table.storage})`;
  const indexes = (table.indexes ?? []).map((index) => index.replace('CREATE INDEX', 'CREATE INDEX IF NOT EXISTS'));
  return [`CREATE TABLE IF NOT EXISTS ${table.name} (\n  ${body}\n)${storage}`, ...indexes];
}
