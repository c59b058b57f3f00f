import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTeam } from '../../src/postgres/seed.ts';
import { eventRecord } from '../kit/records.ts';
import { readTopic } from '../services/read-topic.ts';
import { drained, progressOf, requireSurroundings, startSurroundings, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, sumOf, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;

/** The table of spec/ingestion.md 1.1, in its own words. */
const INPUTS = [
  { topic: 'events_plugin_ingestion', group: 'clickhouse-ingestion', service: 'analytics-ingestion' },
  { topic: 'events_plugin_ingestion_overflow', group: 'clickhouse-ingestion-overflow', service: 'analytics-ingestion-overflow' },
  { topic: 'events_plugin_ingestion_historical', group: 'clickhouse-ingestion-historical', service: 'analytics-ingestion-historical' },
  { topic: 'client_iwarnings_ingestion', group: 'client_iwarnings_ingestion', service: 'events-ingestion-pipeline-ingestion_warnings' },
  { topic: 'heatmaps_ingestion', group: 'heatmaps_ingestion', service: 'events-ingestion-pipeline-heatmaps' },
  { topic: 'exceptions_ingestion', group: 'exceptions_ingestion', service: 'events-ingestion-pipeline-exceptions' },
] as const;
const [MAIN, OVERFLOW] = INPUTS;
const prefixed = (prefix: string, { topic, group }: { readonly topic: string; readonly group: string }) => ({
  topic: prefix + topic,
  group: prefix + group,
});

const surroundingsHere = await requireSurroundings();

describe.skipIf(!surroundingsHere.available)('input topics', () => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess | undefined;

  beforeAll(async () => {
    surroundings = await startSurroundings();
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  const topicsWith = (prefix: string): Promise<void> =>
    surroundings.admin.ensureTopics([
      ...INPUTS.map(({ topic }) => ({ topic: prefix + topic, partitions: 2 })),
      { topic: `${prefix}events_plugin_ingestion_dlq`, partitions: 1 },
    ]);
  const metricsOf = async (of: TroupeProcess): Promise<string> => (await fetch(`${of.urls.operations}/metrics`)).text();
  const start = (env: Readonly<Record<string, string>>): Promise<TroupeProcess> => startTroupe({ env: { ...surroundings.env, ...env } });

  test('1.1, HT-1: each is read by the group of PostHog, is a service of its own, and its events become what they are', async () => {
    const token = 'phc_six';
    await topicsWith('');
    const team = await seedTeam(surroundings.sql, { token });
    troupe = await start({ PLUGIN_SERVER_MODE: 'null' });

    const health = await fetch(`${troupe.urls.operations}/_health`);
    const { checks } = (await health.json()) as { checks: Record<string, string> };
    expect([health.status, checks]).toEqual([200, Object.fromEntries(INPUTS.map(({ service }) => [service, 'ok']))]);
    const ready = (await (await fetch(`${troupe.urls.operations}/_ready`)).json()) as { checks: Record<string, string> };
    expect(ready.checks).toMatchObject(checks);

    const sent: Readonly<Record<string, Parameters<typeof eventRecord>[0]>> = {
      events_plugin_ingestion: { token, distinctId: 'main', event: 'seen' },
      events_plugin_ingestion_overflow: { token, distinctId: 'hot', event: 'seen' },
      events_plugin_ingestion_historical: { token, distinctId: 'old', event: 'seen' },
      client_iwarnings_ingestion: {
        token,
        distinctId: 'warned',
        event: '$$client_ingestion_warning',
        properties: { $$client_ingestion_warning_message: 'too much' },
      },
      heatmaps_ingestion: { token, distinctId: 'looked', event: '$$heatmap', properties: { $heatmap_data: {} } },
      exceptions_ingestion: { token, distinctId: 'broke', event: '$exception', properties: { $exception_message: 'no' } },
    };
    for (const [topic, options] of Object.entries(sent)) await surroundings.producer.send(topic, [eventRecord(options)]);
    await drained(surroundings, LIMIT_MS, INPUTS);

    const rows = await surroundings.rows.query<{ topic: string; event: string; distinctId: string }>(
      'SELECT _topic AS topic, event, distinct_id AS distinctId FROM events WHERE team_id = {team:Int64} ORDER BY _topic',
      { team },
    );
    expect(rows).toEqual([
      { topic: 'events_plugin_ingestion', event: 'seen', distinctId: 'main' },
      { topic: 'events_plugin_ingestion_historical', event: 'seen', distinctId: 'old' },
      { topic: 'events_plugin_ingestion_overflow', event: 'seen', distinctId: 'hot' },
      { topic: 'exceptions_ingestion', event: '$exception', distinctId: 'broke' },
    ]);
    // B-7 of the overflow topic, L-3 of the warnings; a warning waits for no event, so it may come a little later.
    const warnings = (): Promise<{ type: string; details: string }[]> =>
      surroundings.rows.query('SELECT type, details FROM ingestion_warnings WHERE team_id = {team:Int64} ORDER BY type', { team });
    await until(async () => (await warnings()).length >= 2, 'both warnings', LIMIT_MS);
    const [client, capacity] = await warnings();
    expect(client).toMatchObject({ type: 'client_ingestion_warning', details: expect.stringContaining('too much') as string });
    expect(capacity).toEqual({ type: 'ingestion_capacity_overflow', details: '{"overflowDistinctId":"hot"}' });

    const metrics = await metricsOf(troupe);
    for (const { topic } of INPUTS) expect([topic, sumOf(metrics, 'troupe_outcome_total', `topic="${topic}"`)]).toEqual([topic, 1]);
    // B-12, sharp edge 4: the label is a word, and no group's name.
    const latest = metrics.split('\n').filter((line) => line.startsWith('latest_processed_timestamp_ms{'));
    expect(latest.every((line) => line.includes('groupId="ingestion"'))).toBe(true);
    for (const { topic } of INPUTS) expect(latest.some((line) => line.includes(`topic="${topic}"`))).toBe(true);
    await troupe.stop();
  });

  test('9.1: PLUGIN_SERVER_MODE=ingestion-overflow reads that topic alone', async () => {
    const [token, prefix] = ['phc_alone', 'alone_'];
    await topicsWith(prefix);
    await seedTeam(surroundings.sql, { token });
    troupe = await start({ KAFKA_PREFIX: prefix, PLUGIN_SERVER_MODE: 'ingestion-overflow' });
    for (const { topic } of [MAIN, OVERFLOW])
      await surroundings.producer.send(prefix + topic, [eventRecord({ token, distinctId: 'd', event: 'seen' })]);
    await drained(surroundings, LIMIT_MS, [prefixed(prefix, OVERFLOW)]);
    expect(await progressOf(surroundings, [prefixed(prefix, MAIN)])).toEqual({ end: 1, committed: 0 });
    const health = (await (await fetch(`${troupe.urls.operations}/_health`)).json()) as { checks: object };
    expect(Object.keys(health.checks)).toEqual([OVERFLOW.service]);
    await troupe.stop();
  });

  test('9.1: PLUGIN_SERVER_MODE=capture needs Kafka and nothing else; what it takes waits there for others', async () => {
    const prefix = 'taken_';
    await topicsWith(prefix);
    const { KAFKA_HOSTS } = surroundings.env;
    if (KAFKA_HOSTS === undefined) throw new Error('the surroundings have a Kafka');
    troupe = await startTroupe({ env: { KAFKA_HOSTS, KAFKA_PREFIX: prefix, PLUGIN_SERVER_MODE: 'capture', NODE_ENV: 'production' } });
    const event = { event: 'seen', distinct_id: 'd', properties: {} };
    const answer = await fetch(`${troupe.urls.capture}/batch/`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ api_key: 'phc_taken', batch: [event, { ...event, event: '$$heatmap' }] }),
    });
    expect(answer.status).toBe(200);
    const ends = await Promise.all([MAIN.topic, 'heatmaps_ingestion'].map(async (topic) => surroundings.admin.endOffsets(prefix + topic)));
    expect(ends.map((partitions) => partitions.reduce((sum, { offset }) => sum + offset, 0))).toEqual([1, 1]);
    expect((await fetch(`${troupe.urls.operations}/_health`)).status).toBe(200);
    // HT-3, on a real process.
    const profile = await fetch(`${troupe.urls.operations}/_profile/cpu?seconds=1`);
    expect([profile.status, profile.headers.get('content-disposition')]).toEqual([200, expect.stringMatching(/\.cpuprofile"$/)]);
    expect(await troupe.stop()).toEqual({ code: 0, signal: null });
  });

  describe.each([
    { mode: 'RerouteRandomly', keepsKeys: false },
    { mode: 'Reroute', keepsKeys: true },
  ])('B-3, B-4: overflow by $mode', ({ mode, keepsKeys }) => {
    test('a hot key goes to the other topic and comes back from it; over a restart every event is one row', async () => {
      const [token, prefix] = [`phc_${mode}`, `${mode}_`];
      const [main, overflow] = [prefix + MAIN.topic, prefix + OVERFLOW.topic];
      await topicsWith(prefix);
      const team = await seedTeam(surroundings.sql, { token });
      const env = {
        KAFKA_PREFIX: prefix,
        INGESTION_OVERFLOW_ENABLED: 'true',
        INGESTION_OVERFLOW_PRESERVE_PARTITION_LOCALITY: String(keepsKeys),
        EVENT_OVERFLOW_BUCKET_CAPACITY: '20',
        EVENT_OVERFLOW_BUCKET_REPLENISH_RATE: '0',
      };
      const uuids: string[] = [];
      let number = 0;
      const send = async (count: number): Promise<void> => {
        const records = Array.from({ length: count }, () => {
          const n = number++;
          const distinctId = n % 3 === 0 ? `quiet-${n % 40}` : 'hot';
          const uuid = randomUUID();
          uuids.push(uuid);
          return { ...eventRecord({ token, distinctId, event: 'seen', uuid, properties: { n } }), headers: { token } };
        });
        await surroundings.producer.send(main, records);
      };

      troupe = await start(env);
      await send(600);
      const first = troupe;
      await until(async () => (await first.metric('ingestion_overflowing_messages_total')) > 0, 'the first overflow', LIMIT_MS);
      const sending = send(1_500);
      const ended = await troupe.stop(); // in the middle of it
      await sending;
      expect(ended).toEqual({ code: 0, signal: null });
      troupe = await start(env);
      await send(300);
      await drained(surroundings, LIMIT_MS, [prefixed(prefix, MAIN)]);
      await drained(surroundings, LIMIT_MS, [prefixed(prefix, OVERFLOW)]);

      const rows = await surroundings.rows.query<{ uuid: string; topic: string; partition: number; distinctId: string; n: number }>(
        `SELECT toString(uuid) AS uuid, _topic AS topic, _partition AS partition, distinct_id AS distinctId,
                JSONExtractInt(properties, 'n') AS n
         FROM events WHERE team_id = {team:Int64} ORDER BY _topic, _partition, _offset`,
        { team },
      );
      expect(rows.map(({ uuid }) => uuid).sort()).toEqual(uuids.sort());
      // Of each life, what its bucket holds stays on the main topic; every quiet key does.
      const hot = rows.filter(({ distinctId }) => distinctId === 'hot');
      expect(hot.filter(({ topic }) => topic === main)).toHaveLength(40);
      expect(hot.filter(({ topic }) => topic === overflow)).toHaveLength(hot.length - 40);
      expect(rows.filter(({ distinctId, topic }) => distinctId !== 'hot' && topic !== main)).toEqual([]);
      for (const topic of [main, overflow]) {
        for (const partition of [0, 1]) {
          const order = hot.filter((row) => row.topic === topic && row.partition === partition).map(({ n }) => n);
          expect(order).toEqual([...order].sort((a, b) => a - b));
        }
      }

      const reader = { brokers: surroundings.kafka.brokers(), clientId: 'reader' };
      const redirected = await readTopic(reader, surroundings.admin, overflow, LIMIT_MS);
      expect(redirected).toHaveLength(hot.length - 40);
      const keys = new Set(redirected.map(({ key }) => key?.toString() ?? null));
      expect(keys).toEqual(new Set([keepsKeys ? `${token}:hot` : null]));
      expect(redirected.every(({ headers }) => headers?.['token']?.toString() === token)).toBe(true); // K-13

      const metrics = await metricsOf(troupe);
      const sum = (name: string, labels = ''): number => sumOf(metrics, name, labels) || 0;
      expect(sum('troupe_outcome_total', 'outcome="redirected"')).toBeGreaterThan(0);
      expect(sum('ingestion_overflowing_messages_total')).toBe(sum('troupe_outcome_total', 'outcome="redirected"'));
      expect(sum('ingestion_partition_key_overflowed', `partition_key="${team}"`)).toBe(sum('ingestion_partition_key_overflowed'));
      expect(sum('troupe_records_read_total')).toBe(
        sum('troupe_records_already_stored_total') +
          sum('troupe_outcome_total') +
          sum('troupe_records_abandoned_total') +
          sum('troupe_in_flight'),
      );
      await troupe.stop();
    });
  });
});
