import kafkajs, { type Producer } from 'kafkajs';
import type { KafkaConnection } from '../../src/kafka/connection.ts';

/** Runs `use` with a bare kafkajs producer: for records that our own producers refuse to make. */
export async function withBareProducer(connection: KafkaConnection, use: (producer: Producer) => Promise<unknown>): Promise<void> {
  const client = new kafkajs.Kafka({ brokers: [...connection.brokers], clientId: connection.clientId, logLevel: kafkajs.logLevel.NOTHING });
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    await use(producer);
  } finally {
    await producer.disconnect();
  }
}

export function appendTombstone(connection: KafkaConnection, topic: string, key: Buffer): Promise<void> {
  return withBareProducer(connection, (producer) => producer.send({ topic, messages: [{ key, value: null }] }));
}
