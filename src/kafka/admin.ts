import kafkajs, { type Admin } from 'kafkajs';
import type { Clock } from '../runtime/clock.ts';
import { kafkajsConfig, PATIENT, protocolErrorOf, type KafkaConnection } from './connection.ts';
import { installIdleSpinPatch } from './kafkajs-idle-spin.ts';
import type { TopicAdmin } from './port.ts';
import { untilTopicsAreKnown } from './waiting.ts';

export interface KafkaAdminOptions {
  readonly connection: KafkaConnection;
  readonly clock: Clock;
  /** How long the brokers may take to create a topic (rule K-1). Default 5,000. */
  readonly topicCreationTimeoutMs?: number;
}

/** How long a topic that was just made may be unknown to some broker. */
const NEW_TOPIC_MS = 15_000;

/**
 * TopicAdmin over kafkajs. Connects at the first question. Topics get the broker's default replication.
 * Every method rejects with the client's error when no broker answers within about a minute.
 */
export function createKafkaAdmin({ connection, clock, topicCreationTimeoutMs = 5_000 }: KafkaAdminOptions): TopicAdmin {
  installIdleSpinPatch();
  const admin = new kafkajs.Kafka(kafkajsConfig(connection, PATIENT)).admin();
  let connecting: Promise<void> | undefined;

  async function connected(): Promise<Admin> {
    connecting ??= admin.connect().catch((error: unknown) => {
      connecting = undefined; // the next question tries again
      throw error;
    });
    await connecting;
    return admin;
  }

  return {
    async ensureTopics(topics) {
      const client = await connected();
      const existing = new Set(await client.listTopics());
      const missing = topics.filter(({ topic }) => !existing.has(topic));
      if (missing.length === 0) return;
      try {
        await client.createTopics({
          timeout: topicCreationTimeoutMs,
          waitForLeaders: false, // kafkajs rejects here when it asks a broker that has not heard of the topic
          topics: missing.map(({ topic, partitions }) => ({ topic, numPartitions: partitions, replicationFactor: -1 })),
        });
      } catch (error) {
        if (!onlyExisting(error)) throw error; // somebody else made them in the meantime
      }
      await untilTopicsAreKnown(clock, NEW_TOPIC_MS, () => client.fetchTopicMetadata({ topics: missing.map(({ topic }) => topic) }));
    },

    async describeTopics(topics) {
      const client = await connected();
      const existing = new Set(await client.listTopics());
      const asked = topics.filter((topic) => existing.has(topic));
      if (asked.length === 0) return new Map();
      const metadata = await untilTopicsAreKnown(clock, NEW_TOPIC_MS, () => client.fetchTopicMetadata({ topics: asked }));
      return new Map(metadata.topics.map(({ name, partitions }) => [name, partitions.length]));
    },

    async endOffsets(topic) {
      const client = await connected();
      const offsets = await untilTopicsAreKnown(clock, NEW_TOPIC_MS, () => client.fetchTopicOffsets(topic));
      return offsets.map(({ partition, high }) => ({ partition, offset: Number(high) })).sort((a, b) => a.partition - b.partition);
    },

    async committedOffsets(groupId, topic) {
      const [found] = await (await connected()).fetchOffsets({ groupId, topics: [topic] });
      const partitions = found?.partitions ?? [];
      return partitions
        .map(({ partition, offset }) => ({ partition, offset: Number(offset) < 0 ? undefined : Number(offset) }))
        .sort((a, b) => a.partition - b.partition);
    },

    async close() {
      await connecting?.catch(() => undefined); // whoever asked was told
      await admin.disconnect();
    },
  };
}

function onlyExisting(error: unknown): boolean {
  const errors = error instanceof Error && 'errors' in error && Array.isArray(error.errors) ? (error.errors as unknown[]) : [error];
  return errors.every((one) => protocolErrorOf(one) === 'TOPIC_ALREADY_EXISTS');
}
