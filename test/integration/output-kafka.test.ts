import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TeamId } from '../../src/domain/ids.ts';
import { createPostgresClient, type PostgresClient } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { seedPlugin, seedTeam } from '../../src/postgres/seed.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import type { KafkaRecord } from '../../src/kafka/port.ts';
import { outputTopics } from '../../src/domain/output-topics.ts';
import { WARNING_RULES } from '../../src/domain/warnings.ts';
import { startLoad } from '../fault/load.ts';
import { everyRow, PLUGIN_FILES, STRICT_TEAM, TOKENS, type Sent } from '../kit/every-row.ts';
import { eventRecord } from '../kit/records.ts';
import { createEngineTables, createOutputTopics, type EngineTables } from '../services/kafka-engine.ts';
import { OUTPUT_FIELDS } from '../kit/output-fields.ts';
import { readTopic } from '../services/read-topic.ts';
import { WARNINGS_4_5 } from '../kit/warning-table.ts';
import { comparableRows, COMPARISONS } from '../services/same-rows.ts';
import {
  DEAD_LETTERS,
  drained,
  INPUTS,
  PARTITIONS,
  requireSurroundings,
  startSurroundings,
  TOPIC,
  until,
  type Surroundings,
} from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = TOKENS.plain;
const LIMIT_MS = 60_000;
/** KAFKA_PREFIX of the process with output kafka: its input topics, groups and output topics are its own. */
const PREFIX = 'other_';
const PREFIXED = INPUTS.map(({ topic, group }) => ({ topic: PREFIX + topic, group: PREFIX + group }));

/** Rows of everyRow in each table. */
const EXPECTED_COUNTS = {
  events: 72,
  person: 36,
  person_distinct_id2: 39,
  person_distinct_id_overrides: 5,
  groups: 1,
  ingestion_warnings: Object.keys(WARNING_RULES).length, // without one type, and one that is never debounced twice
  heatmaps: 4,
  events_dead_letter_queue: 3,
  app_metrics: 2,
  plugin_log_entries: 2 + 1 + 6 * 5 + 2,
};

const here = await requireSurroundings();

/**
 * The same records to two Troupes: one inserts into ClickHouse, one produces PostHog's topics, which ClickHouse itself reads with its Kafka
 * engine. Each has topics, a PostgreSQL database and a Redis database of its own, so that neither sees what the other did.
 */
