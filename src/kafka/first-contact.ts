import kafkajs from 'kafkajs';
import { kafkajsConfig, type KafkaConnection } from './connection.ts';
import { installIdleSpinPatch } from './kafkajs-idle-spin.ts';

/** A TLS handshake and a login included; a broker that needs longer for the first is no broker to begin with. */
const CONNECT_MS = 3_000;

/**
 * One attempt to reach Kafka as all clients of this folder will: a connection to some broker, the login, and one question to a
 * broker by the name it gives itself. Says nothing on the way. @throws the error of kafkajs, at once: nothing is repeated.
 */
export async function tryKafka(connection: KafkaConnection): Promise<void> {
  installIdleSpinPatch();
  // Each repetition inside the client goes on to the next of the brokers that were named.
  const retry = { retries: connection.brokers.length - 1, initialRetryTime: 20, maxRetryTime: 20, multiplier: 1, factor: 0 };
  const careful = { ...connection, connectionTimeoutMs: CONNECT_MS, requestTimeoutMs: CONNECT_MS, logLevel: 'nothing' } as const;
  const admin = new kafkajs.Kafka(kafkajsConfig(careful, retry)).admin();
  try {
    await admin.connect();
    await admin.listTopics();
  } finally {
    await admin.disconnect();
  }
}
