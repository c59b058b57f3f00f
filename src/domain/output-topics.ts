import type { SideRow } from './rows.ts';

/** The topics that PostHog's Kafka-engine tables read (spec/ingestion.md 1.1 and section 4), by what is in them. */
export type OutputTopics = Readonly<Record<'events' | SideRow['table'], string>>;

const NAMES: OutputTopics = {
  events: 'clickhouse_events_json',
  person: 'clickhouse_person',
  person_distinct_id2: 'clickhouse_person_distinct_id',
  groups: 'clickhouse_groups',
  ingestion_warnings: 'clickhouse_ingestion_warnings',
  plugin_log_entries: 'plugin_log_entries',
  events_dead_letter_queue: 'events_dead_letter_queue',
  app_metrics: 'clickhouse_app_metrics',
  heatmaps: 'clickhouse_heatmap_events',
};

export interface OutputTopicNames {
  /** KAFKA_PREFIX. */
  readonly prefix: string;
  /** `_test` in the test environment, else '' (1.1). @defaultValue '' */
  readonly suffix?: string;
  /** CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC: a whole name, nothing is put before it (O-1). */
  readonly events?: string | undefined;
  /** CLICKHOUSE_HEATMAPS_KAFKA_TOPIC, likewise. */
  readonly heatmaps?: string | undefined;
}

export function outputTopics({ prefix, suffix = '', events, heatmaps }: OutputTopicNames): OutputTopics {
  const named = Object.fromEntries(Object.entries(NAMES).map(([table, name]) => [table, `${prefix}${name}${suffix}`])) as OutputTopics;
  return { ...named, events: events ?? named.events, heatmaps: heatmaps ?? named.heatmaps };
}

/** The key of a side row's record; null where the topic has none. */
export function outputKey(row: SideRow): string | null {
  if (row.table === 'heatmaps') return row.eventUuid;
  return row.table === 'plugin_log_entries' ? row.id : null;
}

/**
 * What rows that replace one another have in common: they go to one partition, so that ClickHouse reads them in the order in which
 * they were produced. `groups` needs it, whose version is Kafka's time in seconds (sharp edge 21). PostHog spreads them at random.
 */
export function outputOrder(row: SideRow): string | undefined {
  return row.table === 'groups' ? `${row.teamId}:${row.groupTypeIndex}:${row.groupKey}` : undefined;
}
