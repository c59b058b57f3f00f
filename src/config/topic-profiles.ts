/** The topics whose names can be set, each by itself and all together by a profile. */
export interface NamedTopics {
  readonly main: string;
  readonly overflow: string;
  readonly historical: string;
  readonly warnings: string;
  readonly heatmaps: string;
  readonly exceptions: string;
  readonly deadLetter: string;
  /** Session recordings: written here, read by PostHog. */
  readonly recordings: string;
  readonly recordingsOverflow: string;
  /** */
  readonly exceptionSymbolification: string;
}

export const PROFILES = ['posthog', 'document'] as const;
export type TopicProfile = (typeof PROFILES)[number];

/** Spec 1.1 */
const POSTHOG: NamedTopics = {
  main: 'events_plugin_ingestion',
  overflow: 'events_plugin_ingestion_overflow',
  historical: 'events_plugin_ingestion_historical',
  warnings: 'client_iwarnings_ingestion',
  heatmaps: 'heatmaps_ingestion',
  exceptions: 'exceptions_ingestion',
  deadLetter: 'events_plugin_ingestion_dlq',
  recordings: 'session_recording_snapshot_item_events',
  recordingsOverflow: 'session_recording_snapshot_item_overflow',
  exceptionSymbolification: 'exception_symbolification_events',
};

/**
 * What topics are called where no setting of their own says it, before KAFKA_PREFIX and the suffix of the test environment. `document` has the five
 * names of the capture document (spec/capture.md 16.1, row 21), and PostHog's for what the document does not know.
 */
export const TOPIC_PROFILES: Readonly<Record<TopicProfile, NamedTopics>> = {
  posthog: POSTHOG,
  document: {
    ...POSTHOG,
    main: 'clickhouse_events',
    recordings: 'clickhouse_session_recording_events',
    historical: 'historical_events',
    warnings: 'client_warnings',
    exceptions: 'exceptions',
  },
};
