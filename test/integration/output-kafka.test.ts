import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPostgresClient, type PostgresClient } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { startLoad } from '../fault/load.ts';
import { eventRecord, type EventOptions } from '../kit/records.ts';
import { createEngineTables, createOutputTopics, type EngineTables } from '../services/kafka-engine.ts';
import { drained, progressOf, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = 'phc_outputs';
const LIMIT_MS = 60_000;
const KAFKA_GROUP = 'output-kafka';

const here = await requireSurroundings();

/**
 * One input, two Troupes: one inserts into ClickHouse, one produces PostHog's topics, which ClickHouse itself reads with its Kafka
 * engine. Each has a PostgreSQL database and a Redis database of its own, so that neither sees what the other did.
 */
describe.skipIf(!here.available)('output kafka, beside output clickhouse', () => {
  let surroundings: Surroundings;
  let engine: EngineTables;
  let otherSql: PostgresClient;
  let direct: TroupeProcess;
  let throughKafka: TroupeProcess;
  let kafkaEnv: Record<string, string>;
  let team: number;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    const { sql, postgres, env } = surroundings;
    team = await seedTeam(sql, { token: TOKEN });
    await sql.run({ name: 'test-create-database', text: 'CREATE DATABASE other' }, []);
    const other = postgres.connectionString.replace(/\/\w+\?/, '/other?');
    expect(other).not.toBe(postgres.connectionString);
    otherSql = createPostgresClient({ connectionString: other, clock: systemClock, random: systemRandom });
    await ensureSchema(otherSql, { migrate: false });
    expect(await seedTeam(otherSql, { token: TOKEN })).toBe(team);
    await createOutputTopics(surroundings, 3);
    engine = await createEngineTables(surroundings, 'posthog');
    kafkaEnv = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CLICKHOUSE_')));
    Object.assign(kafkaEnv, {
      TROUPE_OUTPUT: 'kafka',
      DATABASE_URL: other.replace('@/', '@localhost/'),
      REDIS_URL: `${env['REDIS_URL']}/1`,
      INGESTION_CONSUMER_GROUP_ID: KAFKA_GROUP,
    });
    [direct, throughKafka] = await Promise.all([startTroupe({ env }), startTroupe({ env: kafkaEnv })]);
  });
  afterAll(async () => {
    await Promise.all([direct?.kill(), throughKafka?.kill()]);
    await otherSql?.close();
    await surroundings?.stop();
  });

  const send = async (...events: readonly Omit<EventOptions, 'token'>[]): Promise<void> => {
    await surroundings.producer.send(
      TOPIC,
      events.map((event) => eventRecord({ token: TOKEN, timestamp: '2026-11-20T12:00:00.123Z', ...event })),
    );
    await bothDrained();
  };
  const bothDrained = async (): Promise<void> => {
    await drained(surroundings, LIMIT_MS);
    await until(
      async () => {
        const [ends, read] = await Promise.all([
          surroundings.admin.endOffsets(TOPIC),
          surroundings.admin.committedOffsets(KAFKA_GROUP, TOPIC),
        ]);
        return ends.every(({ partition, offset }) => (read.find((one) => one.partition === partition)?.offset ?? 0) === offset);
      },
      'the process with output kafka has committed everything',
      LIMIT_MS,
    );
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

  test('4.1-4.5, W-1, K-4: ClickHouse reads from the topics, in snappy, the rows that output clickhouse stores', async () => {
    const people = Array.from({ length: 12 }, (_, n) => `person-${n}`);
    for (const step of [1, 2, 3]) {
      await send(
        ...people.map((distinctId) => ({
          distinctId,
          event: 'worked',
          properties: { step, $set: { [`${distinctId}-last`]: step }, $set_once: { first: step }, quote: 'a "b" \\ \n 😀 \u2028' },
        })),
      );
    }
    await send({ distinctId: 'anon-1', event: 'looked', properties: { $set_once: { source: 'ad' } } });
    await send({ distinctId: 'anon-2', event: 'looked', properties: { $process_person_profile: false } });
    await send(
      { distinctId: 'person-1', event: '$identify', properties: { $anon_distinct_id: 'anon-1', $set: { plan: 'pro' } } },
      { distinctId: 'person-2', event: '$create_alias', properties: { alias: 'anon-2' } },
    );
    await send({
      distinctId: 'person-3',
      event: '$groupidentify',
      properties: { $group_type: 'company', $group_key: 'acme "x"', $group_set: { seats: 5 } },
    });
    await send({ distinctId: 'person-3', event: 'bought', properties: { $groups: { company: 'acme "x"' } } });
    await send(
      { distinctId: 'person-4', event: '$identify', properties: { $anon_distinct_id: 'null' } },
      { distinctId: 'person-4', event: '$$client_ingestion_warning', properties: { $$client_ingestion_warning_message: 'clock "off"' } },
      {
        distinctId: 'person-5',
        event: '$autocapture',
        properties: { $elements: [{ tag_name: 'a', $el_text: 'go "on"', attr__class: 'x y', nth_child: 1, nth_of_type: 2 }] },
      },
      { distinctId: 'person \ud83d broken', event: 'half a \ude00 character', properties: { half: '\ud83d' } },
      { distinctId: 'person-6', event: 'nul \0 inside', properties: { nul: 'a\0b' } },
      { distinctId: 'person-7', event: 'old', timestamp: '1890-01-01T00:00:00Z' },
      // W-1: one an hour of this kind, whatever the output.
      { distinctId: 'person-8', event: 'unnamed', uuid: 'not-a-uuid-1' },
      { distinctId: 'person-8', event: 'unnamed', uuid: 'not-a-uuid-2' },
    );
    // Warnings are told by a timer and no event waits for them.
    const warningsIn = async (rows: ClickHouse): Promise<number> =>
      Number((await rows.query<{ n: string }>('SELECT count() AS n FROM ingestion_warnings'))[0]?.n);
    await until(async () => (await warningsIn(surroundings.rows)) >= 3, 'the direct warnings are there', LIMIT_MS);
    const expectedWarnings = await warningsIn(surroundings.rows);
    await until(async () => (await warningsIn(engine.rows)) >= expectedWarnings, 'the warnings through Kafka are there', LIMIT_MS);
    await engine.caughtUp(LIMIT_MS);

    /** What of each table must be equal: all but the time and the place at which a row was written. */
    const compared: Readonly<Record<string, string>> = {
      events:
        'uuid, event, properties, timestamp, team_id, distinct_id, elements_chain, person_id, person_created_at, person_properties, person_mode',
      // A person's version counts its writes, and how many updates share a write is a matter of timing.
      person: 'id, created_at, team_id, properties, is_identified, is_deleted',
      person_distinct_id2: 'team_id, distinct_id, person_id, is_deleted, version',
      person_distinct_id_overrides: 'team_id, distinct_id, person_id, is_deleted, version',
      groups: 'group_type_index, group_key, created_at, team_id, group_properties',
      ingestion_warnings: "team_id, source, type, details, if(type = 'client_ingestion_warning', toDate(timestamp), toDate(0)) AS day",
      heatmaps: 'session_id, team_id, distinct_id, timestamp, x, y, scale_factor, current_url, type',
      events_dead_letter_queue: 'event_uuid, event, distinct_id, team_id, error, tags',
      app_metrics: 'team_id, plugin_config_id, category, successes, failures',
      plugin_log_entries: 'team_id, plugin_id, source, type, message',
    };
    const counts: Record<string, number> = {};
    for (const [table, columns] of Object.entries(compared)) {
      const final = ['ingestion_warnings', 'heatmaps'].includes(table) ? '' : 'FINAL';
      const read = async (rows: ClickHouse): Promise<string[]> =>
        (await rows.query<Record<string, unknown>>(`SELECT ${columns} FROM ${table} ${final}`)).map((row) => JSON.stringify(row)).sort();
      const [ours, theirs] = [await read(surroundings.rows), await read(engine.rows)];
      expect(theirs, table).toEqual(ours);
      counts[table] = ours.length;
    }
    // Nobody may say that two empty tables are equal.
    expect(counts['events']).toBe(3 * 12 + 11);
    expect(counts['person']).toBeGreaterThanOrEqual(14);
    expect(counts['person_distinct_id_overrides']).toBeGreaterThanOrEqual(2);
    expect(counts['groups']).toBe(1);
    const types = await engine.rows.query<{ type: string }>('SELECT type FROM ingestion_warnings ORDER BY type');
    expect(types.map(({ type }) => type)).toEqual([
      'cannot_merge_with_illegal_distinct_id',
      'client_ingestion_warning',
      'skipping_event_invalid_uuid',
    ]);
  });

  test('kill -9 in the middle of it: nothing is lost, and after collapsing nothing is there twice', async () => {
    await engine.rows.command('SYSTEM STOP MERGES events');
    const load = startLoad({ producer: surroundings.producer, topic: TOPIC, token: TOKEN, seed: 21, eventsPerSecond: 500, userCount: 120 });
    try {
      await until(() => load.sentCount() > 1_500, 'events are under way', LIMIT_MS);
      await throughKafka.kill();
      throughKafka = await startTroupe({ env: kafkaEnv });
    } finally {
      await load.stop();
    }
    await bothDrained();
    await engine.caughtUp(LIMIT_MS);
    expect((await progressOf(surroundings)).end).toBeGreaterThan(1_400);

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
      (await surroundings.admin.endOffsets('clickhouse_events_json')).reduce((total, { offset }) => total + offset, 0);
    expect(await throughKafka.stop()).toEqual({ code: 0, signal: null });
    const before = await sum();
    throughKafka = await startTroupe({ env: kafkaEnv });
    await send({ distinctId: 'late', event: 'after the stop' });
    expect(await sum()).toBe(before + 1);
  });
});
