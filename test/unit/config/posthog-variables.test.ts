import { describe, expect, it } from 'vitest';
import { ADDRESS_PARTS } from '../../../src/config/compose-addresses.ts';
import { configurationDoc } from '../../../src/config/configuration-doc.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { parseSetting } from '../../../src/config/parse-setting.ts';
import { ALL_SETTINGS } from '../../../src/config/schema.ts';
import { reasonWithoutEffect } from '../../../src/config/without-effect.ts';

const each = (prefix: string, ...ends: readonly string[]): readonly string[] => ends.map((end) => prefix + end);

/** Every variable of the table in spec/ingestion.md 8, in its order; of a family (`CDP_*`), some. */
const SECTION_8: readonly string[] = [
  ...['DATABASE_URL', 'DATABASE_READONLY_URL', 'PLUGIN_STORAGE_DATABASE_URL', 'POSTGRES_CONNECTION_POOL_SIZE'],
  ...each('POSTHOG_', 'DB_NAME', 'DB_USER', 'DB_PASSWORD', 'POSTGRES_HOST', 'POSTGRES_PORT'),
  ...['REDIS_URL', ...each('POSTHOG_REDIS_', 'HOST', 'PORT', 'PASSWORD'), ...each('INGESTION_REDIS_', 'HOST', 'PORT')],
  ...['CAPTURE_CONFIG_REDIS_HOST', ...each('REDIS_POOL_', 'MIN_SIZE', 'MAX_SIZE')],
  ...['BASE_DIR', 'WORKER_CONCURRENCY', 'TASKS_PER_WORKER', 'TASK_TIMEOUT'],
  ...each('INGESTION_', 'CONCURRENCY', 'BATCH_SIZE'),
  ...each('INGESTION_OVERFLOW_', 'ENABLED', 'PRESERVE_PARTITION_LOCALITY', 'BATCH_BY_DISTINCT_ID'),
  ...each('EVENT_OVERFLOW_BUCKET_', 'CAPACITY', 'REPLENISH_RATE'),
  ...['SCHEDULE_LOCK_TTL', 'PLUGINS_RELOAD_PUBSUB_CHANNEL', 'RELOAD_PLUGIN_JITTER_MAX_MS', 'PLUGIN_LOAD_SEQUENTIALLY'],
  ...['PLUGINS_DEFAULT_LOG_LEVEL', 'PLUGIN_SERVER_MODE', 'PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE'],
  ...each('CLICKHOUSE_', 'HOST', 'OFFLINE_CLUSTER_HOST', 'DATABASE', 'USER', 'PASSWORD', 'CA', 'SECURE'),
  ...each('CLICKHOUSE_DISABLE_EXTERNAL_SCHEMAS', '', '_TEAMS'),
  ...each('KAFKA_', 'HOSTS', 'CLIENT_CERT_B64', 'CLIENT_CERT_KEY_B64', 'TRUSTED_CERT_B64'),
  ...each('KAFKA_', 'SECURITY_PROTOCOL', 'SASL_MECHANISM', 'SASL_USER', 'SASL_PASSWORD', 'CLIENT_ID', 'CLIENT_RACK', 'PREFIX'),
  ...each('KAFKA_CONSUMPTION_', 'TOPIC', 'OVERFLOW_TOPIC', 'MAX_BYTES', 'MAX_BYTES_PER_PARTITION'),
  ...each('KAFKA_CONSUMPTION_', 'MAX_WAIT_MS', 'ERROR_BACKOFF_MS', 'BATCHING_TIMEOUT_MS'),
  ...each('KAFKA_CONSUMPTION_', 'REBALANCE_TIMEOUT_MS', 'SESSION_TIMEOUT_MS', 'MAX_POLL_INTERVAL_MS'),
  ...each('KAFKA_TOPIC_', 'CREATION_TIMEOUT_MS', 'METADATA_REFRESH_INTERVAL_MS'),
  ...each('KAFKA_PRODUCER_', 'LINGER_MS', 'BATCH_SIZE', 'QUEUE_BUFFERING_MAX_MESSAGES', 'MAX_QUEUE_SIZE'),
  ...each('KAFKA_', 'FLUSH_FREQUENCY_MS', 'MAX_MESSAGE_BATCH_SIZE', 'PARTITIONS_CONSUMED_CONCURRENTLY', 'HEALTHCHECK_SECONDS'),
  ...['HEALTHCHECK_MAX_STALE_SECONDS', 'KAFKAJS_LOG_LEVEL'],
  ...each('APP_METRICS_', 'FLUSH_FREQUENCY_MS', 'FLUSH_MAX_QUEUE_SIZE', 'GATHERED_FOR_ALL'),
  ...['CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC', 'CLICKHOUSE_HEATMAPS_KAFKA_TOPIC', 'EXCEPTIONS_SYMBOLIFICATION_KAFKA_TOPIC'],
  ...['SKIP_UPDATE_EVENT_AND_PROPERTIES_STEP', 'DROP_EVENTS_BY_TOKEN', 'DROP_EVENTS_BY_TOKEN_DISTINCT_ID'],
  ...['PIPELINE_STEP_STALLED_LOG_TIMEOUT', 'DISABLE_MMDB', 'INTERNAL_MMDB_SERVER_PORT'],
  ...['DISTINCT_ID_LRU_SIZE', 'EVENT_PROPERTY_LRU_SIZE', 'PERSON_INFO_CACHE_TTL', 'LOG_LEVEL'],
  ...each('SENTRY_', 'DSN', 'PLUGIN_SERVER_TRACING_SAMPLE_RATE', 'PLUGIN_SERVER_PROFILING_SAMPLE_RATE'),
  ...['HTTP_SERVER_PORT', 'SITE_URL', 'JOB_QUEUES'],
  ...each('JOB_QUEUE_GRAPHILE_', 'URL', 'SCHEMA', 'PREPARED_STATEMENTS', 'CONCURRENCY'),
  ...each('JOB_QUEUE_S3_', 'AWS_ACCESS_KEY', 'AWS_SECRET_ACCESS_KEY', 'AWS_REGION', 'BUCKET_NAME', 'PREFIX'),
  ...['CRASH_IF_NO_PERSISTENT_JOB_QUEUE', 'USE_KAFKA_FOR_SCHEDULED_TASKS', 'EXTERNAL_REQUEST_TIMEOUT_MS'],
  ...each('RUSTY_HOOK_', 'FOR_TEAMS', 'ROLLOUT_PERCENTAGE', 'URL'),
  ...['HOG_HOOK_URL', 'CLOUD_DEPLOYMENT', 'ENCRYPTION_SALT_KEYS', 'MAX_TEAM_ID_TO_BUFFER_ANONYMOUS_EVENTS_FOR'],
  ...each('OBJECT_STORAGE_', 'ENABLED', 'ENDPOINT', 'REGION', 'BUCKET', 'ACCESS_KEY_ID', 'SECRET_ACCESS_KEY'),
  ...each('SESSION_RECORDING_', 'KAFKA_BATCH_SIZE', 'KAFKA_QUEUE_SIZE', 'KAFKA_FETCH_MIN_BYTES', 'LOCAL_DIRECTORY', 'REMOTE_FOLDER'),
  ...each('SESSION_RECORDING_', 'REDIS_PREFIX', 'MAX_BUFFER_AGE_SECONDS', 'BUFFER_AGE_JITTER', 'BUFFER_AGE_IN_MEMORY_MULTIPLIER'),
  ...each('SESSION_RECORDING_', 'MAX_BUFFER_SIZE_KB', 'MAX_PARALLEL_FLUSHES', 'OVERFLOW_ENABLED', 'OVERFLOW_BUCKET_REPLENISH_RATE'),
  ...each('SESSION_RECORDING_', 'OVERFLOW_BUCKET_CAPACITY', 'OVERFLOW_MIN_PER_BATCH', 'CONSOLE_LOGS_INGESTION_ENABLED'),
  ...each('SESSION_RECORDING_', 'REPLAY_EVENTS_INGESTION_ENABLED'),
  ...each('STARTUP_PROFILE_', 'DURATION_SECONDS', 'CPU', 'HEAP', 'HEAP_INTERVAL', 'HEAP_DEPTH'),
  ...['CDP_WATCHER_TTL', 'CYCLOTRON_DATABASE_URL', 'PISCINA_USE_ATOMICS', 'PISCINA_ATOMICS_TIMEOUT'],
  ...['POE_EMBRACE_JOIN_FOR_TEAMS', 'CONVERSION_BUFFER_ENABLED', 'STATSD_HOST', 'STATSD_PORT', 'STATSD_PREFIX'],
  ...['CELERY_DEFAULT_QUEUE', 'PLUGINS_CELERY_QUEUE', 'PLUGIN_SERVER_IDLE', 'STALENESS_RESTART_SECONDS'],
  ...each('INGESTION_CONSUMER_', 'GROUP_ID', 'CONSUME_TOPIC', 'OVERFLOW_TOPIC', 'DLQ_TOPIC', 'HISTORICAL_TOPIC'),
  ...['COOKIELESS_DISABLED', 'PERSON_BATCH_WRITING_DB_WRITE_MODE', 'PERSON_PROPERTIES_DB_CONSTRAINT_LIMIT_BYTES'],
  ...['PERSON_MERGE_MOVE_DISTINCT_ID_LIMIT', 'FILTERED_PERSON_UPDATE_PROPERTIES', 'NODE_ENV'],
];

