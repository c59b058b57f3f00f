import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeConfig } from '../../../src/config/describe.ts';
import { ConfigError, loadConfig, type Env, type LoadOptions } from '../../../src/config/load.ts';
import type { Problem } from '../../../src/config/problem.ts';
import { MODES } from '../../../src/config/modes.ts';
import { ALL_SETTINGS } from '../../../src/config/schema.ts';
import { PROFILES } from '../../../src/config/topic-profiles.ts';
import { intakeIdentity, neededTopics, topicsOf } from '../../../src/start/topics.ts';
import { CERTIFICATE, KEY } from './certificate.ts';
import { reasonWithoutEffect } from '../../../src/config/without-effect.ts';

const root = join(import.meta.dirname, '../../..');
/** A mode of which everything is built, so that nothing is said of it. */
const MAIN_ONLY = { PLUGIN_SERVER_MODE: 'ingestion' };
const options: LoadOptions = { hostName: 'troupe-2' };

function problemsOf(env: Env, more: LoadOptions = {}): readonly Problem[] {
  try {
    loadConfig(env, { ...options, ...more });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the output', () => {
  const kafka = { TROUPE_OUTPUT: 'kafka', KAFKA_HOSTS: 'broker:9092', DATABASE_URL: 'postgres://h/db' };

  it('is ClickHouse unless said otherwise', () => {
    expect(loadConfig({}, options).config.output.kind).toBe('clickhouse');
  });

  it('kafka: needs brokers, for nobody else reads the embedded log', () => {
    expect(problemsOf({ TROUPE_OUTPUT: 'kafka' })).toMatchObject([{ name: 'TROUPE_OUTPUT + KAFKA_HOSTS' }]);
    expect(problemsOf(kafka)).toEqual([]);
  });

  it('kafka: what is said of ClickHouse sets nothing, in one notice', () => {
    const { notices } = loadConfig({ ...kafka, CLICKHOUSE_HOST: 'ch', CLICKHOUSE_PASSWORD: 'secret' }, options);
    expect(notices).toContain(
      'CLICKHOUSE_HOST, CLICKHOUSE_PASSWORD without effect: TROUPE_OUTPUT is kafka, and ClickHouse is not contacted.',
    );
    expect(notices.join()).not.toContain('CLICKHOUSE_HOST not set');
  });

  it('kafka: no ClickHouse is missing in production', () => {
    const env = { ...kafka, NODE_ENV: 'production', REDIS_URL: 'redis://h' };
    expect(problemsOf(env)).toEqual([]);
    expect(problemsOf({ ...env, TROUPE_OUTPUT: 'clickhouse' })).toMatchObject([{ name: 'CLICKHOUSE_HOST' }]);
  });

  it('O-1: topics may be named, which is said to be in vain when rows go to ClickHouse', () => {
    const topics = { CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC: 'mine', CLICKHOUSE_HEATMAPS_KAFKA_TOPIC: 'warm' };
    const { config, notices } = loadConfig({ ...kafka, ...topics }, options);
    expect(config.output).toMatchObject({ eventsTopic: 'mine', heatmapsTopic: 'warm', compression: 'snappy' });
    expect(notices.join()).not.toContain('without effect');
    expect(loadConfig(topics, options).notices).toContain(
      'CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC, CLICKHOUSE_HEATMAPS_KAFKA_TOPIC without effect: TROUPE_OUTPUT is clickhouse, and no output topics are written.',
    );
  });
});

