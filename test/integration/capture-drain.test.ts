import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { readTopic } from '../services/read-topic.ts';
import { TOPIC, until } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 30_000;
const CLIENTS = 24;
/** A balancer that reads readiness this often, and believes it at once. */
const PROBE_MS = 50;
const here = await requireService('kafka', probeKafka);

/** One answer, or what the request failed with. */
interface Answer {
  readonly status: number;
  readonly closes: boolean;
  readonly body: string;
}

function post(url: string, agent: Agent, uuid: string): Promise<Answer> {
  const body = JSON.stringify({ api_key: 'phc_drain', event: 'worked', distinct_id: `u-${uuid.slice(0, 2)}`, uuid });
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}/e/`, { method: 'POST', agent }, (response) => void read(response).then(resolve, reject));
    request.on('error', reject).end(body);
  });
}

async function read(response: IncomingMessage): Promise<Answer> {
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
  return { status: response.statusCode ?? 0, closes: response.headers.connection === 'close', body };
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Clients with a kept-alive connection each, that repeat nothing. Half of them stop when an answer says that the connection ends, and never
 * look at readiness; the others open the next connection as long as the balancer sends them here.
 */
function startClients(url: string) {
  const stored: string[] = [];
  const odd: unknown[] = [];
  let takenOut = false;
  const agents: Agent[] = [];
  async function run(followsBalancer: boolean): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    while (!takenOut) {
      const uuid = randomUUID();
      try {
        const { status, closes } = await post(url, agent, uuid);
        if (status === 200) stored.push(uuid);
        else odd.push(status);
        if (closes && !followsBalancer) return;
      } catch (error) {
        odd.push(error);
        return;
      }
      await pause(Math.random() * 120);
    }
  }
  async function balance(): Promise<void> {
    while ((await fetch(`${url}/_readiness`)).status === 200) await pause(PROBE_MS);
    takenOut = true;
  }
  const all = Promise.all([balance(), ...Array.from({ length: CLIENTS }, (_, n) => run(n % 2 === 0))]);
  return {
    stored,
    odd,
    ended: async (): Promise<void> => {
      await all;
      for (const agent of agents) agent.destroy();
    },
  };
}

describe.skipIf(!here.available)('a capture that is told to stop', () => {
  let kafka: KafkaCluster;
  let admin: TopicAdmin;
  beforeAll(async () => {
    kafka = await startKafka({ nodes: 1 });
    admin = createKafkaAdmin({ connection: { brokers: kafka.brokers(), clientId: 'test' }, clock: systemClock });
  });
  afterAll(async () => {
    await admin?.close();
    await kafka?.stop();
  });

  const start = async (env: Readonly<Record<string, string>>): Promise<TroupeProcess> => {
    const troupe = await startTroupe({ env: { KAFKA_HOSTS: kafka.brokers().join(','), PLUGIN_SERVER_MODE: 'capture', ...env } });
    onTestFinished(() => void troupe.kill());
    return troupe;
  };
  const storedUuids = async (): Promise<ReadonlySet<string>> => {
    const records = await readTopic({ brokers: kafka.brokers(), clientId: 'reader' }, admin, TOPIC, LIMIT_MS);
    return new Set(records.map(({ value }) => (JSON.parse(value?.toString() ?? '{}') as { uuid: string }).uuid));
  };

  test('46: SIGTERM with a request in flight: it is answered 200 and stored, readiness is 503 at once, the process ends with 0', async () => {
    const troupe = await start({ TROUPE_SHUTDOWN_ANNOUNCE_MS: '1000' });
    const uuid = randomUUID();
    const body = JSON.stringify({ api_key: 'phc_drain', event: 'late', distinct_id: 'u', uuid });
    const answered = new Promise<Answer>((resolve, reject) => {
      const headers = { 'Content-Length': body.length };
      const request = httpRequest(
        `${troupe.urls.capture}/e/`,
        { method: 'POST', headers },
        (response) => void read(response).then(resolve, reject),
      );
      request.on('error', reject);
      request.write(body.slice(0, 10), () => {
        void troupe.stop();
        until(async () => (await fetch(`${troupe.urls.capture}/_readiness`)).status === 503, 'readiness is 503', 900)
          .then(async () => expect((await fetch(`${troupe.urls.operations}/_ready`)).status).toBe(503))
          .then(() => request.end(body.slice(10)))
          .catch(reject);
      });
    });
    expect(await answered).toMatchObject({ status: 200, closes: true });
    expect(await troupe.exited).toEqual({ code: 0, signal: null });
    expect(await storedUuids()).toContain(uuid);
  });

  test('45: Kafka down: 503 where the spill cannot be written either, 200 where it can, and Kafka has the event once it is back', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-capture-45-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    await writeFile(join(dir, 'file'), '');
    const withSpill = await start({ TROUPE_SPILL_DIR: join(dir, 'spill') });
    const without = await start({ TROUPE_SPILL_DIR: join(dir, 'file', 'spill') });
    const agent = new Agent();
    const [broker] = kafka.nodes;
    await broker?.kill();
    const [spilled, refused] = [randomUUID(), randomUUID()];
    const answers = await Promise.all([post(withSpill.urls.capture, agent, spilled), post(without.urls.capture, agent, refused)]);
    expect(answers.map(({ status, body }) => [status, body])).toEqual([
      [200, '{"status":"Ok"}'],
      [503, 'transient error, please retry'],
    ]);
    await broker?.start();
    await until(async () => (await storedUuids()).has(spilled), 'it was replayed', LIMIT_MS);
  });

  test('9: three stops under clients that keep their connections alive: no request fails, every 200 is in Kafka, each ends with 0 in time', async () => {
    const told: string[] = [];
    for (let round = 0; round < 3; round++) {
      const troupe = await start({ TROUPE_SHUTDOWN_ANNOUNCE_MS: '500', TROUPE_SHUTDOWN_LINGER_MS: '1000' });
      const clients = startClients(troupe.urls.capture);
      await until(() => clients.stored.length > 200, 'the clients are at work', LIMIT_MS);
      const begun = performance.now();
      const ended = await troupe.stop();
      expect(ended).toEqual({ code: 0, signal: null });
      expect(performance.now() - begun).toBeLessThan(10_000);
      await clients.ended();
      expect(clients.odd).toEqual([]);
      expect(troupe.output()).not.toContain('cut off by the stop');
      told.push(...clients.stored);
    }
    const stored = await storedUuids();
    expect(told.filter((uuid) => !stored.has(uuid))).toEqual([]);
  });
});
