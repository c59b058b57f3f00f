import type { KafkaOutput } from '../../supervisors/output.ts';
import type { AssembleDeps } from './assemble-deps.ts';
import { kafkaTarget } from './contact/targets.ts';
import { contact } from './contact/contact.ts';
import { outputTopics } from '../domain/output-topics.ts';
import type { TopicAdmin } from '../kafka/port.ts';
import { endOffsetFrom } from './end-offset.ts';
import { kafkaConnection, kafkaProducer, requireTopics } from './open-kafka.ts';
import { topicSuffix } from '../config/topic-names.ts';

/** Output kafka: a producer of its own, and the topics of section 4, which are made like all others (K-1). */
export async function openKafkaOutput(deps: AssembleDeps, admin: TopicAdmin): Promise<KafkaOutput> {
  const { config, clock, closers } = deps;
  const { kafka, output, server } = config;
  const topics = outputTopics({
    prefix: kafka.prefix,
    suffix: topicSuffix(config),
    events: output.eventsTopic,
    heatmaps: output.heatmapsTopic,
  });
  const patience = { clock, limitMs: server.contactTimeoutMs + kafka.topicCreationTimeoutMs };
  await contact(kafkaTarget(config), patience, () => requireTopics(admin, Object.values(topics)));
  // The writer gathers rows for longer than any linger: what it sends need not wait again.
  const producer = kafkaProducer(deps, kafkaConnection(config), { lingerMs: 0, compression: output.compression });
  closers.push('the Kafka producer of the output', () => producer.close());
  deps.say(`output      Kafka, topic ${topics.events} and its companions; ClickHouse is not contacted`);
  return {
    type: 'kafka',
    producer,
    topics,
    endOffset: endOffsetFrom(admin),
  };
}
