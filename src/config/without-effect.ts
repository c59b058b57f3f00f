/**
 * Variables of PostHog (spec/ingestion.md 8) that may be set in a deployment that moves to Troupe and have nothing to set
 * here. They are no error: `loadConfig` names each that is set in one notice, with the reason, so that nobody believes it works.
 */
const REASONS = {
  'the actors make the concurrency': [
    'WORKER_CONCURRENCY',
    'TASKS_PER_WORKER',
    'INGESTION_CONCURRENCY',
    'KAFKA_PARTITIONS_CONSUMED_CONCURRENTLY',
    'PISCINA_USE_ATOMICS',
    'PISCINA_ATOMICS_TIMEOUT',
  ],
  'TROUPE_ROUTER_DISTINCT_ID_CREDIT_COUNT bounds a hot key without another topic': [
    'INGESTION_OVERFLOW_ENABLED',
    'INGESTION_OVERFLOW_PRESERVE_PARTITION_LOCALITY',
    'INGESTION_OVERFLOW_BATCH_BY_DISTINCT_ID',
    'EVENT_OVERFLOW_BUCKET_CAPACITY',
    'EVENT_OVERFLOW_BUCKET_REPLENISH_RATE',
  ],
  'the consumer keeps its membership by a timer, whatever the events take': [
    'KAFKA_CONSUMPTION_MAX_POLL_INTERVAL_MS',
    'KAFKA_CONSUMPTION_BATCHING_TIMEOUT_MS',
  ],
  'TROUPE_KAFKA_PRODUCER_QUEUE_BYTES bounds the producer': [
    'KAFKA_PRODUCER_BATCH_SIZE',
    'KAFKA_PRODUCER_QUEUE_BUFFERING_MAX_MESSAGES',
    'KAFKA_PRODUCER_MAX_QUEUE_SIZE',
    'KAFKA_MAX_MESSAGE_BATCH_SIZE',
    'KAFKA_FLUSH_FREQUENCY_MS',
  ],
  'the process logs through LOG_LEVEL': ['KAFKAJS_LOG_LEVEL'],
  'a router takes what a fetch brings; KAFKA_CONSUMPTION_MAX_BYTES_PER_PARTITION bounds it': ['INGESTION_BATCH_SIZE'],
  'the consumer paces its fetches and its retries itself': [
    'KAFKA_CONSUMPTION_MAX_WAIT_MS',
    'KAFKA_CONSUMPTION_ERROR_BACKOFF_MS',
    'KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS',
  ],
  'missing topics are created before anything waits for them': ['KAFKA_TOPIC_CREATION_TIMEOUT_MS'],
  'records are fetched from leaders': ['KAFKA_CLIENT_RACK'],
  'this version of Troupe keeps no lists of event and property names': ['SKIP_UPDATE_EVENT_AND_PROPERTIES_STEP', 'EVENT_PROPERTY_LRU_SIZE'],
  'health is read from the consumer itself': ['KAFKA_HEALTHCHECK_SECONDS', 'HEALTHCHECK_MAX_STALE_SECONDS'],
  'rows go to ClickHouse directly, not through output topics': [
    'CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC',
    'CLICKHOUSE_HEATMAPS_KAFKA_TOPIC',
    'CLICKHOUSE_OFFLINE_CLUSTER_HOST',
    'CLICKHOUSE_DISABLE_EXTERNAL_SCHEMAS',
    'CLICKHOUSE_DISABLE_EXTERNAL_SCHEMAS_TEAMS',
  ],
  'one pool serves all reads and writes of persons': ['DATABASE_READONLY_URL', 'PLUGIN_STORAGE_DATABASE_URL'],
  'one connection is multiplexed': ['REDIS_POOL_MIN_SIZE', 'REDIS_POOL_MAX_SIZE'],
  'this version of Troupe has no scheduled jobs': [
    'JOB_QUEUES',
    'JOB_QUEUE_GRAPHILE_URL',
    'JOB_QUEUE_GRAPHILE_SCHEMA',
    'JOB_QUEUE_GRAPHILE_PREPARED_STATEMENTS',
    'JOB_QUEUE_GRAPHILE_CONCURRENCY',
    'CRASH_IF_NO_PERSISTENT_JOB_QUEUE',
    'USE_KAFKA_FOR_SCHEDULED_TASKS',
    'SCHEDULE_LOCK_TTL',
  ],
  'this version of Troupe does not look up places of IP addresses': ['DISABLE_MMDB', 'INTERNAL_MMDB_SERVER_PORT'],
  'this version of Troupe does not call webhooks': [
    'RUSTY_HOOK_FOR_TEAMS',
    'RUSTY_HOOK_ROLLOUT_PERCENTAGE',
    'RUSTY_HOOK_URL',
    'HOG_HOOK_URL',
    'SITE_URL',
  ],
  'app metrics are not kept; see /_metrics': [
    'APP_METRICS_FLUSH_FREQUENCY_MS',
    'APP_METRICS_FLUSH_MAX_QUEUE_SIZE',
    'APP_METRICS_GATHERED_FOR_ALL',
  ],
  'OTEL_EXPORTER_OTLP_ENDPOINT takes its place': ['SENTRY_DSN', 'STATSD_HOST', 'STATSD_PORT', 'STATSD_PREFIX'],
} as const;

const reasonByName = new Map<string, string>(
  Object.entries(REASONS).flatMap(([reason, names]) => names.map((name) => [name, reason] as const)),
);

/** Why a variable of PostHog sets nothing here, or undefined when it is not one of those. */
export function reasonWithoutEffect(name: string): string | undefined {
  return reasonByName.get(name);
}

/** All of them, for the documentation: reason → names. */
export const WITHOUT_EFFECT: Readonly<Record<string, readonly string[]>> = REASONS;
