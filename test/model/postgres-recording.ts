/**
 * What a real PostgreSQL has been, commit by commit, from triggers that note every row that changes:
 *
 *     model_changes   seq │ transaction │ when │ by whom │ table │ operation │ row
 *
 * A transaction stands where its last change stands. That is an order in which the commits may have happened: who changes a row holds
 * its lock until it commits, so of two transactions that changed one row the later one's last change has the higher number; and of two
 * that share no row, nobody can tell. What was rolled back has taken its notes with it.
 */
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { canonical } from './canonical.ts';
import type { Commit, State, StoredMapping, StoredPerson } from './recording.ts';

const PERSON = 'posthog_person';
const MAPPING = 'posthog_persondistinctid';
const PERSONLESS = 'posthog_personlessdistinctid';
const COHORTS = 'posthog_cohortpeople';
const FLAGS = 'posthog_featureflaghashkeyoverride';
const TABLES = [PERSON, MAPPING, PERSONLESS, COHORTS, FLAGS];

/** Name of the connections of whoever is not Troupe. */
export const RIVAL = 'rival';

const DDL = `
  CREATE TABLE model_changes (
    seq bigserial PRIMARY KEY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at_ms float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) * 1000,
    by_whom text NOT NULL DEFAULT current_setting('application_name'),
    table_name text NOT NULL, operation text NOT NULL, content jsonb NOT NULL
  );
  CREATE FUNCTION model_note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO model_changes (table_name, operation, content)
      VALUES (TG_TABLE_NAME, TG_OP, CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END);
      RETURN NULL;
    END $$;
  ${TABLES.map((table) => `CREATE TRIGGER model_note AFTER INSERT OR UPDATE OR DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION model_note();`).join('\n')}`;

/** Begins to note. The tables must be there. */
export async function recordPostgres(client: PostgresClient): Promise<void> {
  await client.script('model-record', DDL);
}

/** Empties the tables and forgets what was noted. */
export async function forgetAll(client: PostgresClient): Promise<void> {
  await client.script('model-forget', `TRUNCATE ${TABLES.join(', ')}, model_changes`);
}

interface Change {
  readonly [key: string]: unknown;
  readonly transaction: string;
  readonly atMs: number;
  readonly byWhom: string;
  readonly table: string;
  readonly operation: string;
  readonly content: Readonly<Record<string, unknown>>;
}
const readChanges: Statement = {
  name: 'model-read',
  text: `
    SELECT transaction::text, max(at_ms) OVER of_transaction AS "atMs", by_whom AS "byWhom", table_name AS "table", operation, content
    FROM model_changes
    WINDOW of_transaction AS (PARTITION BY transaction)
    ORDER BY max(seq) OVER of_transaction, seq`,
};

/** All commits since {@link forgetAll}, the empty state first; times in ms since `startMs` of the epoch. */
export async function readCommits(client: PostgresClient, startMs: number): Promise<readonly Commit[]> {
  const tables = new Tables();
  const commits: Commit[] = [{ atMs: 0, by: 'troupe', state: tables.state() }];
  const changes = await client.run<Change>(readChanges, []);
  for (const [index, change] of changes.entries()) {
    tables.take(change);
    if (changes[index + 1]?.transaction === change.transaction) continue;
    commits.push({ atMs: change.atMs - startMs, by: change.byWhom === RIVAL ? 'rival' : 'troupe', state: tables.state() });
  }
  return commits;
}

const readRows: Statement = {
  name: 'model-rows',
  text: TABLES.map((table) => `SELECT '${table}' AS "table", 'INSERT' AS operation, to_jsonb(t) AS content FROM ${table} t`).join(
    ' UNION ALL ',
  ),
};

/** What the tables hold now, by themselves: the last commit must be this, or the notes are not worth a thing. */
export async function readState(client: PostgresClient): Promise<State> {
  const tables = new Tables();
  for (const row of await client.run<Change>(readRows, [])) tables.take(row);
  return tables.state();
}

/** The tables as they were after some changes. What has not changed is the same object in the next state. */
class Tables {
  readonly #rows = new Map(TABLES.map((table) => [table, new Map<string, Change['content']>()]));
  #last: State = { persons: new Map(), mappings: new Map(), personless: new Map() };

  take({ table, operation, content }: Change): void {
    const rows = this.#of(table);
    if (operation === 'DELETE') rows.delete(String(content['id']));
    else rows.set(String(content['id']), content);
  }

  state(): State {
    const before = this.#last;
    const cohorts = Map.groupBy(this.#of(COHORTS).values(), (row) => String(row['person_id']));
    const flags = Map.groupBy(this.#of(FLAGS).values(), (row) => String(row['person_id']));
    const persons = new Map<string, StoredPerson>();
    for (const [rowId, row] of this.#of(PERSON)) {
      const person: StoredPerson = {
        rowId,
        team: Number(row['team_id']),
        uuid: String(row['uuid']),
        createdAtMs: Date.parse(String(row['created_at'])),
        properties: canonical(row['properties']),
        isIdentified: row['is_identified'] === true,
        version: Number(row['version'] ?? 0),
        cohorts: (cohorts.get(rowId) ?? []).map((one) => Number(one['cohort_id'])).sort((a, b) => a - b),
        flags: canonical(Object.fromEntries((flags.get(rowId) ?? []).map((one) => [one['feature_flag_key'], one['hash_key']]))),
      };
      persons.set(rowId, same(before.persons.get(rowId), person));
    }
    const mappings = new Map<string, StoredMapping>();
    for (const row of this.#of(MAPPING).values()) {
      const mapping = { rowId: String(row['person_id']), version: Number(row['version'] ?? 0) };
      mappings.set(keyOf(row), same(before.mappings.get(keyOf(row)), mapping));
    }
    const personless = new Map([...this.#of(PERSONLESS).values()].map((row) => [keyOf(row), row['is_merged'] === true]));
    return (this.#last = { persons, mappings, personless });
  }

  #of(table: string): Map<string, Change['content']> {
    const rows = this.#rows.get(table);
    if (rows === undefined) throw new RangeError(`${table} is not recorded`);
    return rows;
  }
}

const keyOf = (row: Change['content']): string => `${Number(row['team_id'])}:${String(row['distinct_id'])}`;
const same = <Kept>(known: Kept | undefined, now: Kept): Kept =>
  known !== undefined && JSON.stringify(known) === JSON.stringify(now) ? known : now;
