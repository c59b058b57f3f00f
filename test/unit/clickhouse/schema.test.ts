import { describe, expect, it } from 'vitest';
import { ENCODERS } from '../../../src/clickhouse/rows.ts';
import { localTableOf, schemaProblems, type TableDescription } from '../../../src/clickhouse/schema.ts';
import { CREATE_STATEMENTS } from '../../../src/clickhouse/tables.ts';

const SETTINGS =
  "SETTINGS deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild', non_replicated_deduplication_window = 10000";
/** As the server writes types that rows.ts writes shorter. */
const LONG_TYPES: Readonly<Record<string, string>> = { 'DateTime64(6)': "DateTime64(6, 'UTC')" };

function described(name: string, parts: Partial<TableDescription> = {}): TableDescription {
  const encoder = ENCODERS.find((candidate) => candidate.table === name);
  if (encoder === undefined) throw new Error(name);
  return {
    name,
    engine: 'ReplacingMergeTree',
    engineFull: `ReplacingMergeTree(_timestamp) ORDER BY x ${SETTINGS}`,
    createQuery: 'PROJECTION p (SELECT _topic, _partition, _offset GROUP BY _topic, _partition, _offset)',
    columns: encoder.columns.map((column, i) => ({
      name: column,
      type: LONG_TYPES[encoder.types[i] ?? ''] ?? encoder.types[i] ?? '',
      defaultKind: '',
    })),
    ...parts,
  };
}
const withType = (table: TableDescription, column: string, type: string): TableDescription => ({
  ...table,
  columns: table.columns.map((one) => (one.name === column ? { ...one, type } : one)),
});

describe('the check of tables', () => {
  it('makes every table that rows are written to', () => {
    expect([...CREATE_STATEMENTS.keys()].sort()).toEqual(ENCODERS.map(({ table }) => table).sort());
  });

  it('accepts types whose values are the same bytes', () => {
    const events = described('events');
    expect(schemaProblems(events)).toEqual([]);
    expect(schemaProblems(withType(events, 'event', 'LowCardinality(String)'))).toEqual([]);
    expect(schemaProblems(withType(events, '_timestamp', "DateTime('Europe/Berlin')"))).toEqual([]);
    expect(
      schemaProblems(withType(events, 'person_mode', "Enum8('full' = 0, 'propertyless' = 1, 'force_upgrade' = 2, 'new' = 3)")),
    ).toEqual([]);
    expect(schemaProblems(withType(described('person'), 'is_deleted', 'Bool'))).toEqual([]);
  });

  it.each([
    ['timestamp', 'DateTime64(3)'],
    ['timestamp', 'DateTime'],
    ['team_id', 'Int32'],
    ['distinct_id', 'Nullable(String)'],
    ['uuid', 'String'],
    ['person_mode', "Enum8('propertyless' = 0, 'full' = 1, 'force_upgrade' = 2)"],
    ['_offset', 'UInt32'],
  ])('refuses %s as %s, and offers no statement that would change data', (column, type) => {
    const problems = schemaProblems(withType(described('events'), column, type));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ isBearable: false, statement: undefined });
    expect(problems[0]?.message).toContain(`column events.${column} is ${type}`);
  });

  it('asks no window of a replicated table: it has its own', () => {
    const replicated = described('events', {
      engine: 'ReplicatedReplacingMergeTree',
      engineFull: `ReplicatedReplacingMergeTree('/p', '{replica}', _timestamp) ORDER BY x ${SETTINGS.replace(/, non_rep.*/, '')}`,
    });
    expect(schemaProblems(replicated)).toEqual([]);
  });

  it('asks for a window that is long enough', () => {
    const short = described('events', { engineFull: `ReplacingMergeTree ${SETTINGS.replace('10000', '100')}` });
    expect(schemaProblems(short)).toMatchObject([
      { statement: 'ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 10000', isBearable: false },
    ]);
  });

  it('looks behind a Distributed table: columns on both, settings and projection where the rows are', () => {
    const distributed = described('events', {
      engine: 'Distributed',
      engineFull: "Distributed('posthog', 'posthog', 'sharded_events', sipHash64(distinct_id))",
      createQuery: '',
    });
    const local = localTableOf(distributed);
    expect(local).toEqual({ cluster: 'posthog', database: 'posthog', table: 'sharded_events' });
    if (local === undefined) return;
    const without = (table: TableDescription): TableDescription => ({
      ...table,
      columns: table.columns.filter(({ name }) => name !== '_topic'),
    });
    const sharded = described('events', {
      engine: 'ReplicatedReplacingMergeTree',
      engineFull: "ReplicatedReplacingMergeTree('/p', '{replica}', _timestamp)",
      createQuery: '',
    });
    const problems = schemaProblems(without(distributed), { ...local, description: without(sharded) });
    expect(problems.map(({ statement }) => statement)).toEqual([
      "ALTER TABLE posthog.sharded_events ON CLUSTER 'posthog' ADD COLUMN IF NOT EXISTS _topic LowCardinality(String)",
      'ALTER TABLE events ADD COLUMN IF NOT EXISTS _topic LowCardinality(String)',
      "ALTER TABLE posthog.sharded_events ON CLUSTER 'posthog' MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'",
      "ALTER TABLE posthog.sharded_events ON CLUSTER 'posthog' MODIFY SETTING lightweight_mutation_projection_mode = 'rebuild'",
      "ALTER TABLE posthog.sharded_events ON CLUSTER 'posthog' ADD PROJECTION IF NOT EXISTS _stored_offsets (SELECT _topic, _partition, _offset GROUP BY _topic, _partition, _offset)",
    ]);
  });

  it('knows nothing of other tables', () => {
    expect(schemaProblems({ name: 'cohort', engine: '', engineFull: '', createQuery: '', columns: [] })).toEqual([]);
  });
});
