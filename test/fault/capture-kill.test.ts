import { randomUUID } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTeam } from '../../src/postgres/seed.ts';
import { freePort } from '../services/ports.ts';
import { readTopic } from '../services/read-topic.ts';
import { drained, requireSurroundings, startSurroundings, TOPIC, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const TOKEN = 'phc_capture_kill';
const CLIENTS = 12;
const LIMIT_MS = 30_000;
const here = await requireSurroundings();

/** What a client was told 200 for, in its order. */
interface Answered {
  readonly client: string;
  readonly n: number;
  readonly uuid: string;
}

/** Clients that send one event after the other, each with a distinct_id of its own, whatever becomes of the server. */
function startClients(url: string): { readonly answered: readonly Answered[]; cutOff(): number; refused(): number; stop(): Promise<void> } {
  const answered: Answered[] = [];
  let refused = 0;
  let cutOff = 0;
  let stopped = false;
  async function run(client: string): Promise<void> {
    for (let n = 0; !stopped; n++) {
      const uuid = randomUUID();
      const body = JSON.stringify({
        api_key: TOKEN,
        event: 'worked',
        distinct_id: client,
        uuid,
        timestamp: new Date().toISOString(),
        properties: { n },
      });
      try {
        const response = await fetch(`${url}/e/`, { method: 'POST', body });
        await response.arrayBuffer();
        if (response.status === 200) answered.push({ client, n, uuid });
        else refused++;
      } catch {
        cutOff++; // the server is gone, or went in the middle: nothing was promised
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const clients = Array.from({ length: CLIENTS }, (_, n) => run(`client-${n}`));
  return {
    answered,
    cutOff: () => cutOff,
    refused: () => refused,
    async stop() {
      stopped = true;
      await Promise.all(clients);
    },
  };
}

describe.skipIf(!here.available)('capture and its broker, killed under load', () => {
  let surroundings: Surroundings;
  let spillDir: string;
  let capture: TroupeProcess | undefined;
  let ingestion: TroupeProcess | undefined;
  let env: Record<string, string>;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    spillDir = await mkdtemp(join(tmpdir(), 'troupe-capture-kill-'));
    env = {
      ...surroundings.env,
      PLUGIN_SERVER_MODE: 'capture',
      TROUPE_SPILL_DIR: join(spillDir, 'spill'),
      TROUPE_CAPTURE_PORT: String(await freePort()),
    };
    await seedTeam(surroundings.sql, { token: TOKEN });
  });
  afterAll(async () => {
    await Promise.all([capture?.kill(), ingestion?.kill()]);
    await surroundings?.stop();
    await rm(spillDir, { recursive: true, force: true });
  });

  const segments = async (): Promise<number> =>
    (await readdir(spillDir, { recursive: true })).filter((path) => path.endsWith('.segment')).length;

  test('8: every request that was answered 200 is in Kafka at least once with its uuid, then in ClickHouse exactly once', async () => {
    const [broker] = surroundings.kafka.nodes;
    capture = await startTroupe({ env });
    const clients = startClients(capture.urls.capture);
    const answers = (more: number): Promise<void> => {
      const from = clients.answered.length;
      return until(() => clients.answered.length >= from + more, `${more} more answers`, LIMIT_MS);
    };

    await answers(300);
    expect(await readdir(spillDir)).toEqual([]); // 16.2 row 12: nothing on the disk so far
    await capture.kill();
    capture = await startTroupe({ env });
    await answers(200);

    // The broker dies; capture answers from the spill; then capture dies too, with all that is pending.
    await broker?.kill();
    await until(async () => (await segments()) > 0, 'something is spilled', LIMIT_MS);
    await answers(300);
    await capture.kill();
    await broker?.start();
    capture = await startTroupe({ env });
    const lifeBegan = new Map<string, number>();
    for (const { client, n } of clients.answered) lifeBegan.set(client, Math.max(n, lifeBegan.get(client) ?? -1));
    await answers(200);

    // The broker dies once more, and this capture lives to see it back.
    await broker?.kill();
    await until(async () => (await segments()) > 0, 'something is spilled again', LIMIT_MS);
    await answers(200);
    await broker?.start();
    await until(
      async () => (await capture?.metric('troupe_spill_diverted')) === 0 && (await segments()) === 0,
      'the spill is empty',
      LIMIT_MS,
    );
    await answers(200);
    await clients.stop();
    expect(clients.cutOff()).toBeGreaterThan(0); // the kills were felt
    expect(clients.refused()).toBe(0); // and every request that got an answer got a 200, also while the broker was away

    const connection = { brokers: surroundings.kafka.brokers(), clientId: 'reader' };
    const records = await readTopic(connection, surroundings.admin, TOPIC, LIMIT_MS);
    const firstAt = new Map<string, number>();
    for (const [index, { headers, value }] of records.entries()) {
      const uuid = headers?.['uuid']?.toString() ?? '';
      expect((JSON.parse(value?.toString() ?? '{}') as { uuid: string }).uuid).toBe(uuid);
      if (!firstAt.has(uuid)) firstAt.set(uuid, index);
    }
    expect(clients.answered.filter(({ uuid }) => !firstAt.has(uuid))).toEqual([]);

    // ADR 0020: within one life nothing overtakes.
    for (const ofClient of Map.groupBy(clients.answered, ({ client }) => client).values()) {
      const places = ofClient.filter(({ client, n }) => n > (lifeBegan.get(client) ?? -1)).map(({ uuid }) => firstAt.get(uuid) ?? -1);
      expect(places).toEqual(places.toSorted((a, b) => a - b));
    }

    ingestion = await startTroupe({ env: { ...surroundings.env, PLUGIN_SERVER_MODE: 'ingestion' } });
    await drained(surroundings, LIMIT_MS);
    const rows = await surroundings.rows.query<{ uuid: string; rows: string }>(
      'SELECT toString(uuid) AS uuid, toString(count()) AS rows FROM events FINAL GROUP BY uuid',
    );
    const rowsByUuid = new Map(rows.map(({ uuid, rows: count }) => [uuid, Number(count)]));
    expect(clients.answered.filter(({ uuid }) => rowsByUuid.get(uuid) !== 1)).toEqual([]);
    expect([...rowsByUuid.values()].filter((count) => count !== 1)).toEqual([]);
    console.log(
      `${clients.answered.length} answered, ${clients.cutOff()} cut off, ${records.length} records of ${firstAt.size} events, ${rows.length} rows`,
    );
  }, 150_000);
});