describe.skipIf(!here.available)('output kafka, beside output clickhouse', () => {
  let surroundings: Surroundings;
  let engine: EngineTables;
  let otherSql: PostgresClient;
  let direct: TroupeProcess;
  let throughKafka: TroupeProcess;
  let kafkaEnv: Record<string, string>;
  let team: TeamId;
  /** With their partitions, before anything was written. */
  let topicsAtStart: ReadonlyMap<string, number>;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    const { sql, postgres, env } = surroundings;
    await sql.run({ name: 'test-create-database', text: 'CREATE DATABASE other' }, []);
    const other = postgres.connectionString.replace(/\/\w+\?/, '/other?');
    expect(other).not.toBe(postgres.connectionString);
    otherSql = createPostgresClient({ connectionString: other, clock: systemClock, random: systemRandom });
    await ensureSchema(otherSql, { migrate: false });
    team = await seed(sql);
    expect(await seed(otherSql)).toBe(team);
    for (const { topic } of INPUTS.slice(1)) await surroundings.admin.ensureTopics([{ topic, partitions: PARTITIONS }]);
    for (const { topic } of PREFIXED) await surroundings.admin.ensureTopics([{ topic, partitions: PARTITIONS }]);
    // The others are made by Troupe.
    await createOutputTopics(surroundings, PREFIX, 3, ['events', 'person', 'person_distinct_id2', 'groups']);
    const ours = { ...env, PLUGINS_DEFAULT_LOG_LEVEL: '0', APP_METRICS_FLUSH_FREQUENCY_MS: '200' };
    kafkaEnv = Object.fromEntries(Object.entries(ours).filter(([name]) => !name.startsWith('CLICKHOUSE_')));
    Object.assign(kafkaEnv, {
      TROUPE_OUTPUT: 'kafka',
      DATABASE_URL: other.replace('@/', '@localhost/'),
      REDIS_URL: `${env['REDIS_URL']}/1`,
      KAFKA_PREFIX: PREFIX,
    });
    [direct, throughKafka] = await Promise.all([startTroupe({ env: ours }), startTroupe({ env: kafkaEnv })]);
    topicsAtStart = await surroundings.admin.describeTopics(Object.values(outputTopics({ prefix: PREFIX })));
    engine = await createEngineTables(surroundings, { database: 'posthog', prefix: PREFIX });
  });
  afterAll(async () => {
    await Promise.all([direct?.kill(), throughKafka?.kill()]);
    await otherSql?.close();
    await surroundings?.stop();
  });

  /** The teams of everyRow; resolves to the plain one. */
  async function seed(sql: PostgresClient): Promise<TeamId> {
    const plain = await seedTeam(sql, { token: TOKENS.plain });
    const strict = await seedTeam(sql, { token: TOKENS.strict });
    // A column that the newest PostHog has.
    await sql.run({ name: 'test-younger', text: 'ALTER TABLE posthog_team ADD COLUMN drop_events_older_than interval' }, []);
    await sql.run({ name: 'test-strict', text: `UPDATE posthog_team SET ${STRICT_TEAM} WHERE id = $1` }, [strict]);
    const teamId = await seedTeam(sql, { token: TOKENS.plugin });
    await seedPlugin(sql, { teamId, name: 'voices', files: PLUGIN_FILES });
    return plain;
  }
  /** What the process with output kafka has in a topic. */
  const readAll = (topic: string): Promise<readonly KafkaRecord[]> =>
    readTopic({ brokers: surroundings.kafka.brokers(), clientId: 'reader' }, surroundings.admin, PREFIX + topic, LIMIT_MS);
  const sendToBoth = async (step: readonly Sent[]): Promise<void> => {
    for (const { topic, record } of step) {
      await surroundings.producer.send(topic, [record]);
      await surroundings.producer.send(PREFIX + topic, [record]);
    }
    await drained(surroundings, LIMIT_MS, INPUTS);
    await drained(surroundings, LIMIT_MS, PREFIXED);
  };

  test('the process contacts no ClickHouse, is ready without one, and says so', async () => {
    expect(throughKafka.output()).toContain('ClickHouse is not contacted');
    const ready = await (await fetch(`${throughKafka.urls.operations}/_ready`)).text();
    expect(ready).not.toContain('clickhouse');
    expect(ready).toContain('postgres');
    const event = await (await fetch(`${throughKafka.urls.inspector}/inspect/event/${randomUUID()}`)).json();
    expect(event).toMatchObject({ outcome: 'unknown' });
    const kinds = (await (await fetch(`${throughKafka.urls.inspector}/inspect/kinds`)).json()) as { kind: string }[];
    expect(kinds.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['kafka-writer']));
    expect(kinds.map(({ kind }) => kind)).not.toContain('clickhouse-writer');
  });

  test('K-1, 1.1: output topics that were missing are made, under KAFKA_PREFIX; those that were there are left as they were', () => {
    expect([...topicsAtStart.keys()].sort()).toEqual(Object.values(outputTopics({ prefix: PREFIX })).sort());
    expect(topicsAtStart.get(`${PREFIX}clickhouse_events_json`)).toBe(3);
  });

  test('section 4: both outputs store the same rows, of every table, in every column that is not the time or the place of writing', async () => {
    const steps = everyRow();
    for (const step of steps) await sendToBoth(step);
    const all = async (rows: ClickHouse): Promise<Record<string, readonly string[]>> => {
      const tables = Object.keys(COMPARISONS);
      const found = await Promise.all(tables.map((table) => comparableRows(rows, table)));
      return Object.fromEntries(tables.map((table, n) => [table, found[n] ?? []]));
    };
    const counts = async (rows: ClickHouse): Promise<Record<string, number>> =>
      Object.fromEntries(Object.entries(await all(rows)).map(([table, found]) => [table, found.length]));
    // No event waits for warnings, log entries and app metrics. And nobody may say that two empty tables are equal.
    for (const rows of [surroundings.rows, engine.rows]) {
      let found = {};
      await until(async () => isDeepStrictEqual((found = await counts(rows)), EXPECTED_COUNTS), 'all rows are there', LIMIT_MS).catch(
        () => expect(found).toEqual(EXPECTED_COUNTS), // which says more than that it took too long
      );
    }
    const [ours, theirs] = [await all(surroundings.rows), await all(engine.rows)];
    for (const table of Object.keys(COMPARISONS)) expect(theirs[table], table).toEqual(ours[table]);
    const told = await engine.rows.query<{ type: string; details: string }>('SELECT type, details FROM ingestion_warnings');
    for (const type of Object.keys(WARNING_RULES)) {
      if (type === 'message_size_too_large') continue; // below
      const details = told.filter((row) => row.type === type).map((row) => Object.keys(JSON.parse(row.details) as object).sort());
      expect(details.length, type).toBeGreaterThan(0);
      const wanted = WARNINGS_4_5[type]?.details;
      if (wanted !== undefined) expect(details, type).toEqual(details.map(() => wanted));
    }
  });

  test.each(Object.entries(OUTPUT_FIELDS))(
    'section 4: each record of %s has the key and the fields of PostHog, and no header',
    async (topic, { key, fields, isOpen }) => {
      const records = await readAll(topic);
      expect(records.length).toBeGreaterThan(0);
      for (const record of records) {
        const value = JSON.parse(record.value?.toString() ?? '') as Record<string, unknown>;
        const names = fields.flatMap((field) => (field.endsWith('?') ? ('error_uuid' in value ? [field.slice(0, -1)] : []) : [field]));
        const found = Object.keys(value).sort();
        if (isOpen) expect(found).toEqual(expect.arrayContaining(names));
        else expect(found).toEqual(names);
        const wanted = key === 'event' ? (expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown) : key === undefined ? undefined : value[key];
        expect(record.key?.toString()).toEqual(wanted);
        expect(record.headers ?? {}).toEqual({});
      }
    },
  );

  test('O-4, sharp edge 36: an event whose row is too large for the topic is a dead letter, its team is warned, its neighbour is stored', async () => {
    const uuid = randomUUID();
    // In the row once as property and once as the person's.
    const properties = { $set: { large: 'x'.repeat(600_000) } };
    await surroundings.producer.send(PREFIX + TOPIC, [
      eventRecord({ token: TOKEN, distinctId: 'large', event: 'too much', uuid, properties }),
      eventRecord({ token: TOKEN, distinctId: 'large', event: 'little', properties: { $process_person_profile: false } }),
    ]);
    await drained(surroundings, LIMIT_MS, PREFIXED);
    const dead = (await readAll(DEAD_LETTERS)).filter(({ headers }) => headers?.['event-id']?.toString() === uuid);
    expect(dead.map(({ headers }) => headers?.['dlq_reason']?.toString())).toEqual(['row_too_large']);
    const warnings = () =>
      engine.rows.query<{ details: string }>("SELECT details FROM ingestion_warnings WHERE type = 'message_size_too_large'");
    await until(async () => (await warnings()).length > 0, 'the warning', LIMIT_MS);
    expect((await warnings()).map(({ details }) => JSON.parse(details) as unknown)).toEqual([{ eventUuid: uuid, distinctId: 'large' }]);
    await engine.caughtUp(LIMIT_MS);
    expect(await engine.rows.query("SELECT event FROM events WHERE distinct_id = 'large'")).toEqual([{ event: 'little' }]);
  });

  test('kill -9 in the middle of it: nothing is lost, and after collapsing nothing is there twice', async () => {
    await engine.rows.command('SYSTEM STOP MERGES events');
    const load = startLoad({
      producer: surroundings.producer,
      topic: PREFIX + TOPIC,
      token: TOKEN,
      seed: 21,
      eventsPerSecond: 500,
      userCount: 120,
    });
    try {
      await until(() => load.sentCount() > 1_500, 'events are under way', LIMIT_MS);
      await throughKafka.kill();
      throughKafka = await startTroupe({ env: kafkaEnv });
    } finally {
      await load.stop();
    }
    await drained(surroundings, LIMIT_MS, PREFIXED);
    await engine.caughtUp(LIMIT_MS);

    // Not compared: created_at, and what the person was when the event was done again (person_id, person_properties).
    const rows = await engine.rows.query<{ uuid: string; copies: string; contents: string }>(
      `SELECT toString(uuid) AS uuid, count() AS copies,
              uniqExact(tuple(event, properties, timestamp, team_id, distinct_id, elements_chain, person_mode)) AS contents
       FROM events WHERE event IN ('worked', 'passed', '$identify') AND JSONHas(properties, 'seq') GROUP BY uuid`,
    );
    const copies = new Map(rows.map((row) => [row.uuid, Number(row.copies)]));
    const sent = [...load.sent.values()].flat();
    expect(sent.filter(({ uuid }) => !copies.has(uuid)).map(({ uuid }) => uuid)).toEqual([]);
    expect(copies.size).toBe(sent.length);
    expect(rows.filter(({ contents }) => Number(contents) !== 1)).toEqual([]);
    console.info(`${sent.length} events, ${[...copies.values()].filter((count) => count > 1).length} of them in the topic more than once`);
    const [after] = await engine.rows.query<{ n: string; uuids: string }>(
      "SELECT count() AS n, uniqExact(uuid) AS uuids FROM events FINAL WHERE JSONHas(properties, 'seq')",
    );
    expect([Number(after?.n), Number(after?.uuids)]).toEqual([sent.length, sent.length]);

    // Every row leads to the person that PostgreSQL has for its id, as a reader of PostHog finds it.
    const persons = await otherSql.run<{ distinct_id: string; uuid: string }>(
      {
        name: 'test-all-persons',
        text: `SELECT d.distinct_id, p.uuid::text AS uuid FROM posthog_persondistinctid d JOIN posthog_person p ON p.id = d.person_id
               WHERE d.team_id = $1`,
      },
      [team],
    );
    const personOf = new Map(persons.map(({ distinct_id, uuid }) => [distinct_id, uuid]));
    const resolved = await engine.rows.query<{ distinctId: string; person: string }>(
      `SELECT DISTINCT e.distinct_id AS distinctId, toString(if(empty(o.distinct_id), e.person_id, o.person_id)) AS person
       FROM events AS e LEFT JOIN (SELECT distinct_id, argMax(person_id, version) AS person_id FROM person_distinct_id_overrides GROUP BY distinct_id) AS o
         ON o.distinct_id = e.distinct_id
       WHERE JSONHas(properties, 'seq') AND person_mode = 'full'`,
    );
    expect(resolved.length).toBeGreaterThan(50);
    expect(resolved.filter(({ distinctId, person }) => personOf.get(distinctId) !== person)).toEqual([]);
    const known = await engine.rows.query<{ id: string; properties: string }>(
      'SELECT toString(id) AS id, properties FROM person FINAL WHERE is_deleted = 0',
    );
    const stored = await otherSql.run<{ uuid: string; properties: string }>(
      {
        name: 'test-all-properties',
        text: 'SELECT uuid::text AS uuid, properties::text AS properties FROM posthog_person WHERE team_id = $1',
      },
      [team],
    );
    const sorted = (text: string): string =>
      JSON.stringify(Object.entries(JSON.parse(text) as object).sort(([a], [b]) => (a < b ? -1 : 1)));
    const propertiesOf = new Map(known.map(({ id, properties }) => [id, sorted(properties)]));
    expect(stored.filter(({ uuid, properties }) => propertiesOf.get(uuid) !== sorted(properties))).toEqual([]);
  });

  test('told to stop, it exits 0 and has committed what it read; the next one sends nothing again', async () => {
    const sum = async (): Promise<number> =>
      (await surroundings.admin.endOffsets(`${PREFIX}clickhouse_events_json`)).reduce((total, { offset }) => total + offset, 0);
    expect(await throughKafka.stop()).toEqual({ code: 0, signal: null });
    const before = await sum();
    throughKafka = await startTroupe({ env: kafkaEnv });
    await surroundings.producer.send(PREFIX + TOPIC, [eventRecord({ token: TOKEN, distinctId: 'late', event: 'after the stop' })]);
    await drained(surroundings, LIMIT_MS, PREFIXED);
    expect(await sum()).toBe(before + 1);
  });
});
