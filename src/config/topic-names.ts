import type { Config } from './schema.ts';

/** Topics whose names can be set, each by itself. */
export interface NamedTopics {
  readonly main: string;
  readonly overflow: string;
  readonly deadLetter: string;
  /** Session recordings: written here, read by PostHog. */
  readonly recordings: string;
  /** */
  readonly exceptionSymbolification: string;
}

/** Rule 1.1: behind every topic name in the test environment. */
export const topicSuffix = ({ server }: Pick<Config, 'server'>): string => (/^test/i.test(server.environment) ? '_test' : '');

/** Rule 1.1: a topic of PostHog's as it is called in this deployment. */
export const topicName = (config: Config, name: string): string => `${config.kafka.prefix}${name}${topicSuffix(config)}`;

/** A name that is set is whole, as in PostHog, whose defaults have the prefix in them: nothing is put before or behind it (O-1). */
export function namedTopics(config: Config): NamedTopics {
  const { capture, kafka } = config;
  return {
    main: kafka.topic ?? topicName(config, 'events_plugin_ingestion'),
    overflow: kafka.overflowTopic ?? topicName(config, 'events_plugin_ingestion_overflow'),
    deadLetter: kafka.deadLetterTopic ?? topicName(config, 'events_plugin_ingestion_dlq'),
    recordings: capture.recordingsTopic ?? topicName(config, 'session_recording_snapshot_item_events'),
    exceptionSymbolification: kafka.exceptionsTopic ?? topicName(config, 'exception_symbolification_events'),
  };
}
