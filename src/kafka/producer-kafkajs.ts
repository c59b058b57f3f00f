import kafkajs, { type IHeaders, type Producer } from 'kafkajs';
import { messageOf } from '../domain/strings.ts';
import { registerCodecs } from './codecs.ts';
import { kafkajsConfig, PATIENT, protocolErrorOf, UNLIMITED } from './connection.ts';
import { installIdleSpinPatch } from './kafkajs-idle-spin.ts';
import { createLaneProducer, type KafkaProducerOptions, type ProducerClient } from './lane-producer.ts';
import { ProduceError, type RecordProducer } from './port.ts';

/**
 * RecordProducer over kafkajs in the one use of it that loses nothing: idempotent, one partition per send, one send in
 * flight per partition, unlimited retries (1.33 million records over 10 runs of killed leaders: none lost or twice).
 * It costs 2.5 times the CPU of the default producer; it is here so that there are two.
 */
export function createKafkajsProducer(options: KafkaProducerOptions): RecordProducer {
  return createLaneProducer(createKafkajsClient(options), options);
}

function createKafkajsClient({ connection, compression = 'none' }: KafkaProducerOptions): ProducerClient {
  installIdleSpinPatch();
  registerCodecs();
  const admin = new kafkajs.Kafka(kafkajsConfig(connection, { ...PATIENT, retries: 3 })).admin();
  const kafka = new kafkajs.Kafka(kafkajsConfig(connection, UNLIMITED));
  let adminConnected: Promise<void> | undefined;
  let producer: Promise<Producer> | undefined;

  function connected(): Promise<Producer> {
    producer ??= (async () => {
      const client = kafka.producer({ idempotent: true, allowAutoTopicCreation: false, metadataMaxAge: 60_000, retry: { ...UNLIMITED } });
      await client.connect();
      return client;
    })();
    return producer;
  }

  /**
   * After a send that failed for good, kafkajs uses its sequence numbers again, and the broker would take the next batch
   * of that length for a repetition. A new producer id begins anew; sends on their way end on the old one.
   */
  function startAnew(failed: Promise<Producer>): void {
    if (producer === failed) producer = undefined;
  }

  return {
    async send(topic, partition, records) {
      const current = connected();
      try {
        const client = await current;
        await client.send({
          topic,
          acks: -1,
          timeout: 5_000,
          compression: COMPRESSION[compression],
          messages: records.map(({ key, value, headers }) => ({ key, value, partition, headers: { ...headers } satisfies IHeaders })),
        });
      } catch (error) {
        const failure = classify(error, topic);
        // Refused for its size a batch took no sequence number: nothing to begin anew for.
        if (failure.code !== 'too-large') startAnew(current);
        throw failure;
      }
    },

    async countPartitions(topic) {
      adminConnected ??= admin.connect().catch((error: unknown) => {
        adminConnected = undefined;
        throw error;
      });
      await adminConnected;
      // Its metadata request names the topic, so that a missing one is no error of the whole answer.
      if (!(await admin.listTopics()).includes(topic)) return undefined;
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      return topics[0]?.partitions.length;
    },

    async close() {
      await Promise.all([producer?.then((client) => client.disconnect()), adminConnected?.then(() => admin.disconnect())]);
    },
  };
}

const COMPRESSION = {
  none: kafkajs.CompressionTypes.None,
  gzip: kafkajs.CompressionTypes.GZIP,
  snappy: kafkajs.CompressionTypes.Snappy,
  lz4: kafkajs.CompressionTypes.LZ4,
  zstd: kafkajs.CompressionTypes.ZSTD,
} as const;

function classify(error: unknown, topic: string): ProduceError {
  const answer = protocolErrorOf(error);
  if (answer === 'MESSAGE_TOO_LARGE' || answer === 'RECORD_LIST_TOO_LARGE') {
    return new ProduceError('too-large', `The broker refused records for topic '${topic}' for their size.`, { cause: error });
  }
  if (answer === 'UNKNOWN_TOPIC_OR_PARTITION')
    return new ProduceError('unknown-topic', `Kafka has no topic '${topic}' any more.`, { cause: error });
  const said = messageOf(error);
  return new ProduceError('unavailable', `Kafka refused records for topic '${topic}': ${said}`, { cause: error });
}
