import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import kafkajs from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CREATE_STATEMENTS } from '../../src/clickhouse/tables.ts';
import { personUuid } from '../../src/domain/uuid.ts';
import type { OutgoingRecord } from '../../src/kafka/port.ts';
import type { PostgresClient, Row } from '../../src/postgres/client.ts';
import { POSTHOG_CLICKHOUSE } from '../kit/posthog-clickhouse.ts';
import { posthogSchema, posthogTeams } from '../kit/posthog-schema.ts';
import { eventRecord, type EventOptions } from '../kit/records.ts';
import {
  drained,
  GROUP,
  progressOf,
  requireSurroundings,
  startSurroundings,
  TOPIC,
  until,
  type Surroundings,
} from '../services/surroundings.ts';
import { spawnTroupe, startTroupe, type TroupeProcess } from '../services/troupe.ts';

/**
 * README, "Moving from PostHog's plugin-server", step by step on what a PostHog leaves behind: its PostgreSQL with people in it,
 * its ClickHouse with rows in it, its topic with records in it, and its consumer group with offsets in it. The steps depend on each other.
 */
const LIMIT_MS = 60_000;
const TOKEN = 'phc_moving';
const TEAM = 3;
/** A second input topic, with PostHog's own group (1.1). */
const HISTORICAL = { topic: 'events_plugin_ingestion_historical', group: 'clickhouse-ingestion-historical' };
const here = await requireSurroundings();

/** Persons as PostHog made them; ids are those of the rows. The oldest rows have no versions. */
const ANN = { id: 101, uuid: '0191f5f0-0000-7000-8000-00000000a001' };
const BOB = { id: 102, uuid: '0191f5f0-0000-7000-8000-00000000b001' };
const ANONYMOUS_BOB = { id: 103, uuid: '0191f5f0-0000-7000-8000-00000000b002' };
const PEOPLE = `
INSERT INTO posthog_person (id, created_at, team_id, properties, is_identified, uuid, version) VALUES
  (${ANN.id}, '2025-03-01T10:00:00Z', ${TEAM}, '{"plan": "free", "$initial_utm_source": "ad"}', true, '${ANN.uuid}', 7),
  (${BOB.id}, '2025-04-01T10:00:00Z', ${TEAM}, '{"name": "Bob"}', true, '${BOB.uuid}', 2),
  (${ANONYMOUS_BOB.id}, '2024-12-24T10:00:00Z', ${TEAM}, '{"source": "mail", "name": "?"}', false, '${ANONYMOUS_BOB.uuid}', NULL);
SELECT setval(pg_get_serial_sequence('posthog_person', 'id'), 200);
INSERT INTO posthog_persondistinctid (distinct_id, person_id, team_id, version) VALUES
  ('ann', ${ANN.id}, ${TEAM}, 0), ('anon-ann', ${ANN.id}, ${TEAM}, 1), ('bob', ${BOB.id}, ${TEAM}, 0), ('anon-bob', ${ANONYMOUS_BOB.id}, ${TEAM}, NULL);
INSERT INTO posthog_cohort (id, team_id, name, deleted, is_static) VALUES (1, ${TEAM}, 'Readers of mail', false, true);
INSERT INTO posthog_cohortpeople (cohort_id, person_id) VALUES (1, ${ANONYMOUS_BOB.id});
INSERT INTO posthog_featureflaghashkeyoverride (feature_flag_key, hash_key, person_id, team_id) VALUES ('new-cart', 'anon-bob', ${ANONYMOUS_BOB.id}, ${TEAM});
INSERT INTO posthog_eventdefinition (id, name, created_at, last_seen_at, team_id)
  VALUES ('0191f5f0-0000-7000-8000-0000000000e1', 'bought', '2025-03-01T10:00:00Z', '2025-03-01T10:00:00Z', ${TEAM});
INSERT INTO posthog_grouptypemapping (group_type, group_type_index, team_id) VALUES ('company', 0, ${TEAM});
INSERT INTO posthog_group (group_key, group_type_index, group_properties, created_at, properties_last_updated_at, properties_last_operation, version, team_id)
  VALUES ('acme', 0, '{"seats": 3}', '2025-03-01T10:00:00Z', '{}', '{}', 4, ${TEAM})`;

/** Everything about the database that a move could alter, but its rows. */
const SHAPE = `
  SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') AS line
    FROM information_schema.columns WHERE table_schema = 'public'
  UNION ALL SELECT conrelid::regclass::text || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
  UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
  ORDER BY line`;

