import { ALL_SETTINGS } from './schema.ts';

/**
 * Variables of PostHog (spec/ingestion.md 8) that may be set in a deployment that moves to Troupe and have nothing to set
 * here. They are no error: `loadConfig` names each that is set in one notice, with the reason, so that nobody believes it works.
 * A name that ends in `*` stands for all that begin so and are no setting.
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
  'the consumer keeps its membership by a timer, whatever the events take': ['KAFKA_CONSUMPTION_MAX_POLL_INTERVAL_MS'],
  'a router takes what a fetch brings; KAFKA_CONSUMPTION_MAX_BYTES_PER_PARTITION bounds it': [
    'INGESTION_BATCH_SIZE',
    'KAFKA_CONSUMPTION_BATCHING_TIMEOUT_MS',
  ],
  'KAFKA_MAX_MESSAGE_BATCH_SIZE bounds a batch and TROUPE_KAFKA_PRODUCER_QUEUE_BYTES the queue, both in bytes': [
    'KAFKA_PRODUCER_BATCH_SIZE',
    'KAFKA_PRODUCER_QUEUE_BUFFERING_MAX_MESSAGES',
    'KAFKA_PRODUCER_MAX_QUEUE_SIZE',
  ],
  'KAFKA_PRODUCER_LINGER_MS says how long a record waits for others': ['KAFKA_FLUSH_FREQUENCY_MS'],
  'health is read from the consumer itself': ['KAFKA_HEALTHCHECK_SECONDS', 'HEALTHCHECK_MAX_STALE_SECONDS', 'STALENESS_RESTART_SECONDS'],
  'rows are sent as RowBinary, which needs no schema file on the server': [
    'CLICKHOUSE_DISABLE_EXTERNAL_SCHEMAS',
    'CLICKHOUSE_DISABLE_EXTERNAL_SCHEMAS_TEAMS',
  ],
  'persons are read where they are written: a replica that is a moment behind would undo what an event of a moment ago said': [
    'DATABASE_READONLY_URL',
  ],
  'this version of Troupe gives plugins no storage': ['PLUGIN_STORAGE_DATABASE_URL'],
  'capture reads all it needs of Redis from REDIS_URL': ['EVENT_RESTRICTIONS_REDIS_URL', 'GLOBAL_RATE_LIMIT_REDIS_*'],
  'keys are counted in memory and told to Redis every second, and all have one threshold': ['GLOBAL_RATE_LIMIT_*'],
  'one connection is multiplexed': ['REDIS_POOL_MIN_SIZE', 'REDIS_POOL_MAX_SIZE'],
  'persons are loaded for each group of events, and kept for no longer': ['DISTINCT_ID_LRU_SIZE', 'PERSON_INFO_CACHE_TTL'],
  'plugin configs are read again every 30 seconds, without being told': [
    'PLUGINS_RELOAD_PUBSUB_CHANNEL',
    'RELOAD_PLUGIN_JITTER_MAX_MS',
    'PLUGIN_LOAD_SEQUENTIALLY',
  ],
  'the inspector shows who has been at one event for longest, and TROUPE_PLUGIN_DEADLINE_MS ends it': ['PIPELINE_STEP_STALLED_LOG_TIMEOUT'],
  'this version of Troupe has no scheduled jobs': [
    'JOB_QUEUES',
    'JOB_QUEUE_*',
    'CRASH_IF_NO_PERSISTENT_JOB_QUEUE',
    'USE_KAFKA_FOR_SCHEDULED_TASKS',
    'SCHEDULE_LOCK_TTL',
  ],
  'this version of Troupe does not call webhooks': [
    'RUSTY_HOOK_FOR_TEAMS',
    'RUSTY_HOOK_ROLLOUT_PERCENTAGE',
    'RUSTY_HOOK_URL',
    'HOG_HOOK_URL',
    'SITE_URL',
    'EXTERNAL_REQUEST_TIMEOUT_MS',
  ],
  'app metrics are gathered for every team, whatever its organization has paid for': ['APP_METRICS_GATHERED_FOR_ALL'],
  'OTEL_EXPORTER_OTLP_ENDPOINT and /_metrics take its place': [
    'SENTRY_DSN',
    'SENTRY_PLUGIN_SERVER_TRACING_SAMPLE_RATE',
    'SENTRY_PLUGIN_SERVER_PROFILING_SAMPLE_RATE',
    'STATSD_HOST',
    'STATSD_PORT',
    'STATSD_PREFIX',
    'STARTUP_PROFILE_*',
  ],
  'session replay is not part of Troupe': ['SESSION_RECORDING_*', 'CAPTURE_CONFIG_REDIS_HOST', 'OBJECT_STORAGE_*'],
  'hog functions are not part of Troupe': ['CDP_*', 'CYCLOTRON_*', 'ENCRYPTION_SALT_KEYS'],
  'nothing here depends on the cloud it runs in': ['CLOUD_DEPLOYMENT'],
  'only older or newer versions of PostHog read it': [
    'MAX_TEAM_ID_TO_BUFFER_ANONYMOUS_EVENTS_FOR',
    'CONVERSION_BUFFER_*',
    'POE_EMBRACE_JOIN_FOR_TEAMS',
    'CELERY_DEFAULT_QUEUE',
    'PLUGINS_CELERY_QUEUE',
    'PLUGIN_SERVER_IDLE',
    'COOKIELESS_*',
  ],
  'capture and ingestion share the names of topics: KAFKA_CONSUMPTION_TOPIC, KAFKA_CONSUMPTION_OVERFLOW_TOPIC and KAFKA_HISTORICAL_TOPIC': [
    'INGESTION_CONSUMER_CONSUME_TOPIC',
    'INGESTION_CONSUMER_OVERFLOW_TOPIC',
    'INGESTION_CONSUMER_HISTORICAL_TOPIC',
  ],
  'TROUPE_PERSON_FLUSH_ROWS_COUNT and TROUPE_PERSON_FLUSH_LINGER_MS bound a write of persons, and no write is given up': [
    'PERSON_BATCH_WRITING_*',
    'PERSON_MERGE_*',
    'PERSON_PROPERTIES_*',
    'FILTERED_PERSON_UPDATE_PROPERTIES',
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

const reasonByName = new Map<string, string>();
const reasonByBeginning: (readonly [beginning: string, reason: string])[] = [];
for (const [reason, names] of Object.entries(REASONS)) {
  for (const name of names) {
    if (name.endsWith('*')) reasonByBeginning.push([name.slice(0, -1), reason]);
    else reasonByName.set(name, reason);
  }
}
const settingNames = new Set(ALL_SETTINGS.map(({ setting }) => setting.name));

/** Why a variable of PostHog sets nothing here, or undefined when it is not one of those. */
export function reasonWithoutEffect(name: string): string | undefined {
  const known = reasonByName.get(name);
  if (known !== undefined || settingNames.has(name)) return known;
  return reasonByBeginning.find(([beginning]) => name.startsWith(beginning))?.[1];
}

/** All of them, for the documentation: reason → names. */
export const WITHOUT_EFFECT: Readonly<Record<string, readonly string[]>> = REASONS;
