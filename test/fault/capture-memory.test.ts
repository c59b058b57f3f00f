import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { until } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;
const CLIENTS = 12;
const MiB = 1 << 20;
const here = await requireService('kafka', probeKafka);

/** A batch of about 1 MiB. */
function bigBatch(): string {
  const properties = { text: 'x'.repeat(100_000) };
  const batch = Array.from({ length: 10 }, () => ({ event: 'big', distinct_id: randomUUID(), uuid: randomUUID(), properties }));
  return JSON.stringify({ api_key: 'phc_memory', batch });
}

/** Clients that send big bodies as fast as they are answered, whatever the answer. */
function startClients(url: string) {
  const statuses = new Map<number, number>();
  const failures: unknown[] = [];
  let withoutRetryAfter = 0;
  let stopped = false;
  const all = Array.from({ length: CLIENTS }, async () => {
    while (!stopped) {
      const response = await fetch(`${url}/batch/`, { method: 'POST', body: bigBatch() }).catch(
        (error: unknown) => void failures.push(error),
      );
      if (response === undefined) return;
      await response.arrayBuffer();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      if (response.status === 503 && response.headers.get('retry-after') === null) withoutRetryAfter++;
    }
  });
  return {
    count: (status: number): number => statuses.get(status) ?? 0,
    statuses: (): number[] => [...statuses.keys()].sort(),
    withoutRetryAfter: () => withoutRetryAfter,
    failures,
    async stop() {
      stopped = true;
      await Promise.all(all);
    },
  };
}

describe.skipIf(!here.available)('capture whose Kafka hangs', () => {
  let kafka: KafkaCluster;
  let dir: string;
  let troupe: TroupeProcess | undefined;
  beforeAll(async () => {
    kafka = await startKafka({ nodes: 1 });
    dir = await mkdtemp(join(tmpdir(), 'troupe-capture-memory-'));
  });
  afterAll(async () => {
    await troupe?.kill();
    await kafka?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  test('I4, I5: clients that go on sending big bodies are asked to come again, memory does not grow with what they send, and health answers', async () => {
    const running = (troupe = await startTroupe({
      env: {
        KAFKA_HOSTS: kafka.brokers().join(','),
        PLUGIN_SERVER_MODE: 'capture',
        TROUPE_SPILL_DIR: join(dir, 'spill'),
        TROUPE_SPILL_MAX_BYTES: String(24 * MiB),
        TROUPE_CAPTURE_IN_FLIGHT_BYTES: String(24 * MiB),
        TROUPE_KAFKA_PRODUCER_QUEUE_BYTES: String(16 * MiB),
      },
    }));
    const [broker] = kafka.nodes;
    const clients = startClients(running.urls.capture);
    await until(() => clients.count(200) > 20, 'batches are stored', LIMIT_MS);
    broker?.freeze();
    try {
      await until(() => clients.count(503) > 40, 'the spill is full and clients are asked to come again', LIMIT_MS);
      /** The greatest of a time in which so many more batches are refused. */
      const peakBytes = async (batches: number): Promise<number> => {
        const from = clients.count(503);
        let peak = 0;
        await until(
          async () => {
            peak = Math.max(peak, running.rssBytes());
            expect((await fetch(`${running.urls.capture}/_liveness`)).status).toBe(200);
            return clients.count(503) > from + batches;
          },
          `${batches} more batches are refused`,
          LIMIT_MS,
        );
        return peak;
      };
      const first = await peakBytes(60);
      const later = await peakBytes(150);
      console.log(`${clients.count(503)} MiB refused; memory at most ${Math.round(first / MiB)} MiB, later ${Math.round(later / MiB)} MiB`);
      expect(later).toBeLessThan(first * 1.2 + 50 * MiB);
      expect(later).toBeLessThan(1_000 * MiB);
    } finally {
      broker?.thaw();
    }
    const stored = clients.count(200);
    await until(() => clients.count(200) > stored + 20, 'batches are stored again', LIMIT_MS);
    await clients.stop();
    expect(clients.statuses()).toEqual([200, 503]);
    expect(clients.withoutRetryAfter()).toBe(0);
    expect(clients.failures).toEqual([]);
  });
});
