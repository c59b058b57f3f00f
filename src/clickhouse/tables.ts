/**
 * CREATE of every table that Troupe writes, for a database that has none. Pure.
 *
 * Names, keys and partitioning are PostHog's (spec/ingestion.md section 4), so that what reads one reads the other. The
 * `events` table is leaner: PostHog's materialized columns cost 7-9 us of engine time a row and 42 % of disk (docs/measured.md);
 * whoever wants them creates PostHog's table first, and it is used as it is.
 */

/** Later inserts after which a second copy of a block is no longer noticed. */
export const DEDUPLICATION_WINDOW = 10_000;

/**
 * Answers "which offsets of this partition are stored" (delivery.md section 3). The settings make it right under merges and deletes;
 * the form `ORDER BY` instead of `GROUP BY` would show deleted rows to users.
 */
export const PROJECTION = '_stored_offsets';
export const PROJECTION_QUERY = 'SELECT _topic, _partition, _offset GROUP BY _topic, _partition, _offset';
export const EVENT_SETTINGS: Readonly<Record<string, string>> = {
  deduplicate_merge_projection_mode: "'rebuild'",
  lightweight_mutation_projection_mode: "'rebuild'",
  non_replicated_deduplication_window: String(DEDUPLICATION_WINDOW),
};

const settingsText = (settings: Readonly<Record<string, string>>): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}`)
    .join(', ');

const DISTINCT_ID_COLUMNS = `(
  team_id Int64,
  distinct_id String,
  person_id UUID,
  is_deleted Int8 DEFAULT 0,
  version Int64 DEFAULT 1,
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0
) ENGINE = ReplacingMergeTree(version)
ORDER BY (team_id, distinct_id)
SETTINGS index_granularity = 512`;

/** CREATE of every table, for a database that has none. */
export const CREATE_STATEMENTS: ReadonlyMap<string, string> = new Map([
  [
    'events',
    `CREATE TABLE IF NOT EXISTS events (
  uuid UUID,
  event String,
  properties String CODEC(ZSTD(3)),
  timestamp DateTime64(6, 'UTC'),
  team_id Int64,
  distinct_id String,
  elements_chain String,
  created_at DateTime64(6, 'UTC'),
  person_id UUID,
  person_created_at DateTime64(3),
  person_properties String CODEC(ZSTD(3)),
  person_mode Enum8('full' = 0, 'propertyless' = 1, 'force_upgrade' = 2),
  _timestamp DateTime,
  _topic LowCardinality(String),
  _partition UInt64,
  _offset UInt64,
  inserted_at Nullable(DateTime64(6, 'UTC')) DEFAULT now64(6),
  PROJECTION ${PROJECTION} (${PROJECTION_QUERY})
) ENGINE = ReplacingMergeTree(_timestamp)
PARTITION BY toYYYYMM(timestamp)
ORDER BY (team_id, toDate(timestamp), event, cityHash64(distinct_id), cityHash64(uuid))
SAMPLE BY cityHash64(distinct_id)
SETTINGS ${settingsText(EVENT_SETTINGS)}`,
  ],
  [
    'person',
    `CREATE TABLE IF NOT EXISTS person (
  id UUID,
  created_at DateTime64(3),
  team_id Int64,
  properties String CODEC(ZSTD(3)),
  is_identified Int8,
  is_deleted Int8 DEFAULT 0,
  version UInt64,
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0
) ENGINE = ReplacingMergeTree(version)
ORDER BY (team_id, id)`,
  ],
  ['person_distinct_id2', `CREATE TABLE IF NOT EXISTS person_distinct_id2 ${DISTINCT_ID_COLUMNS}`],
  ['person_distinct_id_overrides', `CREATE TABLE IF NOT EXISTS person_distinct_id_overrides ${DISTINCT_ID_COLUMNS}`],
  [
    'groups',
    `CREATE TABLE IF NOT EXISTS groups (
  group_type_index UInt8,
  group_key String,
  created_at DateTime64(3),
  team_id Int64,
  group_properties String CODEC(ZSTD(3)),
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0
) ENGINE = ReplacingMergeTree(_timestamp)
ORDER BY (team_id, group_type_index, group_key)`,
  ],
  [
    'ingestion_warnings',
    `CREATE TABLE IF NOT EXISTS ingestion_warnings (
  team_id Int64,
  source LowCardinality(String),
  type String,
  details String CODEC(ZSTD(3)),
  timestamp DateTime64(6, 'UTC'),
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0
) ENGINE = MergeTree
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (team_id, toHour(timestamp), type, source, timestamp)`,
  ],
  [
    'heatmaps',
    `CREATE TABLE IF NOT EXISTS heatmaps (
  session_id String,
  team_id Int64,
  distinct_id String,
  timestamp DateTime64(6, 'UTC'),
  x Int16,
  y Int16,
  scale_factor Int16,
  viewport_width Int16,
  viewport_height Int16,
  pointer_target_fixed Bool,
  current_url String,
  type LowCardinality(String),
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0,
  _partition UInt64 DEFAULT 0
) ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (type, team_id, toDate(timestamp), current_url, viewport_width)
TTL toDate(timestamp) + INTERVAL 90 DAY`,
  ],
  [
    'events_dead_letter_queue',
    `CREATE TABLE IF NOT EXISTS events_dead_letter_queue (
  id UUID,
  event_uuid UUID,
  event String,
  properties String CODEC(ZSTD(3)),
  distinct_id String,
  team_id Int64,
  elements_chain String,
  created_at DateTime64(6, 'UTC'),
  ip String,
  site_url String,
  now DateTime64(6, 'UTC'),
  raw_payload String CODEC(ZSTD(3)),
  error_timestamp DateTime64(6, 'UTC'),
  error_location String,
  error String,
  tags Array(String),
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0
) ENGINE = ReplacingMergeTree(_timestamp)
ORDER BY (id, event_uuid, distinct_id, team_id)
TTL toDate(_timestamp) + INTERVAL 4 WEEK
SETTINGS index_granularity = 512`,
  ],
  [
    'app_metrics',
    `CREATE TABLE IF NOT EXISTS app_metrics (
  team_id Int64,
  timestamp DateTime64(6, 'UTC'),
  plugin_config_id Int64,
  category LowCardinality(String),
  job_id String,
  successes SimpleAggregateFunction(sum, Int64),
  successes_on_retry SimpleAggregateFunction(sum, Int64),
  failures SimpleAggregateFunction(sum, Int64),
  error_uuid UUID,
  error_type String,
  error_details SimpleAggregateFunction(any, String) CODEC(ZSTD(3)),
  _timestamp SimpleAggregateFunction(max, DateTime)
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (team_id, plugin_config_id, job_id, category, toStartOfHour(timestamp), error_type, error_uuid)`,
  ],
  [
    'plugin_log_entries',
    `CREATE TABLE IF NOT EXISTS plugin_log_entries (
  id UUID,
  team_id Int64,
  plugin_id Int64,
  plugin_config_id Int64,
  timestamp DateTime64(6, 'UTC'),
  source String,
  type String,
  message String,
  instance_id UUID,
  _timestamp DateTime,
  _offset UInt64 DEFAULT 0
) ENGINE = ReplacingMergeTree(_timestamp)
PARTITION BY toYYYYMMDD(timestamp)
ORDER BY (team_id, plugin_id, plugin_config_id, timestamp)
TTL toDate(timestamp) + INTERVAL 1 WEEK
SETTINGS index_granularity = 512`,
  ],
]);