/** Defaults of the table, as PostHog writes them: [name, default, under NODE_ENV=dev, under NODE_ENV=test]; one that is unset has none. */
const DEFAULTS: readonly (readonly [name: string, production: string | undefined, dev?: string, test?: string])[] = [
  ['POSTGRES_CONNECTION_POOL_SIZE', '10'],
  ['BASE_DIR', '.'],
  ['TASK_TIMEOUT', '30'],
  ['INGESTION_OVERFLOW_ENABLED', 'false'],
  ['INGESTION_OVERFLOW_PRESERVE_PARTITION_LOCALITY', 'false'],
  ['INGESTION_OVERFLOW_BATCH_BY_DISTINCT_ID', 'false'],
  ['EVENT_OVERFLOW_BUCKET_CAPACITY', '1000'],
  ['EVENT_OVERFLOW_BUCKET_REPLENISH_RATE', '1.0'],
  ['PLUGINS_DEFAULT_LOG_LEVEL', '1', '1', '0'],
  ['PLUGIN_SERVER_MODE', 'null'],
  ['PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE', undefined],
  ['CLICKHOUSE_DATABASE', 'default', 'default', 'posthog_test'],
  ['CLICKHOUSE_USER', 'default'],
  ['CLICKHOUSE_PASSWORD', undefined],
  ['CLICKHOUSE_CA', undefined],
  ['CLICKHOUSE_SECURE', 'false'],
  ['KAFKA_PREFIX', ''],
  ['KAFKA_CLIENT_CERT_B64', undefined],
  ['KAFKA_CLIENT_CERT_KEY_B64', undefined],
  ['KAFKA_TRUSTED_CERT_B64', undefined],
  ['KAFKA_SECURITY_PROTOCOL', 'plaintext'],
  ['KAFKA_SASL_MECHANISM', undefined],
  ['KAFKA_SASL_USER', undefined],
  ['KAFKA_SASL_PASSWORD', undefined],
  ['KAFKA_CLIENT_ID', 'the-host'],
  ['KAFKA_CLIENT_RACK', undefined],
  ['KAFKA_CONSUMPTION_MAX_BYTES', '10485760'],
  ['KAFKA_CONSUMPTION_MAX_BYTES_PER_PARTITION', '1048576'],
  ['KAFKA_CONSUMPTION_MAX_WAIT_MS', '50'],
  ['KAFKA_CONSUMPTION_ERROR_BACKOFF_MS', '100'],
  ['KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS', undefined],
  ['KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS', '30000'],
  ['KAFKA_TOPIC_CREATION_TIMEOUT_MS', '5000', '30000', '5000'],
  ['KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS', undefined],
  ['KAFKA_PRODUCER_LINGER_MS', '20'],
  ['KAFKA_MAX_MESSAGE_BATCH_SIZE', '900000'],
  ['KAFKAJS_LOG_LEVEL', 'WARN'],
  ['APP_METRICS_FLUSH_FREQUENCY_MS', '20000', '20000', '5'],
  ['APP_METRICS_FLUSH_MAX_QUEUE_SIZE', '1000', '1000', '5'],
  ['SKIP_UPDATE_EVENT_AND_PROPERTIES_STEP', 'false'],
  ['DROP_EVENTS_BY_TOKEN', ''],
  ['DROP_EVENTS_BY_TOKEN_DISTINCT_ID', ''],
  ['DISABLE_MMDB', 'false', 'false', 'true'],
  ['INTERNAL_MMDB_SERVER_PORT', '0'],
  ['EVENT_PROPERTY_LRU_SIZE', '10000'],
  ['LOG_LEVEL', 'info', 'info', 'warn'],
  ['HTTP_SERVER_PORT', '6738'],
  // A whole name where they are set; topicsOf makes the default, with prefix and suffix (1.1).
  ['KAFKA_CONSUMPTION_TOPIC', undefined],
  ['KAFKA_CONSUMPTION_OVERFLOW_TOPIC', undefined],
  ['CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC', undefined],
  ['CLICKHOUSE_HEATMAPS_KAFKA_TOPIC', undefined],
  ['EXCEPTIONS_SYMBOLIFICATION_KAFKA_TOPIC', undefined],
  ['DATABASE_URL', '', 'postgres://posthog:posthog@localhost:5432/posthog', 'postgres://posthog:posthog@localhost:5432/test_posthog'],
  ['REDIS_URL', 'redis://127.0.0.1'],
  ['CLICKHOUSE_HOST', 'localhost'],
  ['KAFKA_HOSTS', 'kafka:9092'],
];