describe('loading the settings', () => {
  it('an empty environment gives the defaults, and they break no rule', () => {
    const { config, notices } = loadConfig({}, options);
    expect(config.server.httpPort).toBe(6738);
    expect(config.kafka.hosts).toEqual([]);
    expect(config.postgres.url).toBeUndefined();
    expect(config.telemetry.sampleRatio).toBe(0.01);
    expect(notices).toHaveLength(1); // what PLUGIN_SERVER_MODE=null has not yet
  });

  it.each(['y', 'YES', 't', 'True', 'on', '1'])('reads %s as true, as PostHog does', (word) => {
    expect(loadConfig({ CLICKHOUSE_SECURE: word }, options).config.clickhouse.secure).toBe(true);
  });

  it('refuses a word that is neither true nor false instead of reading it as false', () => {
    expect(problemsOf({ CLICKHOUSE_SECURE: 'ture' })).toMatchObject([{ name: 'CLICKHOUSE_SECURE', value: 'ture' }]);
  });

  it.each([
    ['30', 30],
    ['30.0', 30],
    ['1e2', 100],
    ['+12', 12],
    [' 7 ', 7],
    ['1_000', 1_000],
  ])("reads %j as a number, as PostHog's parseFloat does", (text, value) => {
    expect(loadConfig({ POSTGRES_CONNECTION_POOL_SIZE: text }, options).config.postgres.poolCount).toBe(value);
  });

  it.each(['.5', '0.5', '5e-1'])('reads %s as a share', (text) => {
    expect(loadConfig({ TROUPE_TRACE_SAMPLE_RATIO: text }, options).config.telemetry.sampleRatio).toBe(0.5);
  });

  it.each(['30s', '1e', '12,5', 'NaN', '0x10', '-1', '10.5', '.', ''.padEnd(3)])('refuses %j as a whole number', (value) => {
    expect(problemsOf({ POSTGRES_CONNECTION_POOL_SIZE: value })).toMatchObject([{ name: 'POSTGRES_CONNECTION_POOL_SIZE', value }]);
  });

  it('reads an empty value as an unset one', () => {
    expect(loadConfig({ DATABASE_URL: '', POSTGRES_CONNECTION_POOL_SIZE: '', KAFKA_HOSTS: '' }, options).config.postgres.poolCount).toBe(
      10,
    );
  });

  it('splits lists at commas and drops what is empty', () => {
    expect(loadConfig({ KAFKA_HOSTS: ' a:1, b:2,,', TROUPE_EMBEDDED_IN_PRODUCTION: 'y' }, options).config.kafka.hosts).toEqual([
      'a:1',
      'b:2',
    ]);
  });

  it('understands the upper case in which PostHog writes Kafka security', () => {
    const env = {
      KAFKA_SECURITY_PROTOCOL: 'SASL_SSL',
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USER: 'u',
      KAFKA_SASL_PASSWORD: 'p',
    };
    expect(loadConfig(env, options).config.kafka).toMatchObject({ securityProtocol: 'sasl_ssl', saslMechanism: 'scram-sha-512' });
  });

  it.each(['NOTHING', 'DEBUG', 'INFO', 'WARN', 'ERROR'])('KAFKAJS_LOG_LEVEL may be %s', (level) => {
    expect(loadConfig({ KAFKAJS_LOG_LEVEL: level }, options).config.kafka.clientLogLevel).toBe(level.toLowerCase());
  });

  it('KAFKAJS_LOG_LEVEL may be nothing else', () => {
    expect(problemsOf({ KAFKAJS_LOG_LEVEL: 'LOUD' })).toMatchObject([{ name: 'KAFKAJS_LOG_LEVEL', value: 'LOUD' }]);
  });

  it('says everything that is wrong at once', () => {
    const problems = problemsOf({ HTTP_SERVER_PORT: 'x', LOG_LEVEL: 'loud', DATABASE_URL: 'mysql://h/db', TROUPE_NO_SUCH: '1' });
    expect(problems.map(({ name }) => name).sort()).toEqual(['DATABASE_URL', 'HTTP_SERVER_PORT', 'LOG_LEVEL', 'TROUPE_NO_SUCH']);
    expect(problems.every(({ allowed, todo }) => allowed !== '' && todo !== '')).toBe(true);
  });

  it.each([
    ['TROUPE_ROUTER_CREDITS_COUNT', 'TROUPE_ROUTER_CREDIT_COUNT'],
    ['TROUPE_CREDIT_ROUTER_COUNT', 'TROUPE_ROUTER_CREDIT_COUNT'],
    ['TROUPE_DATADIR', 'TROUPE_DATA_DIR'],
  ])('refuses the unknown %s and asks whether %s was meant', (given, meant) => {
    expect(problemsOf({ [given]: '1' })).toMatchObject([{ name: given, todo: `did you mean ${meant}?` }]);
  });

  it('takes no notice of the variables Kubernetes makes for a Service named troupe or troupe-capture', () => {
    const env = {
      TROUPE_SERVICE_HOST: '10.0.0.7',
      TROUPE_SERVICE_PORT: '6738',
      TROUPE_SERVICE_PORT_HTTP: '6738',
      TROUPE_PORT: 'tcp://10.0.0.7:6738',
      TROUPE_PORT_6738_TCP: 'tcp://10.0.0.7:6738',
      TROUPE_PORT_6738_TCP_ADDR: '10.0.0.7',
      TROUPE_CAPTURE_PORT: 'tcp://10.0.0.8:8010',
    };
    expect(loadConfig(env, options).config.capture.port).toBe(8010);
  });

  it('takes a setting from the command line over the environment', () => {
    const { config, origins } = loadConfig({ HTTP_SERVER_PORT: '1' }, { ...options, overrides: ['HTTP_SERVER_PORT=0', 'LOG_LEVEL=warn'] });
    expect(config.server).toMatchObject({ httpPort: 0, logLevel: 'warn' });
    expect(origins.get('HTTP_SERVER_PORT')).toBe('command line');
    expect(loadConfig({ HTTP_SERVER_PORT: '1' }, options).origins.get('HTTP_SERVER_PORT')).toBe('environment');
    expect(origins.get('TROUPE_CAPTURE_PORT')).toBe('default');
  });

  it.each(['HTTP_PORT=1', 'nonsense', 'TROUPE_NONSENSE=1'])('refuses --set %s', (pair) => {
    expect(problemsOf({}, { overrides: [pair] })).toHaveLength(1);
  });
});

