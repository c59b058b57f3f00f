import { randomUUID } from 'node:crypto';
import { PostHog } from 'posthog-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { personUuid } from '../../src/domain/uuid.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { createRedisStateStore } from '../../src/redis/client.ts';
import { eventRecord } from '../kit/records.ts';
import { drained, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = 'phc_spine';
const LIMIT_MS = 60_000;

interface Stored {
  readonly uuid: string;
  readonly event: string;
  readonly distinctId: string;
  readonly personId: string;
  readonly personMode: string;
  readonly properties: string;
  readonly personProperties: string;
}

const surroundingsHere = await requireSurroundings();

/** Kafka, PostgreSQL, ClickHouse, Redis and the process, all real; no fault. */
describe.skipIf(!surroundingsHere.available)('the spine: events in, one row each out', () => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  let team: number;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    team = await seedTeam(surroundings.sql, { token: TOKEN });
    troupe = await startTroupe({ env: surroundings.env });
  });
  afterAll(async () => {
    await troupe?.kill();
    await surroundings?.stop();
  });

  const storedOf = (where: string, params: Record<string, unknown>): Promise<Stored[]> =>
    surroundings.rows.query<Stored>(
      `SELECT toString(uuid) AS uuid, event, distinct_id AS distinctId, toString(person_id) AS personId,
              toString(person_mode) AS personMode, properties, person_properties AS personProperties
       FROM events WHERE team_id = {team:Int64} AND ${where} ORDER BY distinct_id, _offset`,
      { team, ...params },
    );
  const personOf = async (distinctId: string): Promise<{ uuid: string; properties: Record<string, unknown> } | undefined> => {
    const [person] = await surroundings.sql.run<{ uuid: string; properties: Record<string, unknown> }>(
      {
        name: 'test-person-of',
        text: `SELECT p.uuid::text AS uuid, p.properties FROM posthog_person p
               JOIN posthog_persondistinctid d ON d.person_id = p.id WHERE d.team_id = $1 AND d.distinct_id = $2`,
      },
      [team, distinctId],
    );
    return person;
  };

  test('a thousand records of forty people become a thousand rows, in order, each with its person', async () => {
    const people = Array.from({ length: 40 }, (_, n) => `reader-${n}`);
    const uuids: string[] = [];
    for (let step = 0; step < 25; step++) {
      const batch = people.map((distinctId) => {
        const uuid = randomUUID();
        uuids.push(uuid);
        return eventRecord({
          token: TOKEN,
          distinctId,
          event: 'read',
          uuid,
          properties: { step, $set: { last: step }, $set_once: { first: step } },
        });
      });
      await surroundings.producer.send(TOPIC, batch);
    }
    await drained(surroundings, LIMIT_MS);

    const stored = await storedOf("startsWith(distinct_id, 'reader-')", {});
    expect(stored).toHaveLength(1_000);
    expect(stored.map(({ uuid }) => uuid).sort()).toEqual(uuids.sort());
    for (const distinctId of people) {
      const own = stored.filter((row) => row.distinctId === distinctId);
      expect(own.map(({ properties }) => (JSON.parse(properties) as { step: number }).step)).toEqual(
        Array.from({ length: 25 }, (_, i) => i),
      );
      expect(new Set(own.map(({ personId }) => personId))).toEqual(new Set([personUuid(team, distinctId)]));
    }
    const person = await personOf('reader-7');
    expect(person).toMatchObject({ uuid: personUuid(team, 'reader-7'), properties: { last: 24, first: 0 } });
    expect(JSON.parse(stored.find(({ distinctId }) => distinctId === 'reader-7')?.personProperties ?? '')).toMatchObject({
      last: 0,
      first: 0,
    });
  });

  test('what posthog-node captures, identifies, aliases and groups arrives whole', async () => {
    const client = new PostHog(TOKEN, { host: troupe.urls.capture, flushAt: 20, flushInterval: 50 });
    const failures: unknown[] = [];
    client.on('error', (error: unknown) => failures.push(error));
    client.capture({ distinctId: 'anon-ann', event: 'looked', properties: { $set_once: { source: 'ad' } } });
    await client.flush();
    await drained(surroundings, LIMIT_MS);
    client.capture({ distinctId: 'ann', event: '$identify', properties: { $anon_distinct_id: 'anon-ann', $set: { plan: 'pro' } } });
    client.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { seats: 5 }, distinctId: 'ann' });
    client.capture({ distinctId: 'ann', event: 'bought', properties: { $set: { vip: true } }, groups: { company: 'acme' } });
    client.capture({ distinctId: 'visitor', event: 'passed', properties: { $process_person_profile: false } });
    await client.shutdown();
    expect(failures).toEqual([]);
    await drained(surroundings, LIMIT_MS);

    const stored = await storedOf("distinct_id IN ('ann', 'anon-ann', 'visitor')", {});
    expect(stored.map(({ event }) => event).sort()).toEqual(['$groupidentify', '$identify', 'bought', 'looked', 'passed']);
    const person = await personOf('ann');
    expect(person?.properties).toMatchObject({ source: 'ad', plan: 'pro', vip: true });
    expect(await personOf('anon-ann')).toEqual(person);
    const bought = stored.find(({ event }) => event === 'bought');
    expect(bought?.personId).toBe(person?.uuid);
    expect(JSON.parse(bought?.properties ?? '')).toMatchObject({ $group_0: 'acme', $groups: { company: 'acme' } });
    expect(stored.find(({ event }) => event === 'passed')).toMatchObject({ personMode: 'propertyless', personProperties: '{}' });
    expect(await personOf('visitor')).toBeUndefined();

    const [group] = await surroundings.rows.query<{ properties: string }>(
      "SELECT group_properties AS properties FROM groups FINAL WHERE team_id = {team:Int64} AND group_key = 'acme'",
      { team },
    );
    expect(JSON.parse(group?.properties ?? '')).toEqual({ seats: 5 });
  });

  test("C-8: PostHog's web finds a living plugin-server in Redis", async () => {
    const redis = createRedisStateStore({ url: surroundings.redis.url, timeoutMs: 1_000 });
    try {
      await until(async () => (await redis.get('@posthog-plugin-server/ping')) !== undefined, 'the ping is there', LIMIT_MS);
      const ping = (await redis.get('@posthog-plugin-server/ping')) ?? '';
      expect(Date.now() - Date.parse(ping)).toBeLessThan(60_000);
      expect(await redis.get('@posthog-plugin-server/version')).toMatch(/^\d+\.\d+\.\d+/);
    } finally {
      await redis.close();
    }
  });

  test('warnings have their rows: a merge on an illegal id, and one that the client raised', async () => {
    const record = (event: string, properties: Record<string, unknown>) =>
      eventRecord({ token: TOKEN, distinctId: 'wanda', event, properties });
    await surroundings.producer.send(TOPIC, [
      record('$identify', { $anon_distinct_id: 'null' }),
      record('$$client_ingestion_warning', { $$client_ingestion_warning_message: 'clock is wrong' }),
      record('after', {}),
    ]);
    await drained(surroundings, LIMIT_MS);
    expect((await storedOf("distinct_id = 'wanda'", {})).map(({ event }) => event)).toEqual(['$identify', 'after']);
    const warnings = (): Promise<{ type: string; details: string }[]> =>
      surroundings.rows.query('SELECT type, details FROM ingestion_warnings WHERE team_id = {team:Int64} ORDER BY type', { team });
    await until(async () => (await warnings()).length >= 2, 'two warnings are stored', LIMIT_MS);
    const found = await warnings();
    expect(found.map(({ type }) => type)).toEqual(['cannot_merge_with_illegal_distinct_id', 'client_ingestion_warning']);
    expect(found[1]?.details).toContain('clock is wrong');
  });
});