/** Settings with another default here, and why. */
const OTHERWISE: Readonly<Record<string, string>> = {
  DATABASE_URL: 'unset, an embedded server takes its place; beside a real Kafka, and in production, it is required',
  REDIS_URL: 'likewise',
  CLICKHOUSE_HOST: 'likewise',
  KAFKA_HOSTS: 'likewise',
  KAFKA_CONSUMPTION_MAX_WAIT_MS: '150: docs/configuration.md has its cost',
  KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS: 'derived: twice the session timeout',
  KAFKA_PRODUCER_LINGER_MS: '2: the linger of rows is 0, and that of capture is waited for by clients',
};

const settings = new Set(ALL_SETTINGS.map(({ setting }) => setting.name));
const parts = new Set<string>(Object.values(ADDRESS_PARTS).flat());

describe('section 8: each variable of PostHog', () => {
  it.each(SECTION_8)('%s is used, or is one that is named at the start as having no effect, with the reason', (name) => {
    const roles = [settings.has(name), parts.has(name), reasonWithoutEffect(name) !== undefined].filter(Boolean);
    expect(roles).toHaveLength(1);
  });

  it.each(DEFAULTS)(
    '%s has the default of PostHog in each environment, or says why not',
    (name = '', production, dev = production, test = dev) => {
      const row = ALL_SETTINGS.find(({ setting }) => setting.name === name);
      if (row === undefined) throw new Error(`${name} is no setting`);
      const inEnvironment = (NODE_ENV: string): unknown => {
        const { config } = loadConfig({ NODE_ENV, TROUPE_EMBEDDED_IN_PRODUCTION: 'true' }, { hostName: 'the-host' });
        return (config[row.section] as Readonly<Record<string, unknown>>)[row.key];
      };
      const found = ['production', 'dev', 'test'].map(inEnvironment);
      const wanted = [production, dev, test].map((text) => {
        const parsed = parseSetting(row.setting, text);
        return text !== undefined && parsed.type === 'value' ? parsed.value : undefined;
      });
      if (name in OTHERWISE) expect(found, 'as in PostHog: it needs no excuse').not.toEqual(wanted);
      else expect(found).toEqual(wanted);
    },
  );

  it('that is a setting stands in the table of defaults', () => {
    const ofNewer = ['INGESTION_CONSUMER_GROUP_ID', 'INGESTION_CONSUMER_DLQ_TOPIC', 'NODE_ENV'];
    const named = new Set(DEFAULTS.map(([name]) => name));
    expect(SECTION_8.filter((name) => settings.has(name) && !named.has(name))).toEqual(ofNewer);
  });

  it('that has no effect stops nothing and gives one line that says why', () => {
    const without = SECTION_8.filter((name) => reasonWithoutEffect(name) !== undefined);
    const { notices } = loadConfig({
      PLUGIN_SERVER_MODE: 'ingestion', // of which everything is built, so that nothing is said of it
      ...Object.fromEntries(without.map((name) => [name, 'something'])),
    });
    expect(notices.map((notice) => notice.split(' ', 1)[0])).toEqual([...without].sort());
    expect(notices.filter((notice) => !/^\S+ has no effect: .{10,}\.$/.test(notice))).toEqual([]);
  });

  it('is in docs/configuration.md, by its name or with its family', () => {
    const doc = configurationDoc();
    const inDoc = (name: string): boolean =>
      doc.includes(`\`${name}\``) ||
      name.split('_').some((_, index, words) => doc.includes(`\`${words.slice(0, index + 1).join('_')}_*\``));
    expect(SECTION_8.filter((name) => !inDoc(name))).toEqual([]);
  });
});