describe('secrets', () => {
  it('are read from the file that NAME_FILE names, without its last line end', () => {
    const { config, origins } = loadConfig(
      { CLICKHOUSE_PASSWORD_FILE: '/run/secrets/ch' },
      { ...options, readFile: (path) => (path === '/run/secrets/ch' ? 'hunter2\n' : '') },
    );
    expect(config.clickhouse.password).toBe('hunter2');
    expect(origins.get('CLICKHOUSE_PASSWORD')).toBe('file /run/secrets/ch');
  });

  it('are shown neither in the settings in force nor in an error', () => {
    const env = {
      DATABASE_URL: 'postgres://me:hunter2@db/posthog',
      REDIS_URL: 'redis://:hunter2@cache',
      CLICKHOUSE_PASSWORD: 'hunter2',
      KAFKA_SASL_PASSWORD: 'hunter2',
      KAFKA_CLIENT_CERT_B64: 'hunter2',
      KAFKA_CLIENT_CERT_KEY_B64: 'hunter2',
    };
    expect(describeConfig(loadConfig(env, options))).not.toContain('hunter2');
    expect(describeConfig(loadConfig(env, options))).toContain('postgres://me:******@db/posthog');
    expect(JSON.stringify(problemsOf({ DATABASE_URL: 'hunter2', REDIS_URL: 'http://:hunter2@cache' }))).not.toContain('hunter2');
  });
});

describe('--config-check', () => {
  it('shows each setting with its value, its unit and where it came from, and marks what is set', () => {
    const env = { TASK_TIMEOUT: '5', POSTHOG_REDIS_HOST: 'cache', CLICKHOUSE_PASSWORD_FILE: '/run/ch', CLICKHOUSE_PASSWORD: '' };
    const loaded = loadConfig(env, { ...options, overrides: ['LOG_LEVEL=warn'], readFile: () => 'hunter2' });
    const lines = new Map(
      describeConfig(loaded)
        .split('\n')
        .map((line) => [/^[* ] (\w+)/.exec(line)?.[1], line.replaceAll(/ +/g, ' ')]),
    );
    expect(lines.get('TASK_TIMEOUT')).toBe('* TASK_TIMEOUT 5 s [environment; default: 30 s]');
    expect(lines.get('LOG_LEVEL')).toBe('* LOG_LEVEL warn [command line; default: info]');
    expect(lines.get('REDIS_URL')).toBe('* REDIS_URL redis://cache:6379 [from POSTHOG_REDIS_HOST]');
    expect(lines.get('CLICKHOUSE_PASSWORD')).toBe('* CLICKHOUSE_PASSWORD ****** [file /run/ch]');
    expect(lines.get('KAFKA_CLIENT_ID')).toBe(' KAFKA_CLIENT_ID troupe-2 [from host name]');
    expect(lines.get('TROUPE_PLUGIN_DEADLINE_MS')).toBe(' TROUPE_PLUGIN_DEADLINE_MS 5000 ms [from TASK_TIMEOUT]');
    expect(lines.get('KAFKA_HOSTS')).toBe(' KAFKA_HOSTS (unset) [default]');
    expect(ALL_SETTINGS.filter(({ setting }) => !lines.has(setting.name))).toEqual([]);
  });
});

