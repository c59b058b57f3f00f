-- PostHog's way of loading, without PostHog: Kafka-engine tables on Troupe's output topics (TROUPE_OUTPUT=kafka), and materialized
-- views from them into the tables that Troupe's own `npm run migrate` makes. Whoever has PostHog's ClickHouse has all of this already.
--
--   1. Make the tables once with output clickhouse (`npm run migrate`); then set TROUPE_OUTPUT=kafka.
--   2. Put your brokers in place of kafka:9092. With KAFKA_PREFIX or an overridden topic, change the topic names as well.
--   3. Run this file: clickhouse-client --database default --multiquery < deploy/clickhouse-kafka-engine.sql
--
-- Rows are there at least once and collapse by their key when parts merge (docs/delivery.md section 9): read with FINAL, or count uuids.
-- A group for each table: in one group for all, each table that joins or leaves makes all the others wait (ClickHouse #33433).
-- `kafka_skip_broken_messages` is PostHog's: so many unreadable records of a block are skipped in silence. Troupe makes none; with 0 the
-- engine would stop at the first that somebody else makes.
-- To pause: DETACH TABLE kafka_…; to go on: ATTACH TABLE kafka_…. Groups keep their offsets in Kafka.
-- test/integration/output-kafka.test.ts runs this file against a real broker.

-- events (spec 4.1. The rows' own place is the one in this topic; the place of the record they were made of is not in it)
CREATE TABLE kafka_events_json (
  uuid UUID,
  event String,
  properties String,
  timestamp DateTime64(6, 'UTC'),
  team_id Int64,
  distinct_id String,
  elements_chain String,
  created_at DateTime64(6, 'UTC'),
  person_id UUID,
  person_created_at DateTime64(3),
  person_properties String,
  person_mode Enum8('full' = 0, 'propertyless' = 1, 'force_upgrade' = 2)
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_events_json', kafka_group_name = 'troupe-events-json', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW events_mv TO events AS
SELECT uuid, event, properties, timestamp, team_id, distinct_id, elements_chain, created_at, person_id,
  person_created_at, person_properties, person_mode, _timestamp, _topic, _partition, _offset
FROM kafka_events_json;

-- person (spec 4.2)
CREATE TABLE kafka_person (
  id UUID,
  created_at DateTime64(3),
  team_id Int64,
  properties String,
  is_identified Int8,
  is_deleted Int8,
  version UInt64
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_person', kafka_group_name = 'troupe-person', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW person_mv TO person AS
SELECT id, created_at, team_id, properties, is_identified, is_deleted, version, _timestamp, _offset
FROM kafka_person;

-- person_distinct_id2 (spec 4.3)
CREATE TABLE kafka_person_distinct_id2 (
  team_id Int64,
  distinct_id String,
  person_id UUID,
  is_deleted Int8,
  version Int64
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_person_distinct_id', kafka_group_name = 'troupe-person-distinct-id2', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW person_distinct_id2_mv TO person_distinct_id2 AS
SELECT team_id, distinct_id, person_id, is_deleted, version, _timestamp, _offset
FROM kafka_person_distinct_id2;

-- person_distinct_id_overrides (spec 4.3: the same topic with a group of its own, only ids that changed their person)
CREATE TABLE kafka_person_distinct_id_overrides (
  team_id Int64,
  distinct_id String,
  person_id UUID,
  is_deleted Int8,
  version Int64
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_person_distinct_id', kafka_group_name = 'clickhouse-person-distinct-id-overrides', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW person_distinct_id_overrides_mv TO person_distinct_id_overrides AS
SELECT team_id, distinct_id, person_id, is_deleted, version, _timestamp, _offset
FROM kafka_person_distinct_id_overrides
WHERE version > 0;

-- groups (spec 4.4: the newest by Kafka's time wins; the version in the record has no column)
CREATE TABLE kafka_groups (
  group_type_index UInt8,
  group_key String,
  created_at DateTime64(3),
  team_id Int64,
  group_properties String
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_groups', kafka_group_name = 'troupe-groups', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW groups_mv TO groups AS
SELECT group_type_index, group_key, created_at, team_id, group_properties, _timestamp, _offset
FROM kafka_groups;

-- ingestion_warnings (spec 4.5)
CREATE TABLE kafka_ingestion_warnings (
  team_id Int64,
  source String,
  type String,
  details String,
  timestamp DateTime64(6, 'UTC')
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_ingestion_warnings', kafka_group_name = 'troupe-ingestion-warnings', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW ingestion_warnings_mv TO ingestion_warnings AS
SELECT team_id, source, type, details, timestamp, _timestamp, _offset
FROM kafka_ingestion_warnings;

-- plugin_log_entries (spec 4.6)
CREATE TABLE kafka_plugin_log_entries (
  id UUID,
  team_id Int64,
  plugin_id Int64,
  plugin_config_id Int64,
  timestamp DateTime64(6, 'UTC'),
  source String,
  type String,
  message String,
  instance_id UUID
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'plugin_log_entries', kafka_group_name = 'troupe-plugin-log-entries', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW plugin_log_entries_mv TO plugin_log_entries AS
SELECT id, team_id, plugin_id, plugin_config_id, timestamp, source, type, message, instance_id, _timestamp, _offset
FROM kafka_plugin_log_entries;

-- events_dead_letter_queue (spec 4.7)
CREATE TABLE kafka_events_dead_letter_queue (
  id UUID,
  event_uuid UUID,
  event String,
  properties String,
  distinct_id String,
  team_id Int64,
  elements_chain String,
  created_at DateTime64(6, 'UTC'),
  ip String,
  site_url String,
  now DateTime64(6, 'UTC'),
  raw_payload String,
  error_timestamp DateTime64(6, 'UTC'),
  error_location String,
  error String,
  tags Array(String)
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'events_dead_letter_queue', kafka_group_name = 'troupe-events-dead-letter-queue', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 1000;
CREATE MATERIALIZED VIEW events_dead_letter_queue_mv TO events_dead_letter_queue AS
SELECT id, event_uuid, event, properties, distinct_id, team_id, elements_chain, created_at, ip, site_url, now,
  raw_payload, error_timestamp, error_location, error, tags, _timestamp, _offset
FROM kafka_events_dead_letter_queue;

-- app_metrics (spec 4.8)
CREATE TABLE kafka_app_metrics (
  team_id Int64,
  timestamp DateTime64(6, 'UTC'),
  plugin_config_id Int64,
  category String,
  job_id String,
  successes Int64,
  successes_on_retry Int64,
  failures Int64,
  error_uuid UUID,
  error_type String,
  error_details String
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_app_metrics', kafka_group_name = 'troupe-app-metrics', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW app_metrics_mv TO app_metrics AS
SELECT team_id, timestamp, plugin_config_id, category, job_id, successes, successes_on_retry, failures, error_uuid,
  error_type, error_details, _timestamp
FROM kafka_app_metrics;

-- heatmaps (spec 2.11, 4.9)
CREATE TABLE kafka_heatmaps (
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
  type String
) ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092', kafka_topic_list = 'clickhouse_heatmap_events', kafka_group_name = 'troupe-heatmaps', kafka_format = 'JSONEachRow',
  kafka_skip_broken_messages = 100;
CREATE MATERIALIZED VIEW heatmaps_mv TO heatmaps AS
SELECT session_id, team_id, distinct_id, timestamp, x, y, scale_factor, viewport_width, viewport_height,
  pointer_target_fixed, current_url, type, _timestamp, _offset, _partition
FROM kafka_heatmaps;
