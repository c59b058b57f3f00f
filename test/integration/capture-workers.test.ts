import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { readTopic } from '../services/read-topic.ts';
import { TOPIC, until } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

/** ADR 0025: several workers behind one port, as whole processes, in front of a real Kafka. */
const LIMIT_MS = 40_000;
const CLIENTS = 24;
const here = await requireService('kafka', probeKafka);

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function post(url: string, agent: Agent, uuid: string): Promise<number> {
  const body = JSON.stringify({ api_key: 'phc_workers', event: 'worked', distinct_id: uuid.slice(0, 2), uuid });
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${url}/e/`, { method: 'POST', agent }, (response) => {
      response.on('error', reject);
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject).end(body);
  });
}

/** Clients with a kept-alive connection each, that repeat nothing and connect again when theirs ends. */
function startClients(url: string) {
  const stored: string[] = [];
  const refused: number[] = [];
  let failed = 0;
  let stopped = false;
  const all = Array.from({ length: CLIENTS }, async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while (!stopped) {
      const uuid = randomUUID();
      await post(url, agent, uuid).then(
        (status) => void (status === 200 ? stored.push(uuid) : refused.push(status)),
        () => void failed++,
      );
      await pause(Math.random() * 20);
    }
    agent.destroy();
  });
  return {
    stored,
    refused,
    failedCount: () => failed,
    async stop() {
      stopped = true;
      await Promise.all(all);
    },
  };
}

describe.skipIf(!here.available)('capture with workers', () => {
  let kafka: KafkaCluster;
  let admin: TopicAdmin;
  let dir: string;
  let troupe: TroupeProcess | undefined;
  beforeAll(async () => {
    kafka = await startKafka({ nodes: 1 });
    admin = createKafkaAdmin({ connection: { brokers: kafka.brokers(), clientId: 'test' }, clock: systemClock });
    dir = await mkdtemp(join(tmpdir(), 'troupe-capture-workers-'));
  });
  afterEach(() => troupe?.kill());
  afterAll(async () => {
    await admin?.close();
    await kafka?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const start = async (env: Readonly<Record<string, string>> = {}): Promise<TroupeProcess> =>
    (troupe = await startTroupe({
      env: {
        KAFKA_HOSTS: kafka.brokers().join(','),
        PLUGIN_SERVER_MODE: 'capture',
        TROUPE_CAPTURE_WORKERS: '2',
        TROUPE_SPILL_DIR: join(dir, 'spill'),
        TROUPE_SPILL_INSTANCE: 'host',
        ...env,
      },
    }));
  /** The processes of the workers, by their slots. */
  const pidsOf = (running: TroupeProcess): number[] => {
    const pids: number[] = [];
    for (const [, fields = ''] of running.output().matchAll(/(\{.*"message":"A worker serves\.".*\})/g)) {
      const { slot, pid } = JSON.parse(fields) as { slot: number; pid: number };
      pids[slot - 1] = pid;
    }
    return pids;
  };
  const bothServe = (running: TroupeProcess): Promise<void> =>
    until(async () => (await running.metric('troupe_workers')) === 2, 'both workers serve', LIMIT_MS);
  const requestsOf = (process: TroupeProcess, worker: number): Promise<number> =>
    process.metric('troupe_capture_requests_total', `worker="${worker}"`);
  const missing = async (uuids: readonly string[]): Promise<string[]> => {
    const records = await readTopic({ brokers: kafka.brokers(), clientId: 'reader' }, admin, TOPIC, LIMIT_MS);
    const stored = new Set(records.map(({ value }) => (JSON.parse(value?.toString() ?? '{}') as { uuid: string }).uuid));
    return uuids.filter((uuid) => !stored.has(uuid));
  };

  test('two share a port and both serve; one that is killed fails its own connections alone, comes back, and nothing that was answered is lost', async () => {
    const running = await start();
    await bothServe(running);
    const clients = startClients(running.urls.capture);
    await until(async () => (await requestsOf(running, 1)) > 20 && (await requestsOf(running, 2)) > 20, 'both serve requests', LIMIT_MS);

    const [first = 0] = pidsOf(running);
    process.kill(first, 'SIGKILL');
    await until(() => pidsOf(running)[0] !== first, 'the first is there again', LIMIT_MS);
    await bothServe(running);
    // Each client had one connection, half of them at most to the dead worker, and one request on it.
    expect(clients.failedCount()).toBeLessThanOrEqual(CLIENTS);
    const failed = clients.failedCount();
    const answered = clients.stored.length;
    await until(() => clients.stored.length > answered + 200, 'requests are answered', LIMIT_MS);
    expect(clients.failedCount()).toBe(failed);
    expect(await running.isReady()).toBe(true);
    await clients.stop();
    expect(clients.refused).toEqual([]);
    expect(await running.metric('troupe_worker_died_total')).toBe(1);

    expect(await running.stop()).toEqual({ code: 0, signal: null });
    expect(await missing(clients.stored)).toEqual([]);
  });

  test('what a killed worker had spilled is adopted by another, and is in Kafka when that is back', async () => {
    const running = await start();
    await bothServe(running);
    const clients = startClients(running.urls.capture);
    await until(() => clients.stored.length > 100, 'requests are answered', LIMIT_MS);
    const [broker] = kafka.nodes;
    await broker?.kill();
    await until(async () => (await spillersOf(dir)).length === 2, 'both spill', LIMIT_MS);
    const answered = clients.stored.length;
    await until(() => clients.stored.length > answered + 100, 'requests are answered from the spill', LIMIT_MS);
    const before = pidsOf(running);
    process.kill(before[1] ?? 0, 'SIGKILL');
    await until(() => pidsOf(running)[1] !== before[1], 'the second is there again', LIMIT_MS);
    await broker?.start();
    await clients.stop();
    expect(clients.refused).toEqual([]);
    await until(async () => (await missing(clients.stored)).length === 0, 'all that was answered is in Kafka', LIMIT_MS);
    expect(await running.stop()).toEqual({ code: 0, signal: null });
  });

  test('a stop drains all of them and fails no request; a reload reaches all of them', async () => {
    const configFile = join(dir, 'troupe.yaml');
    await writeFile(configFile, 'ingestion:\n  dropByTokenDistinctId: phc_other\n');
    const running = await start({
      TROUPE_CONFIG_FILE: configFile,
      TROUPE_SHUTDOWN_ANNOUNCE_MS: '300',
      TROUPE_SHUTDOWN_LINGER_MS: '1500',
    });
    await bothServe(running);
    await writeFile(configFile, 'ingestion:\n  dropByTokenDistinctId: phc_another\n');
    process.kill(running.pid, 'SIGHUP');
    const generations = async (): Promise<number[]> =>
      Promise.all([1, 2].map((worker) => running.metric('troupe_config_generation', `worker="${worker}"`)));
    await until(async () => (await generations()).every((generation) => generation >= 2), 'both have the new settings', LIMIT_MS);

    const clients = startClients(running.urls.capture);
    await until(() => clients.stored.length > 200, 'requests are answered', LIMIT_MS);
    const ending = running.stop();
    await until(async () => (await fetch(`${running.urls.operations}/_ready`)).status === 503, 'it says that it stops', 1_000);
    await clients.stop();
    expect(await ending).toEqual({ code: 0, signal: null });
    expect([clients.failedCount(), clients.refused]).toEqual([0, []]);
    expect(await missing(clients.stored)).toEqual([]);
  });

  test('a worker that cannot start ends the whole, which says why', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const failure = await start({ TROUPE_CAPTURE_PORT: String(port) }).catch((error: unknown) => error);
    taken.close();
    expect(String(failure)).toContain('the port is in use. Set TROUPE_CAPTURE_PORT');
    expect(String(failure)).toContain('Capture cannot go on: a worker ended (code 1) before any had started');
  });

  test('when the primary is killed its workers drain and end: nobody would tell them to', async () => {
    const running = await start();
    await bothServe(running);
    const clients = startClients(running.urls.capture);
    await until(() => clients.stored.length > 100, 'requests are answered', LIMIT_MS);
    const ended = running.kill(); // resolves when the last of those that write to its output is gone
    await clients.stop();
    await ended;
    // An orphan that has ended is a zombie until somebody reaps it, which in a container nobody may.
    const isGone = (pid: number): boolean =>
      !existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    expect(pidsOf(running).map(isGone)).toEqual([true, true]);
    expect(await missing(clients.stored)).toEqual([]);
  });
});

/** Names of the instances that have something in the spill. */
async function spillersOf(dir: string): Promise<string[]> {
  const segments = (await readdir(join(dir, 'spill'), { recursive: true })).filter((path) => path.endsWith('.segment'));
  return [...new Set(segments.map((path) => path.split('~')[0] ?? ''))];
}
