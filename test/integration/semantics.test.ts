import { createHash, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { outputTopics } from '../../src/domain/output-topics.ts';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import type { OutgoingRecord } from '../../src/kafka/port.ts';
import type { Row } from '../../src/postgres/client.ts';
import { seedPlugin, seedTeam } from '../../src/postgres/seed.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createWitness } from '../contract/kafka-log-kit.ts';
import { UUID, type SemanticCase, type Sent, type StoredEvent } from '../kit/semantics/case.ts';
import { SEMANTIC_CASES } from '../kit/semantics/cases.ts';
import { createEngineTables, createOutputTopics } from '../services/kafka-engine.ts';
import { drained, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, sumOf, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;
const EXCEPTIONS = 'exception_symbolification_events';

/** What a case's team has in ClickHouse. */
interface Found {
  events: (Required<StoredEvent> & { readonly teamId: number })[];
  warnings: { readonly teamId: number; readonly type: string; readonly details: string }[];
  heatmaps: { readonly teamId: number; readonly type: string }[];
}

const tokenOf = (semanticCase: SemanticCase): string => `phc_case_${SEMANTIC_CASES.indexOf(semanticCase)}`;

function recordOf(token: string, { event = 'seen', distinctId = 'd', properties = {}, outer = {}, inner = {} }: Sent): OutgoingRecord {
  const data = JSON.stringify({ event, properties, ...inner });
  const envelope = { uuid: randomUUID(), distinct_id: distinctId, ip: '', data, now: new Date().toISOString(), token, ...outer };
  return { key: Buffer.from(`${token}:${distinctId}`), value: Buffer.from(JSON.stringify(envelope)) };
}

const here = await requireSurroundings();

/** Every case at once through one process: real Kafka, PostgreSQL, ClickHouse, Redis and plugins. */
describe.skipIf(!here.available).each(['clickhouse', 'kafka'])('what events mean, from the topic to the tables, output %s', (output) => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  const teams = new Map<string, number>();
  let found: Found;
  /** The tables, and the end of all that leads to them. */
  let rows: ClickHouse;
  let settled: () => Promise<void>;

  const sql = <R extends Row>(text: string): Promise<readonly R[]> =>
    surroundings.sql.run<R>({ name: `test-${createHash('md5').update(text).digest('hex')}`, text }, []);
  const metricsText = async (): Promise<string> => (await fetch(`${troupe.urls.operations}/metrics`)).text();
  const teamOf = (token: string): number => teams.get(token) ?? 0;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    await surroundings.admin.ensureTopics([{ topic: EXCEPTIONS, partitions: 1 }]);
    // Columns of newer PostHogs, which Troupe uses where they are.
    await sql('ALTER TABLE posthog_team ADD COLUMN drop_events_older_than interval');
    for (const one of SEMANTIC_CASES) {
      const token = tokenOf(one);
      const teamId = await seedTeam(surroundings.sql, { token });
      teams.set(token, teamId);
      if (one.team !== undefined) await sql(`UPDATE posthog_team SET ${one.team} WHERE id = ${teamId}`);
      if (one.plugin !== undefined) {
        const files = { 'plugin.json': '{"name":"plugin","main":"index.js"}', 'index.js': one.plugin };
        await seedPlugin(surroundings.sql, { teamId, name: 'plugin', files });
      }
    }
    for (const token of ['phc_names', 'phc_thrown', 'phc_last']) teams.set(token, await seedTeam(surroundings.sql, { token }));
    const { env } = surroundings;
    rows = surroundings.rows;
    settled = () => drained(surroundings, LIMIT_MS);
    if (output === 'kafka') {
      await createOutputTopics(surroundings, '', 1);
      const engine = await createEngineTables(surroundings, { database: 'posthog', prefix: '' });
      rows = engine.rows;
      settled = () => drained(surroundings, LIMIT_MS).then(() => engine.caughtUp(LIMIT_MS));
    }
    const withoutClickHouse = Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CLICKHOUSE_')));
    troupe = await startTroupe({ env: output === 'kafka' ? { ...withoutClickHouse, TROUPE_OUTPUT: 'kafka' } : env });
    await surroundings.producer.send(
      TOPIC,
      SEMANTIC_CASES.flatMap((one) => one.sent.map((sent) => recordOf(tokenOf(one), sent))),
    );
    await settled();
    found = await everything();
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  async function everything(): Promise<Found> {
    // Hints are told by a timer, in their order: when this one is there, so is all before it.
    await surroundings.producer.send(TOPIC, [recordOf('phc_last', { outer: { uuid: 'none' } })]);
    const warnings = (): Promise<Found['warnings']> =>
      rows.query("SELECT toInt32(team_id) AS teamId, type, details FROM ingestion_warnings WHERE source = 'plugin-server'");
    await until(async () => (await warnings()).some(({ teamId }) => teamId === teamOf('phc_last')), 'the last warning', LIMIT_MS);
    const events = await rows.query<Record<keyof StoredEvent, string> & { teamId: number; personId: string; wallClock: number }>(
      `SELECT toInt32(team_id) AS teamId, event, distinct_id AS distinctId, properties, elements_chain AS elementsChain,
              toString(toDateTime64(timestamp, 3, 'UTC')) AS timestamp, events.timestamp > now64(3) - 300 AS isNow, person_mode AS personMode,
              person_properties AS personProperties, person_created_at = toDateTime64(5, 3, 'UTC') AS isSyntheticPerson
       FROM events ORDER BY _partition, _offset`,
    );
    return {
      events: events.map((row) => ({
        ...row,
        properties: JSON.parse(row.properties) as unknown,
        personProperties: JSON.parse(row.personProperties) as unknown,
        isNow: Boolean(row.isNow),
        isSyntheticPerson: Boolean(row.isSyntheticPerson),
      })),
      warnings: await warnings(),
      heatmaps: await rows.query(
        `SELECT toInt32(team_id) AS teamId, type, x, y, scale_factor AS scaleFactor, viewport_width AS viewportWidth,
                viewport_height AS viewportHeight, pointer_target_fixed AS isFixed, current_url AS url, session_id AS sessionId,
                distinct_id AS distinctId
         FROM heatmaps`,
      ),
    };
  }

  const sortedBy = <T>(rows: readonly T[], key: (row: T) => string): T[] => rows.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));

  test.each(SEMANTIC_CASES)('$name', (one) => {
    const team = teamOf(tokenOf(one));
    const { events = [{ event: 'seen' }], warnings = [], heatmaps = [] } = one;
    const ofTeam = <T extends { readonly teamId: number }>(rows: readonly T[]): T[] => rows.filter(({ teamId }) => teamId === team);

    const stored = sortedBy(ofTeam(found.events), ({ event }) => event);
    const expected = sortedBy(events, ({ event }) => event);
    expect(stored.map(({ event }) => event)).toEqual(expected.map(({ event }) => event));
    expected.forEach((columns, n) => {
      const row = stored[n] as unknown as Record<string, unknown>;
      expect(Object.fromEntries(Object.keys(columns).map((name) => [name, row[name]]))).toEqual(columns);
    });
    const text = ({ type, details }: { readonly type: string; readonly details: unknown }): string => type + JSON.stringify(details);
    const told = ofTeam(found.warnings).map(({ type, details }) => ({ type, details: JSON.parse(details) as unknown }));
    expect(sortedBy(told, text)).toEqual(sortedBy(warnings, text));
    const cells = ofTeam(found.heatmaps).map(({ teamId: _, ...row }) => row);
    expect(sortedBy(cells, ({ type }) => type)).toEqual(heatmaps);
  });

  test('P-23, PP-3, F-1: what made no row made no person, no group type, and no first event', async () => {
    const silent = SEMANTIC_CASES.filter(({ events }) => events?.length === 0).map((one) => teamOf(tokenOf(one)));
    const personless = SEMANTIC_CASES.filter(({ name }) => name.startsWith('PP-3')).map((one) => teamOf(tokenOf(one)));
    expect([silent.length > 5, personless.length]).toEqual([true, 1]);
    const count = async (table: string, of: readonly number[]): Promise<number> =>
      Number((await sql<{ n: string }>(`SELECT count(*)::int AS n FROM ${table} WHERE team_id = ANY ('{${of.join()}}')`))[0]?.n);
    for (const table of ['posthog_person', 'posthog_persondistinctid', 'posthog_grouptypemapping', 'posthog_eventdefinition'])
      expect([table, await count(table, silent)]).toEqual([table, 0]);
    expect([await count('posthog_person', personless), await count('posthog_grouptypemapping', personless)]).toEqual([0, 0]);

    const talking = SEMANTIC_CASES.filter(({ events }) => events?.length !== 0).map((one) => teamOf(tokenOf(one)));
    const marked = async (of: readonly number[]): Promise<number> =>
      (await sql(`SELECT id FROM posthog_team WHERE ingested_event AND id = ANY ('{${of.join()}}')`)).length;
    await until(async () => (await marked(talking)) === talking.length, 'every team with an event is marked', LIMIT_MS);
    expect(await marked(silent)).toBe(0);
  });

  test('L-2, 4.7: the row of a dead letter has what can be read of the event', async () => {
    const team = teamOf(tokenOf(SEMANTIC_CASES.find(({ name }) => name.startsWith('L-2')) as SemanticCase));
    const found = await rows.query<Record<string, unknown>>(
      `SELECT toString(event_uuid) AS uuid, distinct_id, ip, site_url, error_location, error, tags, raw_payload
       FROM events_dead_letter_queue WHERE team_id = {team:Int64}`,
      { team },
    );
    expect(found).toEqual([
      {
        uuid: UUID,
        distinct_id: 'd',
        ip: '1.2.3.4',
        site_url: 'https://s.test',
        error_location: 'plugin_server_ingest_event:populateTeamDataStep',
        error: 'Event ingestion failed. Error: data is not a JSON object',
        tags: ['plugin_server', 'ingest_event'],
        raw_payload: expect.stringContaining(UUID) as string,
      },
    ]);
  });

  test('L-6: every record is counted by the step in which it ended', async () => {
    const ends = Map.groupBy(
      SEMANTIC_CASES.flatMap(({ sent }) => sent),
      ({ endsAt = 'createEventStep' }) => endsAt,
    );
    const steps = new Map([...ends].map(([step, records]) => [step, records.length]));
    steps.set('populateTeamDataStep', (steps.get('populateTeamDataStep') ?? 0) + 1); // that of everything()
    const deadLettered = steps.get('dead-lettered');
    steps.delete('dead-lettered');
    const metrics = await metricsText();
    const counted = [...steps.keys()].map(
      (step) => [step, sumOf(metrics, 'events_pipeline_last_step_total', `step_name="${step}"`)] as const,
    );
    expect(new Map(counted)).toEqual(steps);
    const sum = [...steps.values()].reduce((total, count) => total + count, 0);
    expect(sumOf(metrics, 'events_pipeline_last_step_total')).toBe(sum);
    expect(sumOf(metrics, 'event_processed_and_ingested')).toBe(sum);
    expect(sumOf(metrics, 'events_pipeline_step_error_total')).toBe(deadLettered);
    expect(sumOf(metrics, 'events_pipeline_step_dlq_total')).toBe(deadLettered);
  });

  test('T-7: every record is counted by what it names its team by, and dropped where that is nobody (T-2, T-3)', async () => {
    const named = async (teamId: boolean, token: boolean): Promise<number> =>
      sumOf(await metricsText(), 'ingestion_event_hasauthinfo_total', `team_id_present="${teamId}",token_present="${token}"`) || 0;
    const before = await named(false, true);
    expect(before).toBeGreaterThanOrEqual(SEMANTIC_CASES.flatMap(({ sent }) => sent).length);
    await surroundings.producer.send(
      TOPIC,
      [{}, { token: 'phc_nobody' }, { token: undefined }, { token: undefined, team_id: 1 }, { team_id: 1 }].map((outer) =>
        recordOf('phc_last', { outer }),
      ),
    );
    await settled();
    expect([await named(false, true), await named(true, false), await named(true, true), await named(false, false)]).toEqual([
      before + 2,
      1,
      1,
      1,
    ]);
    const metrics = await metricsText();
    const droppedAs = (cause: string): number => sumOf(metrics, 'ingestion_event_dropped_total', `drop_cause="${cause}"`);
    expect([droppedAs('no_token'), droppedAs('invalid_token')]).toEqual([2, 1]);
  });

  test('G-3, D-2, D-4, D-5: names of events, properties and groups are in the menus of the team', async () => {
    const [token, team] = ['phc_names', teamOf('phc_names')];
    await surroundings.producer.send(TOPIC, [
      recordOf(token, { event: 'bought', properties: { price: 5, load_time: 3, ok: 'TRUE', utm_x: 1, list: [], $set: { plan: 'pro' } } }),
      recordOf(token, {
        event: '$groupidentify',
        properties: { $group_type: 'firm', $group_key: 'acme', $group_set: { seats: 5 } },
      }),
    ]);
    await settled();
    const properties = (): Promise<readonly { line: string }[]> =>
      sql(`SELECT concat_ws(' ', type, group_type_index, name, property_type, is_numerical) AS line
           FROM posthog_propertydefinition WHERE team_id = ${team} ORDER BY type, name`);
    await until(async () => (await properties()).length >= 7, 'the definitions', LIMIT_MS);
    expect((await properties()).map(({ line }) => line)).toEqual([
      '1 list f',
      '1 load_time DateTime f',
      '1 ok Boolean f',
      '1 price Numeric t',
      '1 utm_x String f',
      '2 plan String f',
      '3 0 seats Numeric t',
    ]);
    const lines = async (text: string): Promise<string[]> => (await sql<{ line: string }>(text)).map(({ line }) => line);
    expect(await lines(`SELECT name AS line FROM posthog_eventdefinition WHERE team_id = ${team} ORDER BY 1`)).toEqual([
      '$groupidentify',
      'bought',
    ]);
    expect(await lines(`SELECT event || ' ' || property AS line FROM posthog_eventproperty WHERE team_id = ${team} ORDER BY 1`)).toEqual(
      ['list', 'load_time', 'ok', 'price', 'utm_x'].map((name) => `bought ${name}`),
    );
    expect(
      await lines(`SELECT group_type || ' ' || group_key || ' ' || group_properties::text || ' ' || version AS line FROM posthog_group
                        JOIN posthog_grouptypemapping USING (team_id, group_type_index) WHERE team_id = ${team}`),
    ).toEqual(['firm acme {"seats": 5} 1']);
  });

  test('X-2: the row of an exception, with its fingerprint (X-1), goes to those who make traces readable', async () => {
    const [token, team] = ['phc_thrown', teamOf('phc_thrown')];
    const frames = [{ function: 'checkout' }];
    await surroundings.producer.send(TOPIC, [
      recordOf(token, { event: '$exception', properties: { $exception_type: 'TypeError', $exception_list: [{ stacktrace: { frames } }] } }),
      recordOf(token, { event: 'seen' }),
    ]);
    await settled();
    const [row, ...more] = await rows.query<Record<string, string>>(
      `SELECT toString(uuid) AS uuid, event, properties, toString(toDateTime64(timestamp, 3, 'UTC')) AS timestamp, distinct_id,
              toString(person_id) AS person_id, person_mode
       FROM events WHERE team_id = {team:Int64} AND event = '$exception'`,
      { team },
    );
    expect(more).toEqual([]);
    expect(JSON.parse(row?.['properties'] ?? '')).toMatchObject({ $exception_fingerprint: ['TypeError', 'checkout'] });

    const witness = createWitness();
    const connection = { brokers: surroundings.kafka.brokers(), clientId: 'test' };
    const consumer = createKafkaConsumer({ connection, clock: systemClock, groupId: 'symbolification', topics: [EXCEPTIONS] });
    await consumer.start(witness.handlers);
    try {
      await until(() => witness.records.length > 0, 'the copy', LIMIT_MS);
    } finally {
      await consumer.stop();
    }
    expect(witness.records.map(({ key }) => key?.toString())).toEqual([row?.['uuid']]);
    expect(JSON.parse(witness.records[0]?.value?.toString() ?? '')).toMatchObject({ ...row, team_id: team });
    expect(Object.values(outputTopics({ prefix: '' }))).not.toContain(EXCEPTIONS);
  });
});