describe('values that follow from others', () => {
  it.each<[string, Env, string, number, boolean]>([
    ['test', { NODE_ENV: 'Testing' }, 'warn', 5_000, true],
    ['dev', { NODE_ENV: 'development' }, 'info', 30_000, false],
    ['dev, by DEBUG', { DEBUG: '1' }, 'info', 30_000, false],
    ['production', { NODE_ENV: 'staging', DEBUG: '0' }, 'info', 5_000, false],
  ])('1.1: in the environment %s the defaults are those of PostHog there', (_, env, logLevel, topicCreationTimeoutMs, isDisabled) => {
    const { config, origins } = loadConfig(env, options);
    expect(config.server.logLevel).toBe(logLevel);
    expect(config.kafka.topicCreationTimeoutMs).toBe(topicCreationTimeoutMs);
    expect(config.geoip.disabled).toBe(isDisabled);
    expect(origins.get('DISABLE_MMDB')).toBe(isDisabled ? 'from NODE_ENV' : 'default');
    expect(loadConfig({ ...env, LOG_LEVEL: 'error' }, options).config.server.logLevel).toBe('error');
  });

  it("puts DATABASE_URL together from PostHog's parts, encoding what needs it, and says of which", () => {
    const env = { POSTHOG_DB_NAME: 'ph', POSTHOG_DB_USER: 'a@b', POSTHOG_DB_PASSWORD: 'p/w', POSTHOG_POSTGRES_HOST: 'db' };
    const { config, origins } = loadConfig(env, options);
    expect(config.postgres.url).toBe('postgres://a%40b:p%2Fw@db:5432/ph');
    expect(origins.get('DATABASE_URL')).toBe('from POSTHOG_DB_NAME, POSTHOG_DB_USER, POSTHOG_DB_PASSWORD, POSTHOG_POSTGRES_HOST');
    expect(loadConfig({ POSTHOG_DB_NAME: 'ph' }, options).config.postgres.url).toBe('postgres://postgres@localhost:5432/ph');
  });

  it('lets DATABASE_URL win over its parts, and names the parts as having no effect', () => {
    const { config, notices } = loadConfig({ DATABASE_URL: 'postgres://x/y', POSTHOG_DB_NAME: 'ph' }, options);
    expect(config.postgres.url).toBe('postgres://x/y');
    expect(notices.join()).toContain('POSTHOG_DB_NAME without effect: DATABASE_URL comes from environment');
    const fromFile = loadConfig({ DATABASE_URL_FILE: '/f', POSTHOG_DB_NAME: 'ph' }, { ...options, readFile: () => 'postgres://f/y\n' });
    expect(fromFile.config.postgres.url).toBe('postgres://f/y');
  });

  it.each<[string, Env, string]>([
    ['POSTHOG_REDIS_HOST wins over REDIS_URL', { REDIS_URL: 'redis://a', POSTHOG_REDIS_HOST: 'b' }, 'redis://b:6379'],
    ['its password is encoded', { POSTHOG_REDIS_HOST: 'b', POSTHOG_REDIS_PASSWORD: 'p@', POSTHOG_REDIS_PORT: '1' }, 'redis://:p%40@b:1'],
    ['INGESTION_REDIS_HOST wins over it', { INGESTION_REDIS_HOST: 'c', INGESTION_REDIS_PORT: '2', POSTHOG_REDIS_HOST: 'b' }, 'redis://c:2'],
    ['a host may be a whole address', { POSTHOG_REDIS_HOST: 'rediss://d:3' }, 'rediss://d:3'],
    ['a port alone changes nothing', { REDIS_URL: 'redis://a', POSTHOG_REDIS_PORT: '1' }, 'redis://a'],
  ])('Redis, as PostHog looks for it: %s', (_, env, url) => {
    expect(loadConfig(env, options).config.redis.url).toBe(url);
  });

  it('takes the offline ClickHouse only where no other is named: stored rows are asked for where they are inserted', () => {
    expect(loadConfig({ CLICKHOUSE_OFFLINE_CLUSTER_HOST: 'b' }, options).config.clickhouse.host).toBe('b');
    const { config, notices } = loadConfig({ CLICKHOUSE_HOST: 'a', CLICKHOUSE_OFFLINE_CLUSTER_HOST: 'b' }, options);
    expect(config.clickhouse.host).toBe('a');
    expect(notices.join()).toContain('CLICKHOUSE_OFFLINE_CLUSTER_HOST without effect');
  });

  it('takes the plugin deadline from TASK_TIMEOUT unless it is set', () => {
    expect(loadConfig({ TASK_TIMEOUT: '5' }, options).config.plugins.deadlineMs).toBe(5_000);
    expect(loadConfig({ TASK_TIMEOUT: '5', TROUPE_PLUGIN_DEADLINE_MS: '70' }, options).config.plugins.deadlineMs).toBe(70);
  });

  it('takes the ordinal from the host name only where replicas are counted', () => {
    expect(loadConfig({ TROUPE_REPLICAS: '3' }, options).config.server.ordinal).toBe(2);
    expect(loadConfig({}, options).config.server.ordinal).toBeUndefined();
  });

  it.each([
    ['test', '_test'],
    ['TESTING', '_test'],
    ['production', ''],
    ['production-functional-tests', ''],
    ['development', ''],
    ['', ''],
  ])('1.1: every topic is KAFKA_PREFIX, its name, and with NODE_ENV=%j %j behind it', (environment, suffix) => {
    const env = { NODE_ENV: environment, KAFKA_PREFIX: 'pre_', TROUPE_EMBEDDED_IN_PRODUCTION: 'yes' };
    expect(topicsOf(loadConfig(env, options).config)).toEqual({
      main: `pre_events_plugin_ingestion${suffix}`,
      overflow: `pre_events_plugin_ingestion_overflow${suffix}`,
      historical: `pre_events_plugin_ingestion_historical${suffix}`,
      warnings: `pre_client_iwarnings_ingestion${suffix}`,
      heatmaps: `pre_heatmaps_ingestion${suffix}`,
      exceptions: `pre_exceptions_ingestion${suffix}`,
      deadLetter: `pre_events_plugin_ingestion_dlq${suffix}`,
      recordings: `pre_session_recording_snapshot_item_events${suffix}`,
      recordingsOverflow: `pre_session_recording_snapshot_item_overflow${suffix}`,
      exceptionSymbolification: `pre_exception_symbolification_events${suffix}`,
    });
  });

  it('8, O-1: a topic or group that is named by a variable of its own has that name, and nothing around it', () => {
    const topics = {
      main: 'KAFKA_CONSUMPTION_TOPIC',
      overflow: 'KAFKA_CONSUMPTION_OVERFLOW_TOPIC',
      historical: 'KAFKA_HISTORICAL_TOPIC',
      warnings: 'KAFKA_CLIENT_INGESTION_WARNING_TOPIC',
      heatmaps: 'KAFKA_HEATMAPS_TOPIC',
      exceptions: 'KAFKA_ERROR_TRACKING_TOPIC',
      deadLetter: 'INGESTION_CONSUMER_DLQ_TOPIC',
      exceptionSymbolification: 'EXCEPTIONS_SYMBOLIFICATION_KAFKA_TOPIC',
      recordings: 'TROUPE_CAPTURE_RECORDINGS_TOPIC',
      recordingsOverflow: 'TROUPE_CAPTURE_RECORDINGS_OVERFLOW_TOPIC',
    };
    const names = Object.fromEntries(Object.entries(topics).map(([topic, name]) => [name, `pre_${topic}`]));
    const env = { ...names, INGESTION_CONSUMER_GROUP_ID: 'pre_group', KAFKA_PREFIX: 'pre_', NODE_ENV: 'test' };
    for (const profile of PROFILES) {
      const { config } = loadConfig({ ...env, TROUPE_TOPIC_PROFILE: profile }, options);
      expect(topicsOf(config)).toEqual(Object.fromEntries(Object.keys(topics).map((topic) => [topic, `pre_${topic}`])));
      expect(intakeIdentity(config, 'main').groupId).toBe('pre_group');
      expect(intakeIdentity(config, 'overflow').groupId).toBe('pre_clickhouse-ingestion-overflow');
    }
    expect(intakeIdentity(loadConfig({ KAFKA_PREFIX: 'pre_' }, options).config, 'main').groupId).toBe('pre_clickhouse-ingestion');
  });

  it("16.1 row 21: the profile of the capture document has its five names, PostHog's for the rest, and prefix and suffix as ever", () => {
    const set = { KAFKA_PREFIX: 'pre_', NODE_ENV: 'test', REPLAY_OVERFLOW_FORCED_TOKENS: 'phc_x' };
    const { config } = loadConfig({ ...set, TROUPE_TOPIC_PROFILE: 'document' }, options);
    expect(topicsOf(config)).toEqual({
      main: 'pre_clickhouse_events_test',
      recordings: 'pre_clickhouse_session_recording_events_test',
      recordingsOverflow: 'pre_session_recording_snapshot_item_overflow_test',
      historical: 'pre_historical_events_test',
      warnings: 'pre_client_warnings_test',
      exceptions: 'pre_exceptions_test',
      overflow: 'pre_events_plugin_ingestion_overflow_test',
      heatmaps: 'pre_heatmaps_ingestion_test',
      deadLetter: 'pre_events_plugin_ingestion_dlq_test',
      exceptionSymbolification: 'pre_exception_symbolification_events_test',
    });
    // What is captured is what is ingested.
    expect(intakeIdentity(config, 'historical')).toMatchObject({
      topic: 'pre_historical_events_test',
      groupId: 'pre_clickhouse-ingestion-historical',
    });
    expect([...neededTopics(config)].sort()).toEqual(Object.values(topicsOf(config)).sort());
    expect(topicsOf(loadConfig({ TROUPE_TOPIC_PROFILE: 'document', KAFKA_CONSUMPTION_TOPIC: 'mine' }, options).config)).toMatchObject({
      main: 'mine',
      historical: 'historical_events',
    });
  });
});

