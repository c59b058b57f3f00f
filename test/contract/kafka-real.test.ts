import { afterAll, beforeAll, describe } from 'vitest';
import { createKafkaAdmin } from '../../src/kafka/admin.ts';
import type { KafkaConnection } from '../../src/kafka/connection.ts';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import type { KafkaProducerOptions } from '../../src/kafka/lane-producer.ts';
import type { RecordProducer } from '../../src/kafka/port.ts';
import { createKafkajsProducer } from '../../src/kafka/producer-kafkajs.ts';
import { createKafkaProducer } from '../../src/kafka/producer.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probeKafka, startKafka, type KafkaCluster } from '../services/kafka.ts';
import { appendTombstone } from './kafka-raw.ts';
import type { RecordLogUnderTest } from './kafka-log-kit.ts';
import { describeRecordLog } from './kafka-log.ts';

const kafka = await requireService('kafka', probeKafka);

describe.skipIf(!kafka.available)('real Kafka', () => {
  let cluster: KafkaCluster;
  beforeAll(async () => {
    cluster = await startKafka();
  });
  afterAll(async () => {
    await cluster?.stop();
  });

  const make = (createProducer: (options: KafkaProducerOptions) => RecordProducer) => (): Promise<RecordLogUnderTest> => {
    const connection: KafkaConnection = { brokers: cluster.brokers(), clientId: 'contract' };
    const admin = createKafkaAdmin({ connection, clock: systemClock });
    return Promise.resolve({
      admin,
      createProducer: (options) => createProducer({ connection, clock: systemClock, ...options }),
      createConsumer: (options) => createKafkaConsumer({ connection, clock: systemClock, heartbeatIntervalMs: 300, ...options }),
      appendTombstone: (topic, key) => appendTombstone(connection, topic, key),
      close: () => admin.close(),
    });
  };

  describeRecordLog('kafkajs consumer, platformatic producer', make(createKafkaProducer), { sharedGroups: true });
  describeRecordLog('kafkajs consumer, kafkajs producer', make(createKafkajsProducer), { sharedGroups: true });
});
