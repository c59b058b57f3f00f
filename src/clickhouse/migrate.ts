import { state as stateFact } from '../observe/facts.ts';
import { ClickHouseError, type ClickHouse } from './port.ts';
import { localTableOf, schemaProblems, type SchemaProblem, type TableDescription } from './schema.ts';
import { CREATE_STATEMENTS } from './tables.ts';

export interface SchemaOptions {
  readonly database: string;
  /** Run the statements by which the tables that are there, and those missing beside them, become usable; otherwise they are only named. */
  readonly migrate: boolean;
}

/**
 * Sees to it that PostHog's tables are there and will do. A database without any of them gets them all. In any other, which may be a
 * PostHog's, nothing is changed unless `migrate` says so, and then only added: tables, columns, settings, a projection. What
 * Troupe can bear, at a cost, is stated as a warning with its cost.
 * @returns a line for each thing that was added
 * @throws ClickHouseError 'misconfigured', naming every thing that is wrong and the statement that would put it right
 */
export async function ensureClickHouseSchema(clickhouse: ClickHouse, options: SchemaOptions): Promise<readonly string[]> {
  const existing = await describeTables(clickhouse, options.database, [...CREATE_STATEMENTS.keys()]);
  const lines: string[] = [];
  if (existing.size === 0) {
    for (const statement of CREATE_STATEMENTS.values()) await clickhouse.command(statement);
    lines.push(`ClickHouse: made ${CREATE_STATEMENTS.size} tables in a database that had none of them`);
  }
  let problems = await problemsOf(clickhouse, options.database);
  if (options.migrate) {
    for (const { statement } of problems) {
      if (statement === undefined) continue;
      await clickhouse.command(statement);
      lines.push(`ClickHouse: ran ${flat(statement)}`);
    }
    problems = await problemsOf(clickhouse, options.database);
  }
  const grave = problems.filter((problem) => !problem.isBearable);
  if (grave.length > 0) {
    const wrong = grave.map(({ message, statement }) => `- ${message}${statement === undefined ? '' : `. Run: ${flat(statement)}`}`);
    throw new ClickHouseError(
      'misconfigured',
      `The ClickHouse tables cannot be used (--migrate runs what is named here):\n${wrong.join('\n')}`,
    );
  }
  for (const { message, statement } of problems) stateFact('log-written', { level: 'warn', message, fields: { statement } });
  return lines;
}

/** Makes the database where it is missing. `anywhere` is a client of one that is there. */
export async function ensureDatabase(anywhere: ClickHouse, database: string): Promise<void> {
  await anywhere.command(`CREATE DATABASE IF NOT EXISTS \`${database.replaceAll(/[\\`]/g, '\\$&')}\``);
}

const flat = (statement: string): string => statement.replace(/\s+/g, ' ');

async function problemsOf(clickhouse: ClickHouse, database: string): Promise<readonly SchemaProblem[]> {
  const tables = await describeTables(clickhouse, database, [...CREATE_STATEMENTS.keys()]);
  const problems: SchemaProblem[] = [];
  for (const [name, statement] of CREATE_STATEMENTS) {
    const table = tables.get(name);
    if (table === undefined) {
      problems.push({ message: `table ${name} does not exist`, statement, isBearable: false });
      continue;
    }
    const local = localTableOf(table);
    const description = local && (await describeTables(clickhouse, local.database, [local.table])).get(local.table);
    problems.push(...schemaProblems(table, local && description ? { ...local, description } : undefined));
  }
  return problems;
}

interface TableRow {
  readonly name: string;
  readonly engine: string;
  readonly engineFull: string;
  readonly createQuery: string;
}
interface ColumnRow {
  readonly table: string;
  readonly name: string;
  readonly type: string;
  readonly defaultKind: string;
}

async function describeTables(clickhouse: ClickHouse, database: string, names: readonly string[]): Promise<Map<string, TableDescription>> {
  const params = { database, names };
  const tables = await clickhouse.query<TableRow>(
    `SELECT name, engine, engine_full AS engineFull, create_table_query AS createQuery
     FROM system.tables WHERE database = {database:String} AND name IN {names:Array(String)}`,
    params,
  );
  const columns = await clickhouse.query<ColumnRow>(
    `SELECT table, name, type, default_kind AS defaultKind
     FROM system.columns WHERE database = {database:String} AND table IN {names:Array(String)} ORDER BY table, position`,
    params,
  );
  return new Map(tables.map((table) => [table.name, { ...table, columns: columns.filter((column) => column.table === table.name) }]));
}