describe('rules between settings', () => {
  it('no topic is read twice; a process that only captures may write two kinds of events to one', () => {
    const shared = { KAFKA_CLIENT_INGESTION_WARNING_TOPIC: 'events_plugin_ingestion' };
    const [problem] = problemsOf(shared);
    expect(problem?.name).toBe('KAFKA_CONSUMPTION_TOPIC + KAFKA_CLIENT_INGESTION_WARNING_TOPIC');
    expect(problemsOf({ ...shared, PLUGIN_SERVER_MODE: 'capture', KAFKA_HOSTS: 'k' })).toEqual([]);
    const [given] = problemsOf({
      INGESTION_CONSUMER_DLQ_TOPIC: 'x',
      KAFKA_CONSUMPTION_TOPIC: 'x',
      PLUGIN_SERVER_MODE: 'capture',
      KAFKA_HOSTS: 'k',
    });
    expect(given?.name).toBe('KAFKA_CONSUMPTION_TOPIC + INGESTION_CONSUMER_DLQ_TOPIC');
  });

  it('the zombie rule: an insert of a former owner must end before the brokers name a new one', () => {
    expect(problemsOf({ TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS: '19999' })).toEqual([]);
    const [problem] = problemsOf({ TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS: '20000' });
    expect(problem?.name).toContain('KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS');
    expect(problem?.value).toBe('10000 ms + 20000 ms against 30000 ms');
  });

  it('the zombie rule holds for a rebalance too, which may end before a session does', () => {
    expect(problemsOf({ KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS: '25001' })).toEqual([]);
    const [problem] = problemsOf({ KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS: '25000' });
    expect(problem?.name).toContain('TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS + KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS');
  });

  it.each<[string, Env]>([
    ['the shutdown phases reach the grace period', { TROUPE_SHUTDOWN_DRAIN_MS: '14000' }],
    ['a team has more credit than its partition', { TROUPE_ROUTER_TEAM_CREDIT_COUNT: '20001' }],
    ['a distinct_id has more credit than its team', { TROUPE_ROUTER_DISTINCT_ID_CREDIT_COUNT: '10001' }],
    ['the gap is smaller than the credit', { TROUPE_ROUTER_GAP_COUNT: '1999' }],
    ['two servers share a port', { TROUPE_CAPTURE_PORT: '6738' }],
    ['an ordinal is not below the replicas', { TROUPE_ORDINAL: '3', TROUPE_REPLICAS: '3' }],
    ['an ordinal stands without replicas', { TROUPE_ORDINAL: '0' }],
    ['two heartbeats do not fit into the margin', { TROUPE_KAFKA_HEARTBEAT_INTERVAL_MS: '5001' }],
    ['a broker is no address', { KAFKA_HOSTS: 'tcp://a:1', TROUPE_EMBEDDED_IN_PRODUCTION: 'y' }],
    ['ClickHouse is no address', { CLICKHOUSE_HOST: 'a b' }],
    ['SASL is on without a user', { KAFKA_SECURITY_PROTOCOL: 'sasl_ssl' }],
    ['a client certificate has no key', { KAFKA_CLIENT_CERT_B64: 'x' }],
  ])('refuses when %s', (_, env) => {
    expect(problemsOf(env)).toHaveLength(1);
  });

  it('a port of 0 is shared by nobody', () => {
    expect(problemsOf({ HTTP_SERVER_PORT: '0', TROUPE_CAPTURE_PORT: '0', TROUPE_INSPECT_PORT: '0' })).toEqual([]);
  });

  it('in production a missing server is an error, unless embedded servers are wanted there', () => {
    const env = { NODE_ENV: 'production', KAFKA_HOSTS: 'k:9092', REDIS_URL: 'redis://r' };
    expect(problemsOf(env).map(({ name }) => name)).toEqual(['CLICKHOUSE_HOST', 'DATABASE_URL']);
    expect(problemsOf({ ...env, TROUPE_EMBEDDED_IN_PRODUCTION: 'true' })).toEqual([]);
    expect(problemsOf(env)[1]?.todo).toContain('POSTHOG_DB_NAME');
  });

  it('beside a real Kafka neither DATABASE_URL nor POSTHOG_DB_NAME is an error: offsets would be committed for rows on a local disk', () => {
    const env = { KAFKA_HOSTS: 'k:9092', CLICKHOUSE_HOST: 'c' };
    expect(problemsOf(env).map(({ name }) => name)).toEqual(['DATABASE_URL']);
    expect(problemsOf({ ...env, POSTHOG_DB_NAME: 'posthog' })).toEqual([]);
    expect(problemsOf({ ...env, TROUPE_EMBEDDED_IN_PRODUCTION: 'true' })).toEqual([]);
  });

  it.each(['CLICKHOUSE_CA', 'TROUPE_POSTGRES_CA', 'TROUPE_REDIS_CA'])('%s is a certificate, as text or as a file', (name) => {
    const readFile = (path: string): string => {
      if (path !== '/ca.pem') throw new Error(`ENOENT: no such file, open '${path}'`);
      return CERTIFICATE;
    };
    expect(problemsOf({ [name]: CERTIFICATE })).toEqual([]);
    expect(problemsOf({ [name]: '/ca.pem' }, { readFile })).toEqual([]);
    expect(problemsOf({ [name]: '/cb.pem' }, { readFile })).toMatchObject([
      { name, value: '/cb.pem', todo: expect.stringContaining('ENOENT') as string },
    ]);
    expect(problemsOf({ [name]: KEY })).toMatchObject([{ name, value: undefined }]);
  });
});

