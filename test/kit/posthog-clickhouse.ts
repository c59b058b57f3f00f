/**
 * The tables of a PostHog on one ClickHouse server (spec/ingestion.md section 4): materialized columns, minmax indexes, columns that
 * Troupe does not write. Where PostHog distributes a table over shards, its single-node form.
 */
const groupColumns = [0, 1, 2, 3, 4].map(
  (index) => `group${index}_properties VARCHAR CODEC(ZSTD(3)), group${index}_created_at DateTime64(3)`,
);
const jsonText = (name: string): string =>
  `\`${name}\` VARCHAR MATERIALIZED replaceRegexpAll(JSONExtractRaw(properties, '${name}'), '^"|"$', '')`;
const fromProperties = ['$group_0', '$group_1', '$group_2', '$group_3', '$group_4', '$window_id', '$session_id'];
const distinctIds = `(
  team_id Int64, distinct_id VARCHAR, person_id UUID, is_deleted Int8, version Int64, _timestamp DateTime, _offset UInt64, _partition UInt64,
  INDEX kafka_timestamp_minmax _timestamp TYPE minmax GRANULARITY 3
) ENGINE = ReplacingMergeTree(version) ORDER BY (team_id, distinct_id) SETTINGS index_granularity = 512`;

/** CREATE of each, by name. */
export const POSTHOG_CLICKHOUSE: ReadonlyMap<string, string> = new Map([
  [
    'events',
    `CREATE TABLE events (
  uuid UUID, event VARCHAR, properties VARCHAR CODEC(ZSTD(3)), timestamp DateTime64(6, 'UTC'), team_id Int64, distinct_id VARCHAR,
  elements_chain VARCHAR, created_at DateTime64(6, 'UTC'), person_id UUID, person_created_at DateTime64(3),
  person_properties VARCHAR CODEC(ZSTD(3)), ${groupColumns.join(', ')},
  person_mode Enum8('full' = 0, 'propertyless' = 1, 'force_upgrade' = 2),
  ${fromProperties.map(jsonText).join(',\n  ')},
  elements_chain_href String MATERIALIZED extract(elements_chain, '(?::|")href="(.*?)"'),
  elements_chain_texts Array(String) MATERIALIZED arrayDistinct(extractAll(elements_chain, '(?::|")text="(.*?)"')),
  elements_chain_ids Array(String) MATERIALIZED arrayDistinct(extractAll(elements_chain, '(?::|")attr_id="(.*?)"')),
  elements_chain_elements Array(Enum('a', 'button', 'form', 'input', 'select', 'textarea', 'label'))
    MATERIALIZED arrayDistinct(extractAll(elements_chain, '(?:^|;)(a|button|form|input|select|textarea|label)(?:\\\\.|$|:)')),
  ${fromProperties.map((name) => `INDEX \`minmax_${name}\` \`${name}\` TYPE minmax GRANULARITY 1`).join(',\n  ')},
  INDEX kafka_timestamp_minmax _timestamp TYPE minmax GRANULARITY 3,
  _timestamp DateTime, _offset UInt64, inserted_at Nullable(DateTime64(6, 'UTC')) DEFAULT now64()
) ENGINE = ReplacingMergeTree(_timestamp) PARTITION BY toYYYYMM(timestamp)
ORDER BY (team_id, toDate(timestamp), event, cityHash64(distinct_id), cityHash64(uuid)) SAMPLE BY cityHash64(distinct_id)`,
  ],
  [
    'person',
    `CREATE TABLE person (
  id UUID, created_at DateTime64, team_id Int64, properties VARCHAR CODEC(ZSTD(3)), is_identified Int8, is_deleted Int8, version UInt64,
  _timestamp DateTime, _offset UInt64, INDEX kafka_timestamp_minmax _timestamp TYPE minmax GRANULARITY 3
) ENGINE = ReplacingMergeTree(version) ORDER BY (team_id, id)`,
  ],
  ['person_distinct_id2', `CREATE TABLE person_distinct_id2 ${distinctIds}`],
  ['person_distinct_id_overrides', `CREATE TABLE person_distinct_id_overrides ${distinctIds}`],
  [
    'groups',
    `CREATE TABLE groups (
  group_type_index UInt8, group_key VARCHAR, created_at DateTime64, team_id Int64, group_properties VARCHAR, _timestamp DateTime, _offset UInt64
) ENGINE = ReplacingMergeTree(_timestamp) ORDER BY (team_id, group_type_index, group_key)`,
  ],
  [
    'ingestion_warnings',
    `CREATE TABLE ingestion_warnings (
  team_id Int64, source LowCardinality(VARCHAR), type VARCHAR, details VARCHAR CODEC(ZSTD(3)), timestamp DateTime64(6, 'UTC'),
  _timestamp DateTime, _offset UInt64, _partition UInt64
) ENGINE = MergeTree PARTITION BY toYYYYMMDD(timestamp) ORDER BY (team_id, toHour(timestamp), type, source, timestamp)`,
  ],
  [
    'heatmaps',
    `CREATE TABLE heatmaps (
  session_id VARCHAR, team_id Int64, distinct_id VARCHAR, timestamp DateTime64(6, 'UTC'), x Int16, y Int16, scale_factor Int16,
  viewport_width Int16, viewport_height Int16, pointer_target_fixed Bool, current_url VARCHAR, type LowCardinality(String),
  _timestamp DateTime, _offset UInt64, _partition UInt64
) ENGINE = MergeTree PARTITION BY toYYYYMM(timestamp) ORDER BY (type, team_id, toDate(timestamp), current_url, viewport_width)
TTL toDate(timestamp) + INTERVAL 90 DAY`,
  ],
  [
    'events_dead_letter_queue',
    `CREATE TABLE events_dead_letter_queue (
  id UUID, event_uuid UUID, event VARCHAR, properties VARCHAR, distinct_id VARCHAR, team_id Int64, elements_chain VARCHAR,
  created_at DateTime64(6, 'UTC'), ip VARCHAR, site_url VARCHAR, now DateTime64(6, 'UTC'), raw_payload VARCHAR, error_timestamp DateTime64(6, 'UTC'),
  error_location VARCHAR, error VARCHAR, tags Array(VARCHAR), _timestamp DateTime, _offset UInt64
) ENGINE = ReplacingMergeTree(_timestamp) ORDER BY (id, event_uuid, distinct_id, team_id) TTL toDate(_timestamp) + INTERVAL 4 WEEK`,
  ],
  [
    'app_metrics',
    `CREATE TABLE app_metrics (
  team_id Int64, timestamp DateTime64(6, 'UTC'), plugin_config_id Int64, category LowCardinality(String), job_id String,
  successes SimpleAggregateFunction(sum, Int64), successes_on_retry SimpleAggregateFunction(sum, Int64), failures SimpleAggregateFunction(sum, Int64),
  error_uuid UUID, error_type String, error_details String CODEC(ZSTD(3)), _timestamp DateTime, _offset UInt64, _partition UInt64
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(timestamp)
ORDER BY (team_id, plugin_config_id, job_id, category, toStartOfHour(timestamp), error_type, error_uuid)
SETTINGS allow_dimensions_outside_sorting_key = 1`, // as older servers did, unasked
  ],
  [
    'plugin_log_entries',
    `CREATE TABLE plugin_log_entries (
  id UUID, team_id Int64, plugin_id Int64, plugin_config_id Int64, timestamp DateTime64(6, 'UTC'), source VARCHAR, type VARCHAR, message VARCHAR,
  instance_id UUID, _timestamp DateTime, _offset UInt64
) ENGINE = ReplacingMergeTree(_timestamp) PARTITION BY toYYYYMMDD(timestamp) ORDER BY (team_id, plugin_id, plugin_config_id, timestamp)
TTL toDate(timestamp) + INTERVAL 1 WEEK SETTINGS index_granularity = 512`,
  ],
]);
