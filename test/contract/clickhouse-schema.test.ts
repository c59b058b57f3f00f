import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureClickHouseSchema } from '../../src/clickhouse/migrate.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { CREATE_STATEMENTS } from '../../src/clickhouse/tables.ts';
import { observe } from '../../src/observe/facts.ts';
import { eventRow, testSettlement } from '../kit/event-rows.ts';
import { POSTHOG_CLICKHOUSE } from '../kit/posthog-clickhouse.ts';
import { requireService } from '../services/availability.ts';
import { probeClickHouse, startClickHouse, type TestClickHouse } from '../services/clickhouse.ts';
import { blockOf } from './clickhouse.ts';

const engine = await requireService('ClickHouse engine', probeClickHouse);

describe.skipIf(!engine.available)('the tables of ClickHouse', () => {
  let server: TestClickHouse;
  let clickhouse: ClickHouse;
  beforeAll(async () => {
    server = await startClickHouse({ tables: false });
    clickhouse = server.client();
  });
  afterAll(() => server.stop());
  beforeEach(async () => {
    for (const name of CREATE_STATEMENTS.keys()) await clickhouse.command(`DROP TABLE IF EXISTS ${name} SYNC`);
  });

  const ensure = (migrate = false): Promise<readonly string[]> => ensureClickHouseSchema(clickhouse, { database: 'default', migrate });

  const complaint = (): Promise<string> =>
    ensure().then(
      () => '',
      (error: Error) => error.message,
    );
  const createPostHog = async (): Promise<void> => {
    for (const statement of POSTHOG_CLICKHOUSE.values()) await clickhouse.command(statement);
  };
  /** All that a migration could change. */
  const everything = (): Promise<readonly { readonly name: string; readonly statement: string }[]> =>
    clickhouse.query("SELECT name, create_table_query AS statement FROM system.tables WHERE database = 'default' ORDER BY name");

  it('are made in a database that has none, and pass their own check ever after', async () => {
    expect(await ensure()).toEqual([`ClickHouse: made ${CREATE_STATEMENTS.size} tables in a database that had none of them`]);
    expect(await ensure()).toEqual([]);
    expect(await ensure(true)).toEqual([]);
    const names = await clickhouse.query<{ name: string }>("SELECT name FROM system.tables WHERE database = 'default' ORDER BY name");
    expect(names.map(({ name }) => name)).toEqual([...CREATE_STATEMENTS.keys()].sort());
  });

  it('of PostHog lack two columns, three settings and a projection: the message names each and its ALTER, and nothing is altered', async () => {
    await createPostHog();
    const before = await everything();
    await expect(ensure()).rejects.toMatchObject({ kind: 'misconfigured' });
    const [head, ...lines] = (await complaint()).split('\n');
    expect(head).toBe('The ClickHouse tables cannot be used (--migrate runs what is named here):');
    expect(lines).toEqual([
      '- column events._topic is missing. Run: ALTER TABLE events ADD COLUMN IF NOT EXISTS _topic LowCardinality(String)',
      '- column events._partition is missing. Run: ALTER TABLE events ADD COLUMN IF NOT EXISTS _partition UInt64',
      ...['deduplicate_merge_projection_mode', 'lightweight_mutation_projection_mode', 'non_replicated_deduplication_window'].map(
        (setting) => expect.stringContaining(`ALTER TABLE events MODIFY SETTING ${setting} = `) as unknown,
      ),
    ]);
    expect(await everything()).toEqual(before);
  });

  it('of PostHog are put right by --migrate, which says each statement and leaves rows and other tables alone', async () => {
    await createPostHog();
    await clickhouse.command("INSERT INTO events (uuid, event, team_id, timestamp) VALUES (generateUUIDv4(), 'old', 1, '2026-01-01')");
    const before = await everything();
    const lines = await ensure(true);
    expect(
      lines.map((line) => line.replace(/^ClickHouse: ran ALTER TABLE events (ADD|MODIFY) (\w+) (IF NOT EXISTS )?(\w+).*/, '$2 $4')),
    ).toEqual([
      'COLUMN _topic',
      'COLUMN _partition',
      'SETTING deduplicate_merge_projection_mode',
      'SETTING lightweight_mutation_projection_mode',
      'SETTING non_replicated_deduplication_window',
      'PROJECTION _stored_offsets',
    ]);
    expect(await ensure(true)).toEqual([]);
    expect(await ensure()).toEqual([]);
    const others = (tables: readonly { readonly name: string }[]): unknown => tables.filter(({ name }) => name !== 'events');
    expect(others(await everything())).toEqual(others(before));

    const settlement = testSettlement('migrated');
    await clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, 3, { properties: '{"$group_0":"acme","$session_id":"s"}' })]));
    expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 3, to: 4 }]);
    expect(await clickhouse.query('SELECT event, `$group_0` AS g, `$session_id` AS s FROM events ORDER BY event')).toEqual([
      { event: '$pageview', g: 'acme', s: 's' },
      { event: 'old', g: '', s: '' },
    ]);
    const plan = await clickhouse.query<{ explain: string }>(
      "EXPLAIN SELECT _topic, _partition, _offset FROM events WHERE _topic = 'migrated' AND _partition = 0 AND _offset >= 0 GROUP BY _topic, _partition, _offset",
    );
    expect(plan.map(({ explain }) => explain).join('\n')).toContain('_stored_offsets');
  });

  it('of PostHog that lack one: it is named, not made, and made by --migrate', async () => {
    await createPostHog();
    await ensure(true);
    for (const name of CREATE_STATEMENTS.keys()) {
      await clickhouse.command(`RENAME TABLE ${name} TO hidden`);
      expect(await complaint()).toContain(`- table ${name} does not exist. Run: CREATE TABLE IF NOT EXISTS ${name} (`);
      await clickhouse.command(`RENAME TABLE hidden TO ${name}`);
    }
    await clickhouse.command('DROP TABLE groups SYNC');
    expect(await ensure(true)).toEqual([expect.stringMatching(/^ClickHouse: ran CREATE TABLE IF NOT EXISTS groups \(/)]);
    expect(await ensure()).toEqual([]);
  });

  it('without the projection can be used, at a cost that is stated', async () => {
    await ensure();
    await clickhouse.command('ALTER TABLE events DROP PROJECTION _stored_offsets');
    const warnings: string[] = [];
    const stop = observe('log-written', ({ message }) => warnings.push(message));
    await ensure();
    stop();
    expect(warnings).toEqual([expect.stringContaining('lacks a projection of stored offsets')]);
  });

  it('with a column of another type are refused: binary rows would be stored as something else', async () => {
    await ensure();
    await clickhouse.command('DROP TABLE person SYNC');
    await clickhouse.command(
      'CREATE TABLE person (id UUID, created_at DateTime64(6), team_id Int32, properties String, is_identified Int8, is_deleted Int8, version UInt64, _timestamp DateTime) ENGINE = ReplacingMergeTree(version) ORDER BY (team_id, id)',
    );
    await expect(ensure(true)).rejects.toThrow(
      /column person\.created_at is DateTime64\(6\); rows are written for DateTime64\(3\)[\s\S]*column person\.team_id is Int32; rows are written for Int64/,
    );
  });

  it('with a column that computes itself are refused', async () => {
    await ensure();
    await clickhouse.command("ALTER TABLE ingestion_warnings MODIFY COLUMN details String MATERIALIZED 'x'");
    await expect(ensure()).rejects.toThrow('column ingestion_warnings.details is MATERIALIZED');
  });

  it('keep the offsets of rows that a merge has met, and forget those of rows that were deleted', async () => {
    await ensure();
    const settlement = testSettlement('merged');
    for (let offset = 0; offset < 4; offset++) await clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, offset)]));
    await clickhouse.command('OPTIMIZE TABLE events FINAL');
    expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 0, to: 4 }]);
    await clickhouse.command("DELETE FROM events WHERE _topic = 'merged' AND _offset = 1");
    expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([
      { from: 0, to: 1 },
      { from: 2, to: 4 },
    ]);
  });
});