describe('notices', () => {
  it('names each variable of PostHog that is set and has no effect', () => {
    expect(loadConfig({ ...MAIN_ONLY, WORKER_CONCURRENCY: '4', SENTRY_DSN: '' }, options).notices).toEqual([
      'WORKER_CONCURRENCY has no effect: the actors make the concurrency.',
    ]);
  });

  it('says which servers are embedded when only some are', () => {
    expect(loadConfig({ ...MAIN_ONLY, DATABASE_URL: 'postgres://x/y' }, options).notices).toEqual([
      'KAFKA_HOSTS, CLICKHOUSE_HOST, REDIS_URL not set: Kafka, ClickHouse, Redis embedded in .troupe.',
    ]);
  });

  it('9.1: knows the modes of PostHog, runs those of which something is built, and refuses to idle in the others', () => {
    const env = { KAFKA_HOSTS: 'k:9092', TROUPE_EMBEDDED_IN_PRODUCTION: 'yes' };
    const refused = MODES.filter((mode) => problemsOf({ ...env, PLUGIN_SERVER_MODE: mode }).length > 0);
    expect(refused).toEqual(MODES.filter((mode) => /^(async|jobs|scheduler|recordings|cdp)/.test(mode)));
    expect(problemsOf({ PLUGIN_SERVER_MODE: 'async' })).toMatchObject([
      { name: 'PLUGIN_SERVER_MODE', value: 'async', todo: expect.stringContaining('plugin jobs, scheduled plugin tasks') as string },
    ]);
    expect(() => loadConfig({ PLUGIN_SERVER_MODE: 'ingest' }, options)).toThrow('Invalid PLUGIN_SERVER_MODE ingest');
  });

  it('9.1: says once what a mode has that is not built', () => {
    const notices = (mode: string): readonly string[] => loadConfig({ PLUGIN_SERVER_MODE: mode }, options).notices;
    expect(notices('null').join()).toContain('session replay');
    expect(notices('functional-tests')).toHaveLength(1);
    expect(notices('ingestion')).toEqual([]);
  });

  it('9.1: an events pipeline that PostHog does not know stops the start', () => {
    expect(problemsOf({ PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE: 'replay' })).toMatchObject([
      { name: 'PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE', allowed: 'ingestion_warnings, heatmaps, exceptions' },
    ]);
  });

  it('serves capture where the mode says so, unless TROUPE_CAPTURE_ENABLED says otherwise', () => {
    const enabled = (env: Env): unknown =>
      loadConfig({ KAFKA_HOSTS: 'k:9092', TROUPE_EMBEDDED_IN_PRODUCTION: 'yes', ...env }, options).config.capture.enabled;
    const serving = ['null', 'functional-tests', 'capture', 'ingestion', 'events-ingestion'].filter((mode) =>
      enabled({ PLUGIN_SERVER_MODE: mode }),
    );
    expect(serving).toEqual(['null', 'functional-tests', 'capture']);
    expect(enabled({ TROUPE_CAPTURE_ENABLED: 'false' })).toBe(false);
    expect(enabled({ PLUGIN_SERVER_MODE: 'ingestion', TROUPE_CAPTURE_ENABLED: 'true' })).toBe(true);
  });

  it('a process that only captures needs Kafka, and no other server, also in production', () => {
    const env = { PLUGIN_SERVER_MODE: 'capture', NODE_ENV: 'production' };
    expect(problemsOf(env).map(({ name }) => name)).toContain('KAFKA_HOSTS');
    expect(problemsOf({ ...env, KAFKA_HOSTS: 'k:9092' })).toEqual([]);
  });

  it.each([
    { TROUPE_CAPTURE_DEDUPE_MS: '1000' },
    { EVENT_RESTRICTIONS_ENABLED: 'true' },
    { REPLAY_OVERFLOW_SESSIONS_ENABLED: 'true' },
    { TROUPE_CAPTURE_TOKEN_SETTINGS: 'true' },
    { TROUPE_CAPTURE_ALLOWANCES: 'true' },
    { GLOBAL_RATE_LIMIT_ENABLED: 'true' },
    { TROUPE_CAPTURE_RATE_PER_S: '0.5' },
  ])('%j wants a Redis, in a process that captures', (env) => {
    expect(problemsOf(env)).toMatchObject([{ name: 'REDIS_URL', allowed: `a Redis, needed with ${Object.keys(env)[0]}` }]);
    expect(problemsOf({ ...env, REDIS_URL: 'redis://r:6379' })).toEqual([]);
    expect(problemsOf({ ...env, TROUPE_CAPTURE_ENABLED: 'false' })).toEqual([]);
  });

  it('topics that would feed each other are refused', () => {
    expect(problemsOf({ KAFKA_CONSUMPTION_OVERFLOW_TOPIC: 'events_plugin_ingestion' })).toHaveLength(1);
  });
});

