import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureClickHouseSchema } from '../../src/clickhouse/migrate.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { CREATE_STATEMENTS } from '../../src/clickhouse/tables.ts';
import { observe } from '../../src/observe/facts.ts';
import { eventRow, testSettlement } from '../kit/event-rows.ts';
import { requireService } from '../services/availability.ts';
import { probeClickHouse, startClickHouse, type TestClickHouse } from '../services/clickhouse.ts';
import { blockOf } from './clickhouse.ts';

const engine = await requireService('ClickHouse engine', probeClickHouse);

/** PostHog's table as spec/ingestion.md 4.1 has it, with one of its materialized columns. */
const POSTHOG_EVENTS = `CREATE TABLE events (
  uuid UUID, event VARCHAR, properties VARCHAR CODEC(ZSTD(3)), timestamp DateTime64(6, 'UTC'), team_id Int64,
  distinct_id VARCHAR, elements_chain VARCHAR, created_at DateTime64(6, 'UTC'), person_id UUID,
  person_created_at DateTime64(3), person_properties VARCHAR CODEC(ZSTD(3)), group0_properties VARCHAR CODEC(ZSTD(3)),
  group0_created_at DateTime64(3), person_mode Enum8('full' = 0, 'propertyless' = 1, 'force_upgrade' = 2),
  \`$group_0\` VARCHAR MATERIALIZED replaceRegexpAll(JSONExtractRaw(properties, '$group_0'), '^"|"$', ''),
  _timestamp DateTime, _offset UInt64, inserted_at Nullable(DateTime64(6, 'UTC')) DEFAULT now64()
) ENGINE = ReplacingMergeTree(_timestamp) PARTITION BY toYYYYMM(timestamp)
ORDER BY (team_id, toDate(timestamp), event, cityHash64(distinct_id), cityHash64(uuid)) SAMPLE BY cityHash64(distinct_id)`;

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

  const ensure = (migrate = false): Promise<void> => ensureClickHouseSchema(clickhouse, { database: 'default', migrate });

  it('are made where they are absent, and pass their own check ever after', async () => {
    await ensure();
    await ensure();
    const names = await clickhouse.query<{ name: string }>("SELECT name FROM system.tables WHERE database = 'default' ORDER BY name");
    expect(names.map(({ name }) => name)).toEqual([...CREATE_STATEMENTS.keys()].sort());
  });

  it('of PostHog lack three columns and some settings: the message names each and its ALTER, and nothing is altered', async () => {
    await clickhouse.command(POSTHOG_EVENTS);
    await expect(ensure()).rejects.toMatchObject({ kind: 'misconfigured' });
    const message = await ensure().then(
      () => '',
      (error: Error) => error.message,
    );
    expect(message).toContain(
      'column events._topic is missing. Run: ALTER TABLE events ADD COLUMN IF NOT EXISTS _topic LowCardinality(String)',
    );
    expect(message).toContain('ALTER TABLE events ADD COLUMN IF NOT EXISTS _partition UInt64');
    expect(message).toContain('ALTER TABLE events MODIFY SETTING non_replicated_deduplication_window = 10000');
    expect(message).not.toContain('_offset UInt64');
    const columns = await clickhouse.query("SELECT name FROM system.columns WHERE table = 'events' AND name = '_topic'");
    expect(columns).toEqual([]);
  });

  it('of PostHog are put right by --migrate with their rows kept, and then take blocks and answer from the projection', async () => {
    await clickhouse.command(POSTHOG_EVENTS);
    await clickhouse.command("INSERT INTO events (uuid, event, team_id, timestamp) VALUES (generateUUIDv4(), 'old', 1, '2026-01-01')");
    await ensure(true);
    await ensure();
    const settlement = testSettlement('migrated');
    await clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, 3, { properties: '{"$group_0":"acme"}' })]));
    expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 3, to: 4 }]);
    expect(await clickhouse.query('SELECT event, `$group_0` AS g FROM events ORDER BY event')).toEqual([
      { event: '$pageview', g: 'acme' },
      { event: 'old', g: '' },
    ]);
    const plan = await clickhouse.query<{ explain: string }>(
      "EXPLAIN SELECT _topic, _partition, _offset FROM events WHERE _topic = 'migrated' AND _partition = 0 AND _offset >= 0 GROUP BY _topic, _partition, _offset",
    );
    expect(plan.map(({ explain }) => explain).join('\n')).toContain('_stored_offsets');
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
