import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTeam } from '../../src/postgres/seed.ts';
import { eventRecord } from '../kit/records.ts';
import { freePort } from '../services/ports.ts';
import { drained, progressOf, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { spawnTroupe, startTroupe, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = 'phc_startup';
const here = await requireSurroundings();

/** A start that must fail: what is wrong in it, and what the message has to name. */
interface Case {
  readonly name: string;
  readonly env: () => Readonly<Record<string, string>>;
  readonly names: readonly (string | RegExp)[];
}

/** Servers are often started together, so an address where nobody answers is tried again; here nobody will. */
const IMPATIENT = { TROUPE_CONTACT_TIMEOUT_MS: '2000' };

describe.skipIf(!here.available)(
  'in bad surroundings Troupe says what is wrong and what to do, exits with a failure, and consumes nothing',
  () => {
    let surroundings: Surroundings;
    let occupied: Server;
    let closedPort: number;
    const otherDatabase = 'half_made';
    const running: TroupeProcess[] = [];

    const cases: readonly Case[] = [
      {
        name: 'a setting that cannot be read, and one that does not exist',
        env: () => ({ KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS: 'soon', TROUPE_CAPTURE_PROT: '8010' }),
        names: [
          'Invalid KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS soon',
          'a whole number from 6000',
          'TROUPE_CAPTURE_PROT',
          'did you mean TROUPE_CAPTURE_PORT?',
        ],
      },
      {
        name: '9.1: a mode of which nothing is built',
        env: () => ({ PLUGIN_SERVER_MODE: 'async' }),
        names: ['PLUGIN_SERVER_MODE = async', 'plugin jobs, scheduled plugin tasks', "leave that to PostHog's plugin-server"],
      },
      {
        name: 'settings that contradict one another',
        env: () => ({ TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS: '60000' }),
        names: ['the zombie rule', 'TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS', 'raise KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS'],
      },
      {
        name: 'a plugin of capture that cannot begin',
        env: () => ({ TROUPE_CAPTURE_PLUGINS: 'examples/capture-plugins/keep-in-file.ts' }),
        names: ['The capture plugin examples/capture-plugins/keep-in-file.ts cannot be used', 'TROUPE_CAPTURE_PLUGINS'],
      },
      {
        name: 'a port that is taken',
        env: () => ({ HTTP_SERVER_PORT: String((occupied.address() as AddressInfo).port) }),
        names: ['the port is in use', 'HTTP_SERVER_PORT'],
      },
      {
        name: 'a ClickHouse table without the columns it needs',
        env: () => ({ CLICKHOUSE_DATABASE: otherDatabase }),
        names: ['column events._offset is missing', 'ALTER TABLE events ADD COLUMN IF NOT EXISTS _offset', '--migrate'],
      },
      {
        name: 'a PostgreSQL table without a column it needs',
        env: () => ({ DATABASE_URL: `${surroundings.env['DATABASE_URL'] ?? ''}`.replace('/postgres?', `/${otherDatabase}?`) }),
        names: ['posthog_person', 'version', 'DATABASE_URL'],
      },
      {
        name: 'no PostgreSQL at the address',
        env: () => ({ DATABASE_URL: `postgres://ann:secret@127.0.0.1:${closedPort}/posthog` }),
        names: [/PostgreSQL at 127\.0\.0\.1:\d+/, 'ECONNREFUSED', 'DATABASE_URL'],
      },
      {
        name: 'no ClickHouse at the address',
        env: () => ({ CLICKHOUSE_HOST: `127.0.0.1:${closedPort}` }),
        names: [/ClickHouse at http:\/\/127\.0\.0\.1:\d+/, 'cannot be reached', 'CLICKHOUSE_HOST'],
      },
      {
        name: 'a ClickHouse password that is wrong',
        env: () => ({ CLICKHOUSE_PASSWORD: 'a guess' }),
        names: ['Authentication failed', 'CLICKHOUSE_PASSWORD'],
      },
      {
        name: 'a topic that is missing and cannot be created',
        env: () => ({ KAFKA_PREFIX: 'no such/' }),
        names: [/has no topic no such\/events_plugin_ingestion/, 'invalid topic', 'KAFKA_HOSTS'],
      },
      {
        name: 'no Kafka at the address',
        env: () => ({ KAFKA_HOSTS: `127.0.0.1:${closedPort}` }),
        names: [/Kafka at 127\.0\.0\.1:\d+ cannot be used/, 'ECONNREFUSED', 'KAFKA_HOSTS'],
      },
    ];
    const started = new Map<string, Promise<TroupeProcess>>();

    beforeAll(async () => {
      surroundings = await startSurroundings();
      const team = await seedTeam(surroundings.sql, { token: TOKEN });
      expect(team).toBeGreaterThan(0);
      await surroundings.producer.send(TOPIC, [eventRecord({ token: TOKEN, distinctId: 'ann', event: 'waiting' })]);
      occupied = createServer();
      await new Promise<void>((resolve) => occupied.listen(0, '127.0.0.1', resolve));
      closedPort = await freePort();
      await surroundings.rows.command(`CREATE DATABASE ${otherDatabase}`);
      await surroundings.rows.command(
        `CREATE TABLE ${otherDatabase}.events (uuid UUID, event String, properties String, timestamp DateTime64(6, 'UTC'), team_id Int64,
       distinct_id String) ENGINE = MergeTree ORDER BY (team_id, timestamp)`,
      );
      await surroundings.sql.script('test-other-database', `CREATE DATABASE ${otherDatabase}`);
      const other = surroundings.postgres.client({
        connectionString: surroundings.postgres.connectionString.replace('/postgres?', `/${otherDatabase}?`),
      });
      await other.script('test-half-made-table', 'CREATE TABLE posthog_person (id bigserial PRIMARY KEY, team_id integer NOT NULL)');
    });
    afterAll(async () => {
      for (const process of [...running, ...(await Promise.all(started.values()))]) await process.kill();
      await new Promise((resolve) => occupied?.close(resolve));
      await surroundings?.stop();
    });

    const startOf = ({ name, env }: Case): Promise<TroupeProcess> => {
      const known = started.get(name) ?? spawnTroupe({ env: { ...surroundings.env, ...IMPATIENT, ...env() } });
      started.set(name, known);
      return known;
    };

    test.each(cases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
      const process = await startOf(one);
      const { code } = await process.exited;
      const output = process.output();
      for (const name of one.names) expect(output).toMatch(name);
      expect(output).not.toContain('secret'); // no password in a message
      expect(output.replace(/^\{.*$/gm, '')).not.toMatch(/^ {4}at /m); // a message for people, no stack
      expect(code).toBe(1);
    });

    test('none of them consumed anything', async () => {
      let progress = { end: Number.NaN, committed: Number.NaN };
      // The first question for a group makes the broker load its offsets, and is refused meanwhile.
      await until(async () => Number.isFinite((progress = await progressOf(surroundings)).end), 'the group can be asked for', 30_000);
      expect(progress).toEqual({ end: 1, committed: 0 });
    });

    test('without Redis it starts all the same, and ingests', async () => {
      const process = await startTroupe({ env: { ...surroundings.env, REDIS_URL: `redis://127.0.0.1:${closedPort}` } });
      running.push(process);
      await drained(surroundings, 30_000);
      expect(await surroundings.rows.query("SELECT event FROM events WHERE distinct_id = 'ann'")).toEqual([{ event: 'waiting' }]);
      expect((await process.stop()).code).toBe(0);
    });

    test('of two processes on one data folder the second ends, names the folder and leaves the first alone', async () => {
      const dataDir = mkdtempSync(join(tmpdir(), 'troupe-test-shared-'));
      try {
        const first = await startTroupe({ env: {}, dataDir });
        running.push(first);
        const second = await spawnTroupe({ env: {}, dataDir });
        running.push(second);
        const { code } = await second.exited;
        expect(code).toBe(1);
        expect(second.output()).toContain(dataDir);
        expect(second.output()).toMatch(/in use|process \d+/);
        expect(await first.isReady()).toBe(true);
        expect((await first.stop()).code).toBe(0);
      } finally {
        for (const process of running) await process.kill();
        rmSync(dataDir, { recursive: true, force: true });
      }
    });
  },
);
