import type { ClickHouse } from '../../src/clickhouse/port.ts';

interface Comparison {
  /** Columns that may differ between two outputs of the same records, each with the reason; all others must be equal. */
  readonly mayDiffer: Readonly<Record<string, string>>;
  /** What is read in place of a column that holds a name given at random. */
  readonly instead?: Readonly<Record<string, string>>;
  /** Columns of JSON whose keys may come in another order. */
  readonly inAnyOrder?: readonly string[];
  /** False where rows are never replaced. @defaultValue true */
  readonly isFinal?: boolean;
}

const WALL_CLOCK = 'when the process that made the row made it';
const AT_RANDOM = 'given at random to each row';
/** On every table, where it is there. */
const PLACE: Readonly<Record<string, string>> = {
  _timestamp: 'of the input record, or of the output record',
  _offset: 'of the input record, or of the output record',
  _partition: 'of the input record, or of the output record',
  _topic: 'of the input record, or of the output record',
  inserted_at: 'when ClickHouse took it',
};
const ONE_PROCESS = "replaceRegexpAll(message, 'instance ID [0-9a-f-]{36}', 'instance ID')";

/** Every table of section 4 that Troupe writes. `app_metrics2`, `log_entries` and the replay's are other programs' of PostHog. */
export const COMPARISONS: Readonly<Record<string, Comparison>> = {
  events: { mayDiffer: { created_at: WALL_CLOCK } },
  // A row that is told again is written from PostgreSQL, which has an order of its own for keys.
  person: { mayDiffer: {}, inAnyOrder: ['properties'] },
  person_distinct_id2: { mayDiffer: {} },
  person_distinct_id_overrides: { mayDiffer: {} },
  groups: { mayDiffer: {} },
  ingestion_warnings: { mayDiffer: { timestamp: WALL_CLOCK }, isFinal: false },
  heatmaps: { mayDiffer: {}, isFinal: false },
  events_dead_letter_queue: {
    mayDiffer: { id: 'made of the place of the input record', created_at: WALL_CLOCK, error_timestamp: WALL_CLOCK },
  },
  app_metrics: {
    mayDiffer: { timestamp: WALL_CLOCK, error_uuid: AT_RANDOM },
    // How many runs one row counts is a matter of the flush.
    instead: { successes: 'sum(successes)', successes_on_retry: 'sum(successes_on_retry)', failures: 'sum(failures)' },
    isFinal: false,
  },
  plugin_log_entries: {
    mayDiffer: { id: AT_RANDOM, instance_id: 'of the process', timestamp: WALL_CLOCK },
    instead: { message: ONE_PROCESS },
  },
};

/** A run of one character stands as its length: what differs beside it can be read then. */
const legible = (text: string): string => text.replaceAll(/(.)\1{99,}/g, (run, character: string) => `${character}×${run.length}`);

const sorted = (json: string): unknown => Object.entries(JSON.parse(json) as object).sort(([a], [b]) => (a < b ? -1 : 1));

/** The rows of a table as JSON, sorted, without the columns that may differ. */
export async function comparableRows(rows: ClickHouse, table: string): Promise<readonly string[]> {
  const { mayDiffer, instead = {}, inAnyOrder = [], isFinal = true } = COMPARISONS[table] ?? { mayDiffer: {} };
  const columns = await rows.query<{ name: string }>(
    'SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY name',
    { table },
  );
  const compared = columns.map(({ name }) => name).filter((name) => !(name in mayDiffer) && !(name in PLACE));
  if (compared.length === 0) throw new Error(`nothing of ${table} is compared`);
  const values = compared.map((name) => `${instead[name] ?? name} AS v_${name}`).join(', ');
  const found = await rows.query<Record<string, unknown>>(
    `SELECT ${values} FROM ${table} ${isFinal ? 'FINAL' : ''}${Object.values(instead).some((it) => it.startsWith('sum')) ? ' GROUP BY ALL' : ''}`,
  );
  for (const row of found) for (const column of inAnyOrder) row[`v_${column}`] = sorted(String(row[`v_${column}`]));
  return found.map((row) => legible(JSON.stringify(row))).sort();
}
