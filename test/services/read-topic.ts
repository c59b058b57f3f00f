import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import type { KafkaConnection } from '../../src/kafka/connection.ts';
import type { KafkaRecord, TopicAdmin } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';

let groups = 0;

/** All records that a topic has now, each partition in its order. */
export async function readTopic(connection: KafkaConnection, admin: TopicAdmin, topic: string, limitMs: number): Promise<KafkaRecord[]> {
  const wanted = (await admin.endOffsets(topic)).reduce((sum, { offset }) => sum + offset, 0);
  if (wanted === 0) return [];
  const records: KafkaRecord[] = [];
  const consumer = createKafkaConsumer({ connection, clock: systemClock, groupId: `reader-${groups++}-${topic}`, topics: [topic] });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const late = setTimeout(() => reject(new Error(`${records.length} of ${wanted} records of ${topic} were read`)), limitMs);
  try {
    await consumer.start({
      assigned: () => Promise.resolve(),
      revoked: () => Promise.resolve(),
      crashed: reject,
      batch(batch) {
        records.push(...batch.records);
        if (records.length >= wanted) resolve();
        return Promise.resolve();
      },
    });
    await promise;
  } finally {
    clearTimeout(late);
    await consumer.stop();
  }
  return records;
}
