import type { PostgresClient } from './client.ts';
import { PostgresError } from './port.ts';
import { TABLES } from './schema.ts';
import { createStatements, problemsOf, readSchema, type SchemaProblem } from './schema-check.ts';

/** Everything that {@link ensureSchema} would complain about; empty when the tables will do. */
export async function schemaProblems(client: PostgresClient): Promise<readonly SchemaProblem[]> {
  return problemsOf(await readSchema(client));
}

/**
 * Sees to it that PostHog's tables are there and will do. Run at start; several processes may run it at once.
 *
 * - A database without any of them gets them all, in PostHog's shape.
 * - In any other database, which may be a PostHog's, nothing is changed unless `migrate` says so, and then only added:
 *   tables, columns and unique indexes that are missing. What would have to be altered is left to a person.
 *
 * @param options.migrate also add what is missing to tables that are there
 * @returns a line for each thing that was added
 * @throws PostgresError 'misconfigured' that names everything that is wrong: table, column, reason and statement
 */
export async function ensureSchema(client: PostgresClient, options: { readonly migrate: boolean }): Promise<readonly string[]> {
  const found = await readSchema(client);
  if (found.columns.length === 0) {
    await createAll(client);
    return [`PostgreSQL: made ${TABLES.length} tables in a database that had none of them`];
  }
  const before = problemsOf(found);
  if (before.length === 0) return [];
  const failures = options.migrate ? await runStatements(client, before) : new Map<string, string>();
  const left = options.migrate ? await schemaProblems(client) : before;
  if (left.length > 0) throw new PostgresError('misconfigured', messageOf(left, failures));
  return before.flatMap(({ statements = [] }) => statements.map(lineOf));
}

/** All in one transaction, and after a lock: another process may be at the same place. The number is arbitrary and ours. */
async function createAll(client: PostgresClient): Promise<void> {
  await client.script('create-tables', ['SELECT pg_advisory_xact_lock(7206873)', ...TABLES.flatMap(createStatements)].join(';\n'));
}

/** Each by itself, since an index is built CONCURRENTLY outside of transactions. Resolves to the reason of each that failed. */
async function runStatements(client: PostgresClient, problems: readonly SchemaProblem[]): Promise<ReadonlyMap<string, string>> {
  const failures = new Map<string, string>();
  for (const { message, statements = [] } of problems) {
    try {
      for (const statement of statements) await client.script('migrate', statement);
    } catch (error) {
      // The tables decide, not this: what failed is found missing afterwards, and told with the reason.
      if (!(error instanceof PostgresError) || error.kind === 'unavailable') throw error;
      failures.set(message, error.message);
    }
  }
  return failures;
}

function messageOf(problems: readonly SchemaProblem[], failures: ReadonlyMap<string, string>): string {
  const lines = problems.map(({ message, statements, remedy }) => {
    const failure = failures.get(message);
    if (failure !== undefined) return `${message}, and cannot be added (${failure}). ${remedy}.`;
    return statements === undefined ? `${message}. ${remedy}.` : `${message}. Run: ${statements.map(flat).join('; ')};`;
  });
  const hint =
    problems.some(({ statements }) => statements !== undefined) && failures.size === 0 ? ' (--migrate runs what is named here)' : '';
  return `The PostgreSQL tables cannot be used${hint}:\n${lines.map((line) => `- ${line}`).join('\n')}`;
}

const lineOf = (statement: string): string => `PostgreSQL: ran ${flat(statement)}`;
const flat = (statement: string): string => statement.replace(/\s+/g, ' ');