describe.skipIf(!here.available)("moving from PostHog's plugin-server, as the README says it", () => {
  let surroundings: Surroundings;
  let env: Readonly<Record<string, string>>;
  let troupe: TroupeProcess | undefined;
  let shape: readonly Row[];
  const eventsOfPostHog = 12;

  const sql = <R extends Row>(text: string): Promise<readonly R[]> =>
    surroundings.sql.run<R>({ name: `test-${text.length}-${text.slice(-30)}`, text }, []);
  const rows = <R>(text: string): Promise<R[]> => surroundings.rows.query<R>(text);
  const record = (distinctId: string, event: string, properties: EventOptions['properties'] = {}): OutgoingRecord =>
    eventRecord({ token: TOKEN, distinctId, event, properties });
  const tablesOfClickHouse = (): Promise<{ name: string; statement: string }[]> =>
    rows("SELECT name, create_table_query AS statement FROM system.tables WHERE database = 'default' AND name != 'events' ORDER BY name");

  beforeAll(async () => {
    surroundings = await startSurroundings();
    await surroundings.sql.script('test-drop', 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    await surroundings.sql.script('test-posthog', posthogSchema('2024-10'));
    await surroundings.sql.script('test-teams', posthogTeams([TOKEN], TEAM));
    await surroundings.sql.script('test-people', PEOPLE);
    for (const name of CREATE_STATEMENTS.keys()) await surroundings.rows.command(`DROP TABLE IF EXISTS ${name} SYNC`);
    for (const statement of POSTHOG_CLICKHOUSE.values()) await surroundings.rows.command(statement);
    shape = await sql(SHAPE);
    // What a deployment of PostHog has in its environment and Troupe has no use for stays there.
    env = { ...surroundings.env, WORKER_CONCURRENCY: '4', SCHEDULE_LOCK_TTL: '60', KAFKA_PRODUCER_LINGER_MS: '20' };
    await letPostHogWork();
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  /** Twelve events that PostHog has read, stored through its materialized view, and committed. */
  async function letPostHogWork(): Promise<void> {
    const people = ['ann', 'bob', 'anon-bob'];
    const records = Array.from({ length: eventsOfPostHog }, (_, n) => record(people[n % 3] ?? '', 'of PostHog', { n }));
    await surroundings.producer.send(TOPIC, records);
    await surroundings.admin.ensureTopics([{ topic: HISTORICAL.topic, partitions: 2 }]);
    await surroundings.producer.send(HISTORICAL.topic, [record('ann', 'long ago', { n: 1 }), record('bob', 'long ago', { n: 2 })]);
    await insertAsPostHog(
      records.map((_, n) => ({ distinctId: people[n % 3] ?? '', personId: [ANN, BOB, ANONYMOUS_BOB][n % 3]?.uuid ?? '' })),
    );
    await surroundings.rows
      .command(`INSERT INTO person (id, created_at, team_id, properties, is_identified, is_deleted, version, _timestamp, _offset) VALUES
      ('${ANN.uuid}', '2025-03-01 10:00:00', ${TEAM}, '{"plan":"free","$initial_utm_source":"ad"}', 1, 0, 7, now(), 0),
      ('${BOB.uuid}', '2025-04-01 10:00:00', ${TEAM}, '{"name":"Bob"}', 1, 0, 2, now(), 1),
      ('${ANONYMOUS_BOB.uuid}', '2024-12-24 10:00:00', ${TEAM}, '{"source":"mail","name":"?"}', 0, 0, 0, now(), 2)`);
    await surroundings.rows
      .command(`INSERT INTO person_distinct_id2 (team_id, distinct_id, person_id, is_deleted, version, _timestamp, _offset) VALUES
      (${TEAM}, 'ann', '${ANN.uuid}', 0, 0, now(), 0), (${TEAM}, 'anon-ann', '${ANN.uuid}', 0, 1, now(), 1),
      (${TEAM}, 'bob', '${BOB.uuid}', 0, 0, now(), 2), (${TEAM}, 'anon-bob', '${ANONYMOUS_BOB.uuid}', 0, 0, now(), 3)`);
    const admin = new kafkajs.Kafka({ brokers: surroundings.kafka.brokers(), logLevel: kafkajs.logLevel.NOTHING }).admin();
    await admin.connect();
    for (const { topic, group } of [{ topic: TOPIC, group: GROUP }, HISTORICAL]) {
      const ends = await surroundings.admin.endOffsets(topic);
      const partitions = ends.map(({ partition, offset }) => ({ partition, offset: String(offset) }));
      await admin.setOffsets({ groupId: group, topic, partitions });
    }
    await admin.disconnect();
  }

  /** As PostHog's materialized view writes into `events`: it knows nothing of our columns. */
  async function insertAsPostHog(events: readonly { readonly distinctId: string; readonly personId: string }[]): Promise<void> {
    const values = events.map(
      ({ distinctId, personId }, n) =>
        `('${randomUUID()}', 'of PostHog', '{"n":${n}}', now64(), ${TEAM}, '${distinctId}', '', now64(), '${personId}', '2025-03-01 10:00:00', '{}', 'full', now(), ${n})`,
    );
    await surroundings.rows
      .command(`INSERT INTO events (uuid, event, properties, timestamp, team_id, distinct_id, elements_chain, created_at, person_id,
      person_created_at, person_properties, person_mode, _timestamp, _offset) VALUES ${values.join(', ')}`);
  }

  async function runToEnd(...args: string[]): Promise<{ readonly code: number | null; readonly output: string }> {
    const process = await spawnTroupe({ env, args });
    const { code } = await process.exited;
    return { code, output: process.output() };
  }

  test('step 2: --config-check shows the settings in force with their origin, and hides passwords', async () => {
    const { code, output } = await runToEnd('--config-check');
    expect(code).toBe(0);
    expect(output).toMatch(/KAFKA_HOSTS\s.*127\.0\.0\.1/);
    expect(output).toContain('WORKER_CONCURRENCY');
    expect(output).not.toContain(surroundings.clickhouse.password);
  });

  test('step 3: a start before --migrate names what ClickHouse lacks, changes nothing and reads nothing', async () => {
    const { code, output } = await runToEnd();
    expect(code).toBe(1);
    expect(output).toContain('column events._topic is missing. Run: ALTER TABLE events ADD COLUMN IF NOT EXISTS _topic');
    expect(output).toContain('--migrate');
    expect(output).not.toContain('posthog_'); // PostgreSQL is all right as it is
    expect(await progressOf(surroundings)).toEqual({ end: eventsOfPostHog, committed: eventsOfPostHog });
    expect(await rows("SELECT name FROM system.columns WHERE table = 'events' AND name = '_topic'")).toEqual([]);
  });

  test('step 3: --migrate says what it adds to ClickHouse, and adds nothing to PostgreSQL', async () => {
    const others = await tablesOfClickHouse();
    const { code, output } = await runToEnd('--migrate');
    expect(output).toContain('The tables are as Troupe needs them.');
    expect(code).toBe(0);
    const ran = output.split('\n').filter((line) => line.startsWith('ClickHouse: ran') || line.startsWith('PostgreSQL: '));
    expect(ran).toHaveLength(6);
    for (const line of ran) expect(line).toMatch(/^ClickHouse: ran ALTER TABLE events (ADD|MODIFY) (COLUMN|SETTING|PROJECTION) /);
    expect(await tablesOfClickHouse()).toEqual(others);
    expect(await sql(SHAPE)).toEqual(shape);
  });

  test('step 1 forgotten: beside a plugin-server that still runs Troupe is refused by the group, reads nothing, and says so; when that one has left it goes on by itself', async () => {
    const { consumer, joined } = oldMember();
    await joined;
    troupe = await spawnTroupe({ env });
    const refused = troupe;
    await until(() => refused.output().includes('supported protocols are incompatible'), 'the refusal is told', LIMIT_MS);
    expect(await refused.isReady()).toBe(false);
    expect(await progressOf(surroundings)).toEqual({ end: eventsOfPostHog, committed: eventsOfPostHog });
    await consumer.disconnect();
    await refused.ready();
  });

  /** A member as librdkafka's: it votes for an assignment that nobody else can make. */
  function oldMember(): { readonly consumer: kafkajs.Consumer; readonly joined: Promise<void> } {
    const assigner = (): kafkajs.Assigner => ({
      name: 'cooperative-sticky',
      version: 0,
      assign: () => Promise.resolve([]),
      protocol: () => ({
        name: 'cooperative-sticky',
        metadata: kafkajs.AssignerProtocol.MemberMetadata.encode({ version: 0, topics: [TOPIC], userData: Buffer.alloc(0) }),
      }),
    });
    const kafka = new kafkajs.Kafka({ brokers: surroundings.kafka.brokers(), logLevel: kafkajs.logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId: GROUP, partitionAssigners: [assigner] });
    const joined = (async (): Promise<void> => {
      await consumer.connect();
      await consumer.subscribe({ topic: TOPIC });
      const inGroup = new Promise<void>((resolve) => consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
      await consumer.run({ eachMessage: () => Promise.resolve() });
      await inGroup;
    })();
    return { consumer, joined };
  }

  test("step 4: it goes on at the group's offsets: what PostHog stored is not stored again, what came since is", async () => {
    await surroundings.producer.send(TOPIC, [
      record('ann', 'bought', { $set: { plan: 'pro' }, $groups: { company: 'acme' } }),
      record('bob', '$identify', { $anon_distinct_id: 'anon-bob', $set: { vip: true } }),
      record('cleo', 'looked', { $set: { plan: 'free' } }),
      record('cleo', '$groupidentify', { $group_type: 'company', $group_key: 'acme', $group_set: { seats: 5 } }),
      record('visitor', 'passed', { $process_person_profile: false }),
      record('dave', '$identify', { $anon_distinct_id: 'undefined' }),
      record('anon-bob', 'late', {}),
    ]);
    troupe ??= await startTroupe({ env });
    await drained(surroundings, LIMIT_MS);
    const stored = await rows<{ line: string }>(
      "SELECT concat(distinct_id, ' ', event, ' ', toString(count())) AS line FROM events GROUP BY distinct_id, event ORDER BY line",
    );
    expect(stored.map(({ line }) => line)).toEqual([
      'ann bought 1',
      'ann of PostHog 4',
      'anon-bob late 1',
      'anon-bob of PostHog 4',
      'bob $identify 1',
      'bob of PostHog 4',
      'cleo $groupidentify 1',
      'cleo looked 1',
      'dave $identify 1',
      'visitor passed 1',
    ]);
  });

  test("step 4: the other input topics go on at the offsets of PostHog's other groups", async () => {
    await surroundings.producer.send(HISTORICAL.topic, [record('ann', 'long ago', { n: 3 })]);
    const sumOf = async (of: Promise<readonly { readonly offset: number | undefined }[]>): Promise<number> =>
      (await of).reduce((sum, { offset = 0 }) => sum + offset, 0);
    await until(
      async () => (await sumOf(surroundings.admin.committedOffsets(HISTORICAL.group, HISTORICAL.topic))) === 3,
      'the record is committed',
      LIMIT_MS,
    );
    expect(await sumOf(surroundings.admin.endOffsets(HISTORICAL.topic))).toBe(3);
    expect(await rows("SELECT JSONExtractInt(properties, 'n')::Int32 AS n, _topic AS topic FROM events WHERE event = 'long ago'")).toEqual([
      { n: 3, topic: HISTORICAL.topic },
    ]);
  });

  test('step 5, definitions: those of PostHog are kept and seen again, new ones stand beside them', async () => {
    const definitions = (): Promise<readonly { name: string; id: string; seen: boolean }[]> =>
      sql(
        `SELECT name, id::text, last_seen_at > now() - interval '2 hours' AS seen FROM posthog_eventdefinition WHERE name IN ('bought', 'looked') ORDER BY name`,
      );
    await until(async () => (await definitions()).filter(({ seen }) => seen).length === 2, 'both are written', LIMIT_MS);
    expect((await definitions())[0]?.id).toBe('0191f5f0-0000-7000-8000-0000000000e1');
    const property = await sql<{ type: string }>(
      `SELECT property_type AS type FROM posthog_propertydefinition WHERE name = 'plan' AND type = 2`,
    );
    expect(property).toEqual([{ type: 'String' }]);
  });

  test('step 5, persons: those of PostHog are updated and merged where they stand, with all that hangs on them', async () => {
    const persons = await sql<{ id: number; properties: Record<string, unknown>; version: string; isIdentified: boolean; ids: string[] }>(
      `SELECT p.id, p.properties, p.version::text AS version, p.is_identified AS "isIdentified", array_agg(d.distinct_id ORDER BY d.distinct_id)::text[] AS ids
       FROM posthog_person p JOIN posthog_persondistinctid d ON d.person_id = p.id GROUP BY p.id ORDER BY p.id`,
    );
    expect(persons.map(({ ids }) => ids.join(' '))).toEqual(['ann anon-ann', 'anon-bob bob', expect.any(String), expect.any(String)]);
    expect(persons[0]).toMatchObject({ id: ANN.id, version: '8', properties: { plan: 'pro', $initial_utm_source: 'ad' } });
    expect(persons[1]).toMatchObject({ id: BOB.id, properties: { name: 'Bob', source: 'mail', vip: true }, isIdentified: true });
    expect(await sql(`SELECT person_id FROM posthog_cohortpeople`)).toEqual([{ person_id: BOB.id }]);
    expect(await sql(`SELECT person_id FROM posthog_featureflaghashkeyoverride`)).toEqual([{ person_id: BOB.id }]);
    expect(await sql(`SELECT created_at = '2024-12-24T10:00:00Z' AS earliest FROM posthog_person WHERE id = ${BOB.id}`)).toEqual([
      { earliest: true },
    ]);
    expect(await sql(`SELECT group_properties AS p, version::int4 AS v FROM posthog_group`)).toEqual([{ p: { seats: 5 }, v: 5 }]);
    expect(await sql(`SELECT distinct_id, is_merged FROM posthog_personlessdistinctid WHERE distinct_id = 'visitor'`)).toEqual([
      { distinct_id: 'visitor', is_merged: false },
    ]);
  });

  test('step 5, rows: ClickHouse tells of the same persons as PostgreSQL, and every event leads to one of them', async () => {
    await agree();
    const events = await rows<{ event: string; distinctId: string; person: string; group: string; mode: string }>(
      `SELECT event, distinct_id AS distinctId, toString(person_id) AS person, \`$group_0\` AS group, toString(person_mode) AS mode
       FROM events WHERE event IN ('bought', 'late', 'looked', 'passed') ORDER BY event`,
    );
    expect(events).toEqual([
      { event: 'bought', distinctId: 'ann', person: ANN.uuid, group: 'acme', mode: 'full' },
      {
        event: 'late',
        distinctId: 'anon-bob',
        person: expect.stringMatching(/^0191f5f0-0000-7000-8000-00000000b00[12]$/) as string,
        group: '',
        mode: 'full',
      },
      { event: 'looked', distinctId: 'cleo', person: personUuid(TEAM, 'cleo'), group: '', mode: 'full' },
      { event: 'passed', distinctId: 'visitor', person: personUuid(TEAM, 'visitor'), group: '', mode: 'propertyless' },
    ]);
    // The events that PostHog stored for the anonymous person are Bob's now, through the override.
    expect(
      await rows(
        `SELECT toString(person_id) AS person, toInt32(version) AS version FROM person_distinct_id_overrides FINAL WHERE distinct_id = 'anon-bob'`,
      ),
    ).toEqual([{ person: BOB.uuid, version: 1 }]);
    const warnings = await rows<{ type: string; source: string }>('SELECT type, source FROM ingestion_warnings');
    expect(warnings).toContainEqual({ type: 'cannot_merge_with_illegal_distinct_id', source: 'plugin-server' });
  });

  test('step 5, the queries of the README run, and tell the two apart', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const section = readme.slice(readme.indexOf("## Moving from PostHog's plugin-server"), readme.indexOf('## Find your room'));
    const queries = [...section.matchAll(/```sql\n([^`]+);\s*```/g)].map(([, text]) => text ?? '');
    expect(queries).toHaveLength(3);
    const [perHour, warnings, versions] = await Promise.all(queries.map((query) => rows<Record<string, unknown>>(query)));
    expect(new Set(perHour?.map((row) => row['stored_by']))).toEqual(new Set(['PostHog', 'Troupe']));
    expect(warnings).toContainEqual(expect.objectContaining({ type: 'cannot_merge_with_illegal_distinct_id' }));
    expect(versions?.map((row) => row['id'])).toContain(ANN.uuid);
  });

  test('step 6, going back: it stops with nothing in the air, and the offsets are where PostHog goes on', async () => {
    expect((await troupe?.stop())?.code).toBe(0);
    troupe = undefined;
    const { end, committed } = await progressOf(surroundings);
    expect(committed).toBe(end);
    expect(end).toBe(eventsOfPostHog + 7);
    expect(await sql(SHAPE)).toEqual(shape);
  });

  test("step 6, going back: PostHog's statements read and write what is there, and its rows stand beside ours", async () => {
    await surroundings.sql.transaction('posthog-goes-on', async (transaction) => {
      const run = <R extends Row>(text: string, parameters: readonly (string | number)[] = []): Promise<readonly R[]> =>
        transaction.run<R>({ name: `test-posthog-${text.length}`, text }, parameters);
      // fetch, update by one version, move a mapping, create: each as PostHog does it (3.2 to 3.5)
      const find = `SELECT p.id, p.uuid, p.properties, p.version::text AS version FROM posthog_person p
        JOIN posthog_persondistinctid d ON d.person_id = p.id AND d.team_id = p.team_id WHERE d.team_id = ${TEAM} AND d.distinct_id = $1 FOR UPDATE`;
      for (const distinctId of ['ann', 'anon-ann', 'bob', 'anon-bob', 'cleo', 'dave']) {
        const [person] = await run<{ id: number; version: string; properties: Record<string, unknown> }>(find, [distinctId]);
        expect(person, distinctId).toBeDefined();
        expect(Number.isInteger(Number(person?.version))).toBe(true);
        expect(typeof person?.properties).toBe('object');
      }
      const [updated] = await run<{ version: string }>(
        `UPDATE posthog_person SET properties = properties || '{"back": true}', version = COALESCE(version, 0)::numeric + 1 WHERE id = $1 RETURNING version::text`,
        [ANN.id],
      );
      expect(updated?.version).toBe('9');
      const [made] = await run<{ id: number }>(
        `INSERT INTO posthog_person (created_at, properties, properties_last_updated_at, properties_last_operation, team_id, is_user_id, is_identified, uuid, version)
         VALUES (now(), '{}', '{}', '{}', ${TEAM}, NULL, false, gen_random_uuid(), 0) RETURNING id`,
      );
      await run(`INSERT INTO posthog_persondistinctid (distinct_id, person_id, team_id, version) VALUES ('eve', $1, ${TEAM}, 0)`, [
        made?.id ?? 0,
      ]);
      await run(`UPDATE posthog_persondistinctid SET person_id = $1, version = COALESCE(version, 0)::numeric + 1 WHERE team_id = ${TEAM} AND distinct_id = 'eve'`, [BOB.id]); // prettier-ignore
      await run(`DELETE FROM posthog_person WHERE id = $1`, [made?.id ?? 0]);
      await run(`UPDATE posthog_group SET version = version + 1 WHERE team_id = ${TEAM} AND group_key = 'acme'`);
    });
    await insertAsPostHog([{ distinctId: 'ann', personId: ANN.uuid }]);
    const [whole] = await rows<{ invalid: number; strange: number; count: number }>(
      `SELECT toInt32(countIf(NOT isValidJSON(properties) OR NOT isValidJSON(person_properties))) AS invalid,
              toInt32(countIf(timestamp < '2020-01-01' OR inserted_at IS NULL)) AS strange, toInt32(count()) AS count FROM events`,
    );
    expect(whole).toEqual({ invalid: 0, strange: 0, count: eventsOfPostHog + 7 + 1 + 1 });
  });

  test('and Troupe takes over once more, from where PostHog left', async () => {
    await surroundings.producer.send(TOPIC, [record('ann', 'again', { $set: { back: false } })]);
    troupe = await startTroupe({ env });
    await drained(surroundings, LIMIT_MS);
    expect(await sql(`SELECT version::text AS version, properties ->> 'back' AS back FROM posthog_person WHERE id = ${ANN.id}`)).toEqual([
      { version: '10', back: 'false' },
    ]);
    expect(await rows("SELECT toInt32(count()) AS n FROM events WHERE event = 'again'")).toEqual([{ n: 1 }]);
  });

  /** Persons and mappings of both databases, as one text each. */
  async function agree(): Promise<void> {
    const inPostgres = await personsOf(surroundings.sql);
    const inClickHouse = await rows<{ person: string }>(
      `SELECT concat(toString(p.id), ' v', toString(p.version), ' identified ', toString(p.is_identified), ' ids ', arrayStringConcat(arraySort(groupArray(d.distinct_id)), ',')) AS person
       FROM (SELECT * FROM person FINAL WHERE is_deleted = 0) AS p
       JOIN (SELECT * FROM person_distinct_id2 FINAL WHERE is_deleted = 0) AS d ON d.person_id = p.id
       GROUP BY p.id, p.version, p.is_identified ORDER BY person`,
    );
    expect(inClickHouse.map(({ person }) => person)).toEqual(inPostgres);
  }
});

async function personsOf(client: PostgresClient): Promise<string[]> {
  const found = await client.run<{ person: string }>(
    {
      name: 'test-persons-of',
      text: `SELECT p.uuid || ' v' || p.version || ' identified ' || p.is_identified::int || ' ids ' || string_agg(d.distinct_id, ',' ORDER BY d.distinct_id COLLATE "C") AS person
             FROM posthog_person p JOIN posthog_persondistinctid d ON d.person_id = p.id GROUP BY p.id`,
    },
    [],
  );
  return found.map(({ person }) => person).sort();
}
