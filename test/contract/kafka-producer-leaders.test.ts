import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { KafkaConnection } from '../../src/kafka/connection.ts';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import type { KafkaProducerOptions } from '../../src/kafka/lane-producer.ts';
import type { RecordProducer, TopicAdmin } from '../../src/kafka/port.ts';
import { createKafkajsProducer } from '../../src/kafka/producer-kafkajs.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { createWitness, until } from './kafka-log-kit.ts';

const KILLS = Number(process.env['TROUPE_LEADER_KILLS'] ?? 3);
const PARTITIONS = 6;
const KEYS = 24;
/** Enough to have every lane busy at each kill, little enough for two shared cores. */
const CALLS_IN_FLIGHT = 32;

const kafka = await requireService('kafka', probeKafka);

/** Sends records whose value says their place in their key's order, and remembers which were acknowledged. */
function startSending(
  producer: RecordProducer,
  topic: string,
): { readonly acknowledged: Set<string>; readonly failures: Error[]; stop(): Promise<void> } {
  const acknowledged = new Set<string>();
  const failures: Error[] = [];
  const sequences = new Array<number>(KEYS).fill(0);
  let running = true;
  let turn = 0;
  async function sender(): Promise<void> {
    while (running) {
      const values: string[] = [];
      for (let n = 0; n < 5; n++) {
        const key = turn++ % KEYS;
        values.push(`${key}:${sequences[key]}`);
        sequences[key] = (sequences[key] ?? 0) + 1;
      }
      try {
        await producer.send(
          topic,
          values.map((value) => ({ key: Buffer.from(value.split(':', 1)[0] ?? ''), value: Buffer.from(value.padEnd(300)) })),
        );
        for (const value of values) acknowledged.add(value);
      } catch (error) {
        failures.push(error as Error);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
  const senders = Array.from({ length: CALLS_IN_FLIGHT }, () => sender());
  return {
    acknowledged,
    failures,
    async stop() {
      running = false;
      await Promise.all(senders);
    },
  };
}

describe.skipIf(!kafka.available)('clients while leaders are killed', () => {
  let cluster: KafkaCluster;
  let connection: KafkaConnection;
  let admin: TopicAdmin;
  const clients: Readonly<Record<string, (options: KafkaProducerOptions) => RecordProducer>> = {
    platformatic: createKafkaProducer,
    kafkajs: createKafkajsProducer,
  };

  beforeAll(async () => {
    cluster = await startKafka({ nodes: 3 });
    connection = { brokers: cluster.brokers(), clientId: 'leaders' };
    admin = createKafkaAdmin({ connection, clock: systemClock });
  });
  afterAll(async () => {
    await admin?.close();
    await cluster?.stop();
  });

  async function readAll(topic: string): Promise<{ readonly key: number; readonly sequence: number }[]> {
    const witness = createWitness();
    const consumer = createKafkaConsumer({ connection, clock: systemClock, groupId: `reader-${topic}`, topics: [topic] });
    await consumer.start(witness.handlers);
    const count = (await admin.endOffsets(topic)).reduce((sum, { offset }) => sum + offset, 0);
    await until(() => witness.records.length >= count, `${count} records of ${topic}`);
    await consumer.stop();
    expect(witness.records.length).toBe(count);
    return witness.records.map(({ value }) => {
      const [key, sequence] = (value?.toString() ?? '').split(':').map(Number);
      return { key: key ?? -1, sequence: sequence ?? -1 };
    });
  }

  it(
    `producers lose, double and reorder nothing that was acknowledged, and the consumer rides along (${KILLS} kills)`,
    { timeout: 60_000 + KILLS * 30_000 },
    async () => {
      const runs = await Promise.all(
        Object.entries(clients).map(async ([name, create]) => {
          const topic = `${name}-${randomBytes(4).toString('hex')}`;
          await admin.ensureTopics([{ topic, partitions: PARTITIONS }]);
          const producer = create({ connection: { ...connection, clientId: name }, clock: systemClock, sendTimeoutMs: 60_000 });
          return { name, topic, producer, sending: startSending(producer, topic) };
        }),
      );
      // One consumer reads along. It commits nothing, so that a rebalance would show as records read again.
      const along = createWitness();
      const consumer = createKafkaConsumer({
        connection,
        clock: systemClock,
        groupId: 'along',
        topics: runs.map(({ topic }) => topic),
        heartbeatIntervalMs: 500,
      });
      await consumer.start(along.handlers);
      const counts = (): number[] => runs.map(({ sending }) => sending.acknowledged.size);
      for (let kill = 0; kill < KILLS; kill++) {
        const before = counts();
        await until(() => counts().every((count, n) => count > (before[n] ?? 0) + 500), 'both producers make progress', 60_000);
        const node = cluster.nodes[kill % cluster.nodes.length];
        await node?.kill();
        const during = counts();
        await until(
          () => counts().every((count, n) => count > (during[n] ?? 0) + 500),
          'both producers go on without the dead broker',
          60_000,
        );
        await node?.start();
      }
      await Promise.all(runs.map(({ sending }) => sending.stop()));
      await Promise.all(runs.map(({ producer }) => producer.close()));

      let produced = 0;
      for (const { topic } of runs) for (const { offset } of await admin.endOffsets(topic)) produced += offset;
      await until(() => along.records.length >= produced, 'the consumer that reads along to have read everything', 60_000);
      await consumer.stop();
      expect({ generations: along.assignments.length, read: along.records.length, crashes: along.crashes }).toEqual({
        generations: 1,
        read: produced,
        crashes: [],
      });

      for (const { name, topic, sending } of runs) {
        const log = await readAll(topic);
        const seen = new Set(log.map(({ key, sequence }) => `${key}:${sequence}`));
        const lost = [...sending.acknowledged].filter((value) => !seen.has(value)).length;
        const newest = new Map<number, number>();
        let orderBreaks = 0;
        for (const { key, sequence } of log) {
          if (sequence <= (newest.get(key) ?? -1)) orderBreaks++;
          newest.set(key, sequence);
        }
        const report = { name, lost, twice: log.length - seen.size, orderBreaks, failures: sending.failures.map(({ message }) => message) };
        console.info(`${name}: ${sending.acknowledged.size} records acknowledged over ${KILLS} kills, ${log.length} in the log`);
        expect(report).toEqual({ name, lost: 0, twice: 0, orderBreaks: 0, failures: [] });
      }
    },
  );
});