describe('the table', () => {
  it('has no setting that nothing reads', () => {
    const readers = [
      ...globSync(['src/*.ts', 'src/start/**/*.ts'], { cwd: root }),
      'src/config/load.ts',
      'src/config/topic-names.ts',
      'src/config/kafka-tls.ts',
    ];
    const text = readers.map((path) => readFileSync(join(root, path), 'utf8')).join('\n');
    // What the orchestrator allows is told to us so that a rule can hold it against the phases.
    // Read as a property or taken apart; a name before a colon is another thing that is called the same.
    const unread = ALL_SETTINGS.filter(({ key }) => key !== 'graceMs' && !new RegExp(`\\.${key}\\b|[{,]\\s*${key}\\b(?!\\s*:)`).test(text));
    expect(unread.map(({ setting }) => setting.name)).toEqual([]);
  });

  it('names each variable once, and none of those without effect', () => {
    const names = ALL_SETTINGS.map(({ setting }) => setting.name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.filter((name) => reasonWithoutEffect(name) !== undefined)).toEqual([]);
  });

  it('has a unit in the name of each number of our own', () => {
    const unnamed = ALL_SETTINGS.filter(
      ({ setting }) =>
        setting.name.startsWith('TROUPE_') &&
        setting.kind === 'integer' &&
        !/_(MS|BYTES|COUNT|MB|PORT)$|_ORDINAL$|_REPLICAS$/.test(setting.name),
    );
    expect(unnamed.map(({ setting }) => setting.name)).toEqual([]);
  });
});
