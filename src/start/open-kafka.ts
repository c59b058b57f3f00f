import type { AssembleDeps } from './assemble-deps.ts';
import { kafkaTls } from '../config/kafka-tls.ts';
import { isVerified } from '../config/rules.ts';
import type { Config } from '../config/schema.ts';
import type { KafkaConnection } from '../kafka/connection.ts';
import type { KafkaProducerOptions } from '../kafka/lane-producer.ts';
import type { RecordProducer, TopicAdmin } from '../kafka/port.ts';
import { createKafkajsProducer } from '../kafka/producer-kafkajs.ts';
import { createKafkaProducer } from '../kafka/producer.ts';
import { statingProducer } from '../kafka/stating-producer.ts';

/** The producer that the settings choose. */
export function kafkaProducer(
  { config: { kafka }, clock }: Pick<AssembleDeps, 'config' | 'clock'>,
  connection: KafkaConnection,
  more: Pick<KafkaProducerOptions, 'lingerMs' | 'compression'>,
): RecordProducer {
  const options = {
    connection,
    clock,
    maxQueuedBytes: kafka.producerQueueBytes,
    maxBatchBytes: kafka.producerBatchBytes,
    ...(kafka.metadataRefreshMs === undefined ? {} : { topicRefreshMs: kafka.metadataRefreshMs }),
    ...more,
  };
  return statingProducer(kafka.producer === 'kafkajs' ? createKafkajsProducer(options) : createKafkaProducer(options));
}

const TLS_CONNECT_MS = 3_000;

/** How the settings say Kafka is reached. */
export function kafkaConnection(config: Config): KafkaConnection {
  const { kafka } = config;
  const ssl = kafkaTls(kafka, isVerified(config, 'kafka'));
  const logsIn = kafka.securityProtocol.startsWith('sasl');
  return {
    brokers: kafka.hosts.map((host) => (/:\d+$/.test(host) ? host : `${host}:9092`)),
    clientId: kafka.clientId ?? 'troupe',
    ssl,
    // The handshake is part of the attempt, and a busy broker makes it slowly.
    ...(ssl === false ? {} : { connectionTimeoutMs: TLS_CONNECT_MS }),
    logLevel: kafka.clientLogLevel,
    ...(logsIn
      ? { sasl: { mechanism: kafka.saslMechanism ?? 'plain', username: kafka.saslUser ?? '', password: kafka.saslPassword ?? '' } }
      : {}),
  };
}

/** Rule K-1: missing topics are created with the broker's defaults; where that is not allowed, the message names them. */
export async function requireTopics(admin: TopicAdmin, wanted: readonly string[]): Promise<void> {
  let refusal = '';
  try {
    await admin.ensureTopics(wanted.map((topic) => ({ topic, partitions: -1 })));
  } catch (error) {
    if (!(error instanceof Error && error.name === 'KafkaJSAggregateError')) throw error;
    refusal = (error as Error & { errors: readonly Error[] }).errors[0]?.message ?? error.message;
  }
  const present = await admin.describeTopics(wanted);
  const missing = wanted.filter((topic) => !present.has(topic));
  if (missing.length > 0) {
    throw new Error(`it has no topic ${missing.join(', ')}, and did not let us create it${refusal === '' ? '' : ` (${refusal})`}`);
  }
}
