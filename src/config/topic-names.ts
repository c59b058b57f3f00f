import type { Config } from './schema.ts';
import { TOPIC_PROFILES, type NamedTopics } from './topic-profiles.ts';

/** Rule 1.1: behind every topic name in the test environment. */
export const topicSuffix = ({ server }: Pick<Config, 'server'>): string => (/^test/i.test(server.environment) ? '_test' : '');

/** Rule 1.1: a topic of PostHog's as it is called in this deployment. */
export const topicName = (config: Config, name: string): string => `${config.kafka.prefix}${name}${topicSuffix(config)}`;

/** A name that is set is whole, as in PostHog, whose defaults have the prefix in them: nothing is put before or behind it (O-1). */
export function topicsOf(config: Config): NamedTopics {
  const { capture, kafka } = config;
  const names = TOPIC_PROFILES[kafka.topicProfile];
  return {
    main: kafka.topic ?? topicName(config, names.main),
    overflow: kafka.overflowTopic ?? topicName(config, names.overflow),
    historical: kafka.historicalTopic ?? topicName(config, names.historical),
    warnings: kafka.warningsTopic ?? topicName(config, names.warnings),
    heatmaps: kafka.heatmapsTopic ?? topicName(config, names.heatmaps),
    exceptions: kafka.errorTrackingTopic ?? topicName(config, names.exceptions),
    deadLetter: kafka.deadLetterTopic ?? topicName(config, names.deadLetter),
    recordings: capture.recordingsTopic ?? topicName(config, names.recordings),
    recordingsOverflow: capture.recordingsOverflowTopic ?? topicName(config, names.recordingsOverflow),
    exceptionSymbolification: kafka.exceptionsTopic ?? topicName(config, names.exceptionSymbolification),
  };
}
