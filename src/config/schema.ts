import { MODES, PIPELINES } from './modes.ts';
import {
  boolean,
  capturePlugins,
  choice,
  integer,
  list,
  number,
  optionalBoolean,
  optionalChoice,
  optionalInteger,
  optionalText,
  optionalUrl,
  ratio,
  text,
  type Setting,
  type ValueOf,
} from './setting.ts';
import { PROFILES } from './topic-profiles.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

/** The setting that names the file in which the others may stand. */
export const CONFIG_FILE = 'TROUPE_CONFIG_FILE';

/**
 * THE table of settings: sections of rows, in the order of docs/configuration.md. The shape of {@link Config} is derived from it,
 * so adding a setting is adding a row. Rules over several rows are in rules.ts; PostHog variables that have nothing to
 * set here are in without-effect.ts.
 */
export const SCHEMA = {
  server: {
    mode: choice('PLUGIN_SERVER_MODE', MODES, 'null', {
      prose:
        'What this process runs, by the names of PostHog: `null` everything that is built, `ingestion` the main topic, `ingestion-overflow`, `ingestion-historical` and `events-ingestion` the others, `capture` the HTTP service alone. A mode of which nothing is built is refused.',
    }),
    pipeline: optionalChoice('PLUGIN_SERVER_EVENTS_INGESTION_PIPELINE', PIPELINES, {
      prose: 'Of the three topics of `events-ingestion`, the one that this process reads. Unset: all.',
    }),
    configFile: optionalText(CONFIG_FILE, {
      prose:
        'File of settings, YAML or JSON; `--config` on the command line is the same. The environment goes before it. Its keys stand below each setting here.',
    }),
    environment: text('NODE_ENV', '', {
      prose:
        'Environment this process runs in. One that begins with `test`, in any case, puts `_test` behind every topic name (spec 1.1); `production` refuses a start with a server address missing.',
    }),
    contactTimeoutMs: integer('TROUPE_CONTACT_TIMEOUT_MS', 'ms', 15_000, {
      prose: 'How long each outside system may take to answer for the first time. Past it the start ends with what was seen there.',
      raise: 'A start beside servers that are starting too waits for them; a mistake in an address takes longer to be told.',
      lower: 'A slow name server or a busy broker ends a start.',
      min: 1_000,
    }),
    tlsUnverified: list('TROUPE_TLS_UNVERIFIED', {
      prose:
        'Systems whose certificates are not verified: any of `kafka`, `clickhouse`, `postgres`, `redis`. Connections to them are encrypted, to whomever. A last resort: name the certificate authority instead.',
    }),
    dataDir: text('TROUPE_DATA_DIR', '.troupe', {
      prose: 'Folder of everything the process keeps on disk: the embedded servers and their data. Relative to the working directory.',
    }),
    httpHost: text('TROUPE_HTTP_HOST', '0.0.0.0', { prose: 'Address the health and metrics server listens on.' }),
    httpPort: integer('HTTP_SERVER_PORT', 'port', 6738, { prose: 'Port of `/_health`, `/_ready` and `/_metrics`. 0 takes a free one.' }),
    inspectHost: text('TROUPE_INSPECT_HOST', '127.0.0.1', {
      prose: 'Address the inspector listens on. It shows the state of actors and asks for no password: keep it on the loopback.',
    }),
    inspectPort: integer('TROUPE_INSPECT_PORT', 'port', 6739, { prose: 'Port of the actor inspector. 0 takes a free one.' }),
    demoPort: integer('TROUPE_DEMO_PORT', 'port', 8011, {
      prose: 'Port of the shop that `demo` opens beside its capture, on the loopback; nothing else opens it. 0 takes a free one.',
    }),
    logLevel: choice('LOG_LEVEL', ['debug', 'info', 'warn', 'error', 'silent'], 'info', {
      reloadable: true,
      byEnvironment: { test: 'warn' },
      prose: 'The least severe log line that is written.',
      raise: 'Towards `error`: less to read, and less to find a cause with.',
      lower: 'Towards `debug`: a line for each batch.',
    }),
    logFormat: choice('TROUPE_LOG_FORMAT', ['troupe', 'document'], 'troupe', {
      prose:
        'Names in log lines: `troupe` (`level`, `time`, `service`, the fields, `message`), or `document`, those of the capture document (`level`, `timestamp`, `caller`, `msg`, `fields` with `event_id` and `token`). Tokens are masked in both.',
    }),
    ordinal: optionalInteger('TROUPE_ORDINAL', 'count', {
      prose:
        'Number of this process in its StatefulSet, from 0. Partitions stay with their number over a restart, and warm actors with them.',
      derived: 'number at the end of the host name, when TROUPE_REPLICAS is set',
    }),
    replicas: optionalInteger('TROUPE_REPLICAS', 'count', {
      prose: 'How many processes share the input topics. Unset: partitions are spread evenly, with no memory of who had them.',
      min: 1,
    }),
  },

  admin: {
    port: optionalInteger('TROUPE_ADMIN_PORT', 'port', {
      prose:
        'Port of the admin server: settings in force, reload, log level (docs/runbook.md). Needs TROUPE_ADMIN_TOKEN. 0 takes a free one; unset, there is none.',
    }),
    host: text('TROUPE_ADMIN_HOST', '127.0.0.1', {
      prose: 'Address the admin server listens on. It speaks plain HTTP: keep it on the loopback.',
    }),
    tokens: list('TROUPE_ADMIN_TOKEN', {
      reloadable: true,
      secret: true,
      prose:
        'What `Authorization: Bearer` must say to the admin server: a token of 16 characters or more, or several as `name:token`, whose names stand in the audit log.',
    }),
    auditLog: optionalText('TROUPE_AUDIT_LOG', {
      prose:
        'File to which a line of JSON is added, and fsynced, for each reload, whatever caused it, and each action of the admin server. What cannot be written there is not done.',
    }),
  },

  capture: {
    enabled: optionalBoolean('TROUPE_CAPTURE_ENABLED', {
      prose: "Serve PostHog's capture endpoints in this process. Switch off where PostHog's own capture feeds Kafka.",
      derived: 'true in the modes null, functional-tests and capture',
    }),
    host: text('TROUPE_CAPTURE_HOST', '0.0.0.0', { prose: 'Address the capture server listens on.' }),
    port: integer('TROUPE_CAPTURE_PORT', 'port', 8010, { prose: 'Port of the capture server. 0 takes a free one.' }),
    workers: text('TROUPE_CAPTURE_WORKERS', '1', {
      prose:
        'Processes that capture behind one port, in mode `capture` with KAFKA_HOSTS: a number, or `auto` for one per core. One more supervises them, starts those that die again, and answers probes and Prometheus for all. Limits and rates count in each worker by itself.',
      raise: 'More requests per second; each has its own producer, memory and limits.',
    }),
    bodyBytes: integer('TROUPE_CAPTURE_BODY_BYTES', 'bytes', 20 * MiB, {
      reloadable: true,
      prose: 'Largest request body, before and after decompression; above it the answer is 413.',
      raise: 'One request may hold that much memory twice.',
      lower: 'Large batches of backfills are refused.',
      min: 64 * KiB,
    }),
    dedupeMs: integer('TROUPE_CAPTURE_DEDUPE_MS', 'ms', 0, {
      reloadable: true,
      prose:
        'How long a stored event is remembered in Redis, so that the same one sent again is left out. 0 leaves duplicates to ClickHouse, where events of one uuid become one row. Needs REDIS_URL.',
      raise: 'More keys in Redis: one of about 150 bytes for each event of that time.',
    }),
    overflowEnabled: boolean('OVERFLOW_ENABLED', false, {
      reloadable: true,
      prose:
        'Send events of a (token, distinct_id) that has too many to the overflow topic as they arrive, before Kafka. INGESTION_OVERFLOW_ENABLED does the same when they are read.',
    }),
    overflowPerS: number('OVERFLOW_PER_SECOND_LIMIT', 'per s', 100, {
      reloadable: true,
      prose: 'Events a second that a key may have for ever, with OVERFLOW_ENABLED. Each process counts by itself.',
    }),
    overflowBurstCount: integer('OVERFLOW_BURST_LIMIT', 'count', 1_000, {
      reloadable: true,
      prose: 'Events that a key may have at once, with OVERFLOW_ENABLED.',
      min: 1,
    }),
    overflowLocality: boolean('OVERFLOW_PRESERVE_PARTITION_LOCALITY', false, {
      reloadable: true,
      prose: 'Events that overflow keep their key, and so their order, instead of being spread over the partitions.',
    }),
    overflowForced: list('INGESTION_FORCE_OVERFLOW_BY_TOKEN_DISTINCT_ID', {
      reloadable: true,
      prose: 'What overflows whatever its rate, each a `token` or `token:distinct_id`; it gets no person.',
    }),
    historicalRerouting: boolean('ENABLE_HISTORICAL_REROUTING', false, {
      reloadable: true,
      prose: 'Send events to the historical topic that are older than HISTORICAL_REROUTING_THRESHOLD_DAYS.',
    }),
    historicalDays: integer('HISTORICAL_REROUTING_THRESHOLD_DAYS', 'days', 1, {
      reloadable: true,
      prose: 'Age from which an event is historical, with ENABLE_HISTORICAL_REROUTING.',
    }),
    accessLog: choice('TROUPE_CAPTURE_ACCESS_LOG', ['off', 'errors', 'all'], 'off', {
      reloadable: true,
      prose:
        'Requests that get a line in the log, at level `info`: none, those answered with 400 or more, all. A line has method, route, status, bytes both ways, time, address, `X-Forwarded-For`, user agent, referer and the name of the request; no URL and nothing of the body.',
      raise: 'Towards `all`: a line of some 400 bytes for each request.',
    }),
    recordings: boolean('TROUPE_CAPTURE_RECORDINGS', false, {
      reloadable: true,
      prose:
        "Tell posthog-js to record sessions. It loads its recorder from TROUPE_CAPTURE_STATIC_DIR, and PostHog's consumers store what it sends.",
    }),
    staticDir: optionalText('TROUPE_CAPTURE_STATIC_DIR', {
      reloadable: true,
      prose:
        'Folder whose scripts are served as `/static/…`, read at the start and when another folder is named: `dist` of the npm package posthog-js. Unset: 404, and what posthog-js would load stays off.',
    }),
    recordingsTopic: optionalText('TROUPE_CAPTURE_RECORDINGS_TOPIC', {
      prose: "Topic of session recordings, which PostHog's recording consumers read, as a whole name.",
      derived: 'KAFKA_PREFIX and `session_recording_snapshot_item_events`, or what TROUPE_TOPIC_PROFILE calls it',
    }),
    recordingsOverflowTopic: optionalText('TROUPE_CAPTURE_RECORDINGS_OVERFLOW_TOPIC', {
      prose: 'Topic of session recordings that are sent aside, as a whole name.',
      derived: 'KAFKA_PREFIX and `session_recording_snapshot_item_overflow`',
    }),
    plugins: capturePlugins('TROUPE_CAPTURE_PLUGINS', {
      prose:
        'Modules that capture hands events, requests or records to, in this order (docs/capture.md). In a configuration file also as a list in section `plugins`, each with `module`, `kind`, `timeoutMs`, `onError` and `config`.',
    }),
    putmessageTopics: list('TROUPE_PUTMESSAGE_TOPICS', {
      reloadable: true,
      prose: 'Topics that `POST /putmessage` may write to. Unset: there is no such path. They are not made at the start.',
    }),
    putmessageAck: choice('TROUPE_PUTMESSAGE_ACK', ['durable', 'none'], 'durable', {
      reloadable: true,
      prose:
        'What the 200 of `/putmessage` means: `durable`, the message is in Kafka or in the spill; `none`, it is in memory, and a killed process loses it.',
    }),
    putmessageLogMessages: boolean('TROUPE_PUTMESSAGE_LOG_MESSAGES', false, {
      reloadable: true,
      prose:
        'Write the messages themselves into the log line about a failed batch of `/putmessage`. They are what clients sent; the spill has them anyway.',
    }),
    spillDir: optionalText('TROUPE_SPILL_DIR', {
      prose:
        'Folder where events wait while Kafka does not take them; nothing is written there otherwise. Several processes may share it, also over a network file system. Not used without KAFKA_HOSTS.',
      derived: 'spill in TROUPE_DATA_DIR',
    }),
    spillInstance: optionalText('TROUPE_SPILL_INSTANCE', {
      prose: 'Name of this process in the spill folder, for people who look into it.',
      derived: 'host name',
    }),
    spillMaxBytes: integer('TROUPE_SPILL_MAX_BYTES', 'bytes', 1024 * MiB, {
      prose: 'The most that waits in the spill of one process; beyond it capture answers 503 and clients try again.',
      raise: 'Rides out longer outages; that much disk.',
      lower: 'Refuses earlier.',
      min: 1 * MiB,
    }),
    spillSegmentBytes: integer('TROUPE_SPILL_SEGMENT_BYTES', 'bytes', 8 * MiB, {
      prose: 'Size at which a file of the spill is closed and the next one begun.',
      raise: 'Fewer files; a crash during a replay sends more again; one for each topic is in memory during a replay.',
      lower: 'More files.',
      min: 64 * KiB,
      max: 256 * MiB,
    }),
    spillLeaseMs: integer('TROUPE_SPILL_LEASE_MS', 'ms', 30_000, {
      prose:
        'How long a process on another machine may give no sign of life before what it left in a shared spill folder is taken over. Equal for all who share one.',
      raise: 'What a dead pod left arrives later.',
      lower: 'A process that was only slow loses its folder; its events may arrive twice, with the same uuid.',
      min: 2_000,
    }),
  },

  tokens: {
    listed: list('TROUPE_CAPTURE_TOKENS', {
      reloadable: true,
      prose: 'Tokens that may send events. Unset: all, unless TROUPE_CAPTURE_UNKNOWN_TOKENS says otherwise.',
    }),
    unknown: optionalChoice('TROUPE_CAPTURE_UNKNOWN_TOKENS', ['accept', 'refuse'], {
      reloadable: true,
      prose:
        'What becomes of a token that is neither in TROUPE_CAPTURE_TOKENS nor has settings of its own (TROUPE_CAPTURE_TOKEN_SETTINGS): `refuse` answers 401, and SDKs throw its events away.',
      derived: 'refuse when TROUPE_CAPTURE_TOKENS is set',
    }),
    settings: boolean('TROUPE_CAPTURE_TOKEN_SETTINGS', false, {
      prose:
        'Follow the settings of a token in Redis, a hash `config:<token>`: whether and where it may send, which types of events, how many of them, to which topic (docs/capture.md). Needs REDIS_URL.',
    }),
    settingsRefreshMs: integer('TROUPE_CAPTURE_TOKEN_SETTINGS_REFRESH_MS', 'ms', 10_000, {
      prose: 'For how long the settings of a token are not asked for again.',
      raise: 'A change takes longer to hold.',
      lower: 'More questions to Redis, one for each token that sends.',
      min: 100,
    }),
    allowances: boolean('TROUPE_CAPTURE_ALLOWANCES', false, {
      reloadable: true,
      prose:
        'Take from the counters `quota:<token>:<type>` in Redis what a token has left of a type of events; beyond it events are left out. A token without a counter has no limit. Needs REDIS_URL.',
    }),
    ratePerS: number('TROUPE_CAPTURE_RATE_PER_S', 'per s', 0, {
      reloadable: true,
      prose: 'Events of a type a second that a token may send for ever, counted in Redis for all processes. 0: no limit. Needs REDIS_URL.',
      max: 1_000_000,
    }),
    rateBurstCount: integer('TROUPE_CAPTURE_RATE_BURST_COUNT', 'count', 1_000, {
      reloadable: true,
      prose: 'Events of a type that a token may send at once, with TROUPE_CAPTURE_RATE_PER_S.',
      min: 1,
      max: 1_000_000_000,
    }),
    rateOver: choice('TROUPE_CAPTURE_RATE_OVER', ['overflow', 'drop', 'refuse'], 'overflow', {
      reloadable: true,
      prose:
        'What becomes of events beyond their rate: `overflow` sends those of the main topic and recordings to their overflow topic and leaves others alone; `drop` leaves them out; `refuse` answers 429, for senders that wait and try again: posthog-js throws the events away.',
    }),
    globalLimit: boolean('GLOBAL_RATE_LIMIT_ENABLED', false, {
      prose:
        'Make no person of the events of a (token, distinct_id) that sends more than GLOBAL_RATE_LIMIT_TOKEN_DISTINCTID_THRESHOLD over all processes, and send those of the main topic to the overflow. Needs REDIS_URL.',
    }),
    globalThresholdCount: integer('GLOBAL_RATE_LIMIT_TOKEN_DISTINCTID_THRESHOLD', 'count', 300_000, {
      prose: 'Events that a (token, distinct_id) may send in a window, with GLOBAL_RATE_LIMIT_ENABLED.',
      min: 1,
    }),
    globalWindowS: integer('GLOBAL_RATE_LIMIT_WINDOW_INTERVAL_SECS', 's', 60, {
      prose: 'The window that GLOBAL_RATE_LIMIT_TOKEN_DISTINCTID_THRESHOLD is for. The same for all processes.',
      min: 1,
      max: 86_400,
    }),
    globalDryRun: boolean('GLOBAL_RATE_LIMIT_DRY_RUN', false, {
      reloadable: true,
      prose: 'Only count what GLOBAL_RATE_LIMIT_ENABLED would send aside.',
    }),
    redisWaitMs: integer('TROUPE_CAPTURE_REDIS_WAIT_MS', 'ms', 20, {
      prose:
        'The longest that a request waits for Redis, each time it asks. Past it the request goes on as if nobody were limited, and for a second nobody asks.',
      raise: 'A slow Redis holds up requests, and limits.',
      lower: 'A slow Redis limits nobody.',
      min: 1,
      max: 1_000,
    }),
    restrictions: boolean('EVENT_RESTRICTIONS_ENABLED', false, {
      prose:
        "Do with events what PostHog's event restrictions in Redis say: leave them out, send them to the overflow, to the dead letters or to a topic of their own, or make no person of them. Needs REDIS_URL.",
    }),
    restrictionsRefreshS: integer('EVENT_RESTRICTIONS_REFRESH_INTERVAL_SECS', 's', 30, {
      prose: 'How often the event restrictions are read.',
      min: 1,
      max: 86_400,
    }),
    restrictionsStaleS: integer('EVENT_RESTRICTIONS_FAIL_OPEN_AFTER_SECS', 's', 300, {
      prose: 'For how long event restrictions apply that Redis no longer confirms.',
      raise: 'An outage of Redis lets nothing through that was restricted, and what was lifted meanwhile stays restricted.',
      lower: 'Restricted events come through sooner when Redis is away.',
      min: 1,
      max: 86_400,
    }),
    openTopics: list('TROUPE_CAPTURE_TOPICS', {
      prose:
        'Topics that event restrictions and settings of tokens may send events to, besides those that capture writes anyway. They are not made at the start.',
    }),
    replayOverflow: boolean('REPLAY_OVERFLOW_SESSIONS_ENABLED', false, {
      prose:
        "Send recordings of sessions that PostHog's recording consumers have found too many to TROUPE_CAPTURE_RECORDINGS_OVERFLOW_TOPIC. Needs REDIS_URL.",
    }),
    replayOverflowForced: list('REPLAY_OVERFLOW_FORCED_TOKENS', {
      reloadable: true,
      prose: 'Tokens whose recordings go to TROUPE_CAPTURE_RECORDINGS_OVERFLOW_TOPIC, all of them.',
    }),
  },

  guards: {
    tlsCert: optionalText('TROUPE_CAPTURE_TLS_CERT', {
      prose:
        'Certificate of the capture server, with the chain behind it: PEM text, or the path of a file, which is read again when it changes. Unset: plain HTTP.',
    }),
    tlsKey: optionalText('TROUPE_CAPTURE_TLS_KEY', {
      prose:
        'Key of TROUPE_CAPTURE_TLS_CERT, without a passphrase: PEM text, or the path of a file, which is read again when it changes. What TROUPE_CAPTURE_TLS_KEY_FILE names is read once.',
      secret: true,
    }),
    signing: choice('TROUPE_CAPTURE_SIGNING', ['off', 'optional', 'required'], 'off', {
      reloadable: true,
      prose:
        'Whether requests with events are signed, by the header `X-Troupe-Signature` (docs/capture.md): `optional`, a signature is verified where there is one; `required`, a request without one is 401. SDKs do not sign: for servers that send by themselves.',
    }),
    signingKeys: list('TROUPE_CAPTURE_SIGNING_KEYS', {
      reloadable: true,
      prose:
        'Keys of signatures, each `id:secret`, any of which will do: for a rotation add the new one, let the senders change, take the old one away. The id is a label of a metric.',
      secret: true,
    }),
    signingWindowMs: integer('TROUPE_CAPTURE_SIGNING_WINDOW_MS', 'ms', 300_000, {
      reloadable: true,
      prose: 'How far the time in a signature may be from the clock here.',
      raise: 'A request that somebody recorded can be sent again for longer.',
      lower: 'Clocks that differ, and queues of senders, are refused.',
      min: 1_000,
    }),
    removeProperties: list('TROUPE_CAPTURE_REMOVE_PROPERTIES', {
      reloadable: true,
      prose:
        'Properties that are taken out of events before they are stored anywhere: names wherever they stand (`password`, `*_token`), or paths from the top (`address.street`, `user.*.phone`). In `$set` and `$set_once` too; not in session recordings.',
    }),
    maskProperties: list('TROUPE_CAPTURE_MASK_PROPERTIES', {
      reloadable: true,
      prose: 'The same, with `***` in place of their values.',
    }),
    maskDetect: list('TROUPE_CAPTURE_MASK_DETECT', {
      reloadable: true,
      prose:
        'What becomes `***` within the texts of all properties: any of `emails`, `cards` (numbers of payment cards with a right check digit) and `ipv4`. ids (`distinct_id`, `alias`, groups) and names of properties are left alone.',
    }),
    clientIp: choice('TROUPE_CAPTURE_CLIENT_IP', ['keep', 'anonymise', 'drop'], 'keep', {
      reloadable: true,
      prose:
        'What is stored of the address of who sent an event or a recording, and of `$ip` in properties: all, its network (the last byte of IPv4 is 0, 48 bits of IPv6 stay), or nothing.',
    }),
    pluginTimeoutMs: integer('TROUPE_CAPTURE_PLUGIN_TIMEOUT_MS', 'ms', 1_000, {
      prose:
        'How long a plugin of TROUPE_CAPTURE_PLUGINS may take for one request, unless its declaration says otherwise. Longer is a failure.',
      raise: 'A plugin that hangs keeps requests waiting for longer.',
      lower: 'A slow answer of something that a plugin asks is a failure.',
      min: 1,
    }),
    pluginPauseMs: integer('TROUPE_CAPTURE_PLUGIN_PAUSE_MS', 'ms', 30_000, {
      prose: 'How long a plugin is left alone that failed in five requests in a row; then it is tried again.',
      raise: 'Events go without it for longer after an outage that it suffers from.',
      lower: 'More requests wait for a plugin that is broken.',
      min: 100,
    }),
  },

  limits: {
    connectionCount: integer('TROUPE_CAPTURE_CONNECTIONS_COUNT', 'count', 10_000, {
      prose: 'Connections of a capture process at a time; one more is closed at once. The process needs as many open files (`ulimit -n`).',
      raise: 'Headers of that many clients may be in memory.',
      lower: 'Clients are turned away in a rush.',
      min: 1,
    }),
    concurrentCount: integer('CONCURRENCY_LIMIT', 'count', 0, {
      reloadable: true,
      prose:
        'Requests that a capture process works at at a time; others wait, with their body unread, for REQUEST_TIMEOUT_SECONDS at most and then get 503. Health routes do not wait. 0: no limit.',
    }),
    inFlightBytes: integer('TROUPE_CAPTURE_IN_FLIGHT_BYTES', 'bytes', 256 * MiB, {
      reloadable: true,
      prose: 'Bodies of all requests in work; a request beyond it gets 503.',
      raise: 'More memory when Kafka is slow.',
      lower: 'Clients are asked to come again earlier. Less than one body is refused always.',
      min: 1 * MiB,
    }),
    headersMs: integer('HTTP1_HEADER_READ_TIMEOUT_MS', 'ms', 10_000, {
      prose: "How long a client may take for the headers of a request. PostHog's has no limit unless it is set.",
      min: 10,
    }),
    bodyIdleMs: integer('BODY_CHUNK_READ_TIMEOUT_MS', 'ms', 30_000, {
      reloadable: true,
      prose: "How long a client may be silent in the middle of a body; then 408. PostHog's has no limit unless it is set.",
      min: 10,
    }),
    requestS: integer('REQUEST_TIMEOUT_SECONDS', 's', 120, {
      prose:
        'How long a request may take to arrive, then 408, and to wait for its turn, then 503. What comes after that has limits of its own (five seconds for Kafka and the spill).',
      raise: 'Slow uploads of large batches succeed; a client that dribbles holds its connection for longer.',
      min: 1,
      max: 3_600,
    }),
    headerBytes: integer('TROUPE_CAPTURE_HEADER_BYTES', 'bytes', 32 * KiB, {
      prose: 'Request line and headers of a request; beyond it 431.',
      min: 1 * KiB,
      max: 1 * MiB,
    }),
    headerCount: integer('TROUPE_CAPTURE_HEADER_COUNT', 'count', 200, {
      prose: 'Header fields of a request; beyond it 431.',
      min: 10,
      max: 2_000,
    }),
  },

  kafka: {
    hosts: list('KAFKA_HOSTS', {
      prose:
        'Brokers, as `host:port,host:port`; the port is 9092 where none is given. Unset: an embedded log in TROUPE_DATA_DIR takes the place of Kafka.',
    }),
    prefix: text('KAFKA_PREFIX', '', {
      prose: 'Put before the name of every topic and consumer group (spec 1.1), but not before one that is set by itself.',
    }),
    clientId: optionalText('KAFKA_CLIENT_ID', { prose: 'How this process names itself to the brokers.', derived: 'host name' }),
    securityProtocol: choice('KAFKA_SECURITY_PROTOCOL', ['plaintext', 'ssl', 'sasl_plaintext', 'sasl_ssl'], 'plaintext', {
      prose: 'How connections to the brokers are secured. Upper case is understood.',
    }),
    saslMechanism: optionalChoice('KAFKA_SASL_MECHANISM', ['plain', 'scram-sha-256', 'scram-sha-512'], {
      prose: 'How to log in, when the security protocol begins with `sasl`. Upper case is understood.',
    }),
    saslUser: optionalText('KAFKA_SASL_USER', { prose: 'User to log in as.' }),
    saslPassword: optionalText('KAFKA_SASL_PASSWORD', { prose: 'Password to log in with.', secret: true }),
    trustedCertB64: optionalText('KAFKA_TRUSTED_CERT_B64', {
      prose: 'Certificate authority of the brokers: PEM in base64, or as it is. Unset: the authorities of the system.',
    }),
    // Secret, because PostHog's consumers wanted the key here (kafka-tls.ts).
    clientCertB64: optionalText('KAFKA_CLIENT_CERT_B64', {
      prose:
        'Client certificate, with its chain: PEM in base64, or as it is. PostHog mixed it up with the key: either order is understood.',
      secret: true,
    }),
    clientCertKeyB64: optionalText('KAFKA_CLIENT_CERT_KEY_B64', {
      prose: 'Key of the client certificate, without a passphrase: PEM in base64, or as it is.',
      secret: true,
    }),
    rack: optionalText('KAFKA_CLIENT_RACK', {
      prose: 'Where this process stands. Brokers with a rack-aware replica selector then have it fetch from the replica that stands there.',
    }),
    clientLogLevel: choice('KAFKAJS_LOG_LEVEL', ['nothing', 'error', 'warn', 'info', 'debug'], 'warn', {
      prose: 'The least severe remark of the Kafka client that becomes a log line, if LOG_LEVEL lets it. Upper case is understood.',
    }),
    topicCreationTimeoutMs: integer('KAFKA_TOPIC_CREATION_TIMEOUT_MS', 'ms', 5_000, {
      byEnvironment: { dev: '30000' },
      prose: 'How long the brokers may take to create a topic that is missing at the start.',
      min: 100,
    }),
    metadataRefreshMs: optionalInteger('KAFKA_TOPIC_METADATA_REFRESH_INTERVAL_MS', 'ms', {
      prose: 'How often producer and consumer look for partitions that a topic has got.',
      derived: '60,000 ms in the producer, 300,000 ms in the consumer',
      min: 1_000,
    }),
    topicProfile: choice('TROUPE_TOPIC_PROFILE', PROFILES, 'posthog', {
      prose:
        "What topics are called that no setting names: `posthog`, PostHog's names; `document`, those of the capture document (`clickhouse_events`, `clickhouse_session_recording_events`, `historical_events`, `client_warnings`, `exceptions`), for what is written and what is read. Equal for all processes on a Kafka.",
    }),
    topic: optionalText('KAFKA_CONSUMPTION_TOPIC', {
      prose: 'Topic the events are read from, and capture writes to, as a whole name.',
      derived: 'KAFKA_PREFIX and `events_plugin_ingestion`, or what TROUPE_TOPIC_PROFILE calls it',
    }),
    historicalTopic: optionalText('KAFKA_HISTORICAL_TOPIC', {
      prose: 'Topic of historical events, as a whole name.',
      derived: 'KAFKA_PREFIX and `events_plugin_ingestion_historical`, or what TROUPE_TOPIC_PROFILE calls it',
    }),
    warningsTopic: optionalText('KAFKA_CLIENT_INGESTION_WARNING_TOPIC', {
      prose: "Topic of the warnings that SDKs send, as a whole name. PostHog's capture writes them to its main topic unless it is set.",
      derived: 'KAFKA_PREFIX and `client_iwarnings_ingestion`, or what TROUPE_TOPIC_PROFILE calls it',
    }),
    heatmapsTopic: optionalText('KAFKA_HEATMAPS_TOPIC', {
      prose: 'Topic of `$$heatmap` events, as a whole name.',
      derived: 'KAFKA_PREFIX and `heatmaps_ingestion`',
    }),
    errorTrackingTopic: optionalText('KAFKA_ERROR_TRACKING_TOPIC', {
      prose: "Topic of `$exception` events, as a whole name. PostHog's newest capture calls it `error_tracking_events`.",
      derived: 'KAFKA_PREFIX and `exceptions_ingestion`, or what TROUPE_TOPIC_PROFILE calls it',
    }),
    overflowTopic: optionalText('KAFKA_CONSUMPTION_OVERFLOW_TOPIC', {
      prose:
        'Topic for events of keys that have too many (INGESTION_OVERFLOW_ENABLED), as a whole name; it is read again, by a group of its own.',
      derived: 'KAFKA_PREFIX and `events_plugin_ingestion_overflow`',
    }),
    deadLetterTopic: optionalText('INGESTION_CONSUMER_DLQ_TOPIC', {
      prose: 'Topic for records that cannot be ingested, with the reason in a header, as a whole name.',
      derived: 'KAFKA_PREFIX and `events_plugin_ingestion_dlq`',
    }),
    exceptionsTopic: optionalText('EXCEPTIONS_SYMBOLIFICATION_KAFKA_TOPIC', {
      prose:
        "Topic that stored `$exception` events are copied to, for PostHog's service that makes stack traces readable, as a whole name. Not with the embedded log.",
      derived: 'KAFKA_PREFIX and `exception_symbolification_events`',
    }),
    groupId: optionalText('INGESTION_CONSUMER_GROUP_ID', {
      prose:
        "Consumer group of KAFKA_CONSUMPTION_TOPIC, as a whole name; PostHog's own unless it is set, so that Troupe goes on where PostHog stopped. The groups of the other topics are PostHog's as well (docs/adr/0014).",
      derived: 'KAFKA_PREFIX and `clickhouse-ingestion`',
    }),
    maxBytes: integer('KAFKA_CONSUMPTION_MAX_BYTES', 'bytes', 10 * MiB, {
      prose: 'Most that one fetch brings from all partitions of a broker.',
      raise: 'Fewer round trips after an outage; more memory.',
      lower: 'More round trips.',
      min: 64 * KiB,
    }),
    maxBytesPerPartition: integer('KAFKA_CONSUMPTION_MAX_BYTES_PER_PARTITION', 'bytes', 1 * MiB, {
      prose: 'Most that one fetch brings from one partition.',
      min: 16 * KiB,
    }),
    maxWaitMs: integer('KAFKA_CONSUMPTION_MAX_WAIT_MS', 'ms', 150, {
      prose:
        "How long a broker may hold back the answer to a fetch when there is nothing to read. Joins and stops wait for it. PostHog's default is 50 ms.",
      raise: 'Fewer empty answers; a rebalance takes longer.',
      lower: 'An idle process asks more often. Events are not seen sooner: a broker answers when there are some.',
      min: 5,
      max: 5_000,
    }),
    errorBackoffMs: integer('KAFKA_CONSUMPTION_ERROR_BACKOFF_MS', 'ms', 100, {
      prose: 'Wait before the first repetition of a request that failed; it doubles up to a second.',
      min: 10,
      max: 1_000,
    }),
    sessionTimeoutMs: integer('KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS', 'ms', 30_000, {
      prose: 'After this long without a heartbeat the brokers give the partitions to others.',
      raise: 'The partitions of a dead process wait longer.',
      lower: 'A long pause of the machine costs a rebalance. See the zombie rule below.',
      min: 6_000,
    }),
    rebalanceTimeoutMs: optionalInteger('KAFKA_CONSUMPTION_REBALANCE_TIMEOUT_MS', 'ms', {
      prose: 'How long a rebalance waits for a member to give up its partitions.',
      derived: '2 x KAFKA_CONSUMPTION_SESSION_TIMEOUT_MS',
      min: 1_000,
    }),
    heartbeatIntervalMs: integer('TROUPE_KAFKA_HEARTBEAT_INTERVAL_MS', 'ms', 3_000, {
      prose: 'How often the process tells the group that it lives.',
      min: 100,
    }),
    heartbeatMarginMs: integer('TROUPE_KAFKA_HEARTBEAT_MARGIN_MS', 'ms', 10_000, {
      prose: 'No insert is begun when the last confirmed heartbeat is older: the partition may have a new owner soon.',
      raise: 'Inserts go on longer while the coordinator is away; the zombie rule below bounds it.',
      lower: 'A slow coordinator stops inserts.',
      min: 500,
    }),
    producer: choice('TROUPE_KAFKA_PRODUCER', ['platformatic', 'kafkajs'], 'platformatic', {
      prose: 'Client that produces. `kafkajs` costs more than twice the CPU and is there in case of a fault in the other.',
    }),
    producerLingerMs: integer('KAFKA_PRODUCER_LINGER_MS', 'ms', 2, {
      prose:
        "How long a record of capture may wait for others to share its request; its client waits with it. PostHog's default, for its rows, is 20 ms.",
      raise: 'Fewer and larger requests; capture answers later.',
      lower: 'More requests.',
    }),
    producerBatchBytes: integer('KAFKA_MAX_MESSAGE_BATCH_SIZE', 'bytes', 900_000, {
      prose: "Largest batch of records that is sent to a partition, before compression; below the broker's `message.max.bytes`.",
      raise: 'Fewer requests under load; above the limit of the broker all of them are refused.',
      lower: 'More requests.',
      min: 16 * KiB,
      max: 64 * MiB,
    }),
    compression: choice('KAFKA_COMPRESSION_CODEC', ['none', 'gzip', 'snappy', 'lz4', 'zstd'], 'none', {
      prose:
        "Codec of what capture and ingestion produce, but for the output topics (TROUPE_OUTPUT_COMPRESSION). PostHog's capture has the same name and default.",
      raise: 'Towards `zstd`: fewer bytes to and in Kafka; more CPU, most of it for requests of few records.',
    }),
    producerQueueBytes: integer('TROUPE_KAFKA_PRODUCER_QUEUE_BYTES', 'bytes', 64 * MiB, {
      prose: 'Bytes that may wait for acknowledgement; beyond it events of capture go to the spill.',
      raise: 'More is kept in memory before the disk is used.',
      lower: 'The disk is used earlier.',
      min: 1 * MiB,
    }),
  },

  output: {
    kind: choice('TROUPE_OUTPUT', ['clickhouse', 'kafka'], 'clickhouse', {
      prose:
        "Where rows go: `clickhouse` inserts them, one visible row each; `kafka` produces PostHog's output topics, for PostHog's own Kafka-engine tables to read, at least once (docs/delivery.md section 9).",
    }),
    eventsTopic: optionalText('CLICKHOUSE_JSON_EVENTS_KAFKA_TOPIC', {
      prose: 'Topic of event rows, as a whole name, when TROUPE_OUTPUT is `kafka`.',
      derived: 'KAFKA_PREFIX and `clickhouse_events_json`',
    }),
    heatmapsTopic: optionalText('CLICKHOUSE_HEATMAPS_KAFKA_TOPIC', {
      prose: 'Topic of heatmap rows, as a whole name, when TROUPE_OUTPUT is `kafka`.',
      derived: 'KAFKA_PREFIX and `clickhouse_heatmap_events`',
    }),
    compression: choice('TROUPE_OUTPUT_COMPRESSION', ['none', 'gzip', 'snappy', 'lz4', 'zstd'], 'snappy', {
      prose: "Codec of the output topics' records, when TROUPE_OUTPUT is `kafka`. PostHog's producer uses snappy.",
      raise: 'Towards `zstd`: half the bytes of snappy, at twice its CPU.',
      lower: 'Towards `none`: 2 us of CPU less for each event, and twice the bytes.',
    }),
  },

  clickhouse: {
    host: optionalText('CLICKHOUSE_HOST', {
      prose:
        'Host, or `host:port`, of ClickHouse. Unset: an embedded engine in TROUPE_DATA_DIR. The port is 8443 with CLICKHOUSE_SECURE, else 8123.',
      derived: 'CLICKHOUSE_OFFLINE_CLUSTER_HOST, when set',
    }),
    database: text('CLICKHOUSE_DATABASE', 'default', {
      byEnvironment: { test: 'posthog_test' },
      prose: 'Database of the tables. In the embedded engine it is made.',
    }),
    user: text('CLICKHOUSE_USER', 'default', { prose: 'User to log in as.' }),
    password: optionalText('CLICKHOUSE_PASSWORD', { prose: 'Password to log in with.', secret: true }),
    secure: boolean('CLICKHOUSE_SECURE', false, { prose: 'Use HTTPS.' }),
    ca: optionalText('CLICKHOUSE_CA', { prose: 'Certificate authority of the server: PEM text, or the path of a PEM file.' }),
    blockRowsCount: integer('TROUPE_CLICKHOUSE_BLOCK_ROWS_COUNT', 'count', 20_000, {
      prose: 'A block is inserted when it has this many rows.',
      raise: 'Fewer parts to merge; more memory, and more to bisect when ClickHouse refuses a row.',
      lower: 'More and smaller parts; when merging cannot keep up, ClickHouse refuses inserts.',
      min: 1,
      max: 1_000_000, // an insert stays one block below 1,048,449 rows (delivery.md 3)
    }),
    blockBytes: integer('TROUPE_CLICKHOUSE_BLOCK_BYTES', 'bytes', 32 * MiB, {
      prose: 'A block is inserted when it has this many bytes.',
      raise: 'More memory: two blocks per writer are held.',
      lower: 'More parts to merge.',
      min: 64 * KiB,
      max: 256 * MiB, // min_insert_block_size_bytes: above it ClickHouse cuts the block itself
    }),
    blockAgeMs: integer('TROUPE_CLICKHOUSE_BLOCK_AGE_MS', 'ms', 300, {
      prose: 'A block is inserted when its oldest row has waited this long. The greatest part of the latency of a quiet stream.',
      raise: 'Fewer, larger parts; events are visible later.',
      lower: 'Events are visible sooner; more parts to merge.',
      min: 1,
      max: 60_000,
    }),
    insertTimeoutMs: integer('TROUPE_CLICKHOUSE_INSERT_TIMEOUT_MS', 'ms', 15_000, {
      prose:
        'Deadline of one insert, here and as `max_execution_time` in the server. Past it the fate of the block is unknown, so it is asked for.',
      raise: 'The zombie rule below asks for a longer session timeout.',
      lower: 'A busy server makes more inserts of unknown fate.',
      min: 5_000, // max_execution_time below 5 s is no hygiene but a cause of partial blocks (delivery.md 3)
    }),
  },

  postgres: {
    url: optionalUrl('DATABASE_URL', ['postgres', 'postgresql'], {
      prose: 'PostgreSQL with the PostHog schema. Unset: an embedded server in TROUPE_DATA_DIR.',
      derived: 'POSTHOG_DB_NAME and its companions, when set',
      secret: true,
    }),
    ca: optionalText('TROUPE_POSTGRES_CA', {
      prose:
        'Certificate authority of the server: PEM text, or the path of a PEM file. Set, the connection is encrypted whatever `sslmode` says.',
    }),
    poolCount: integer('POSTGRES_CONNECTION_POOL_SIZE', 'count', 10, {
      prose: 'Connections this process may hold.',
      raise: 'PostgreSQL pays for each with memory; count all replicas.',
      lower: 'Person loads and flushes wait for each other.',
      min: 2,
      max: 1_000,
    }),
  },

  redis: {
    url: optionalUrl('REDIS_URL', ['redis', 'rediss'], {
      prose: 'Redis for state shared between processes. Unset: a local store, which is right for one process.',
      derived: 'INGESTION_REDIS_HOST or POSTHOG_REDIS_HOST and their companions, when set',
      secret: true,
    }),
    ca: optionalText('TROUPE_REDIS_CA', {
      prose: 'Certificate authority of the server, with `rediss://`: PEM text, or the path of a PEM file.',
    }),
    keyPrefix: text('REDIS_KEY_PREFIX', '', {
      prose: "In front of the keys of PostHog's billing, from which capture reads which tokens are over their quota.",
    }),
    timeoutMs: integer('TROUPE_REDIS_TIMEOUT_MS', 'ms', 1_000, {
      prose: 'Deadline of one command. Redis is never waited for by an event: past it the work goes on without.',
      min: 10,
    }),
  },

  ingestion: {
    dropByToken: list('DROP_EVENTS_BY_TOKEN', { reloadable: true, prose: 'Tokens whose events are dropped.' }),
    dropByTokenDistinctId: list('DROP_EVENTS_BY_TOKEN_DISTINCT_ID', {
      reloadable: true,
      prose: '`token:distinct_id` pairs, or `token`, whose events are dropped.',
    }),
    overflowEnabled: boolean('INGESTION_OVERFLOW_ENABLED', false, {
      prose:
        'Send events of a (token, distinct_id) that has too many to KAFKA_CONSUMPTION_OVERFLOW_TOPIC, so that they do not hold up their partition. Without it TROUPE_ROUTER_DISTINCT_ID_CREDIT_COUNT bounds what a hot key takes.',
    }),
    overflowKeepsKeys: boolean('INGESTION_OVERFLOW_PRESERVE_PARTITION_LOCALITY', false, {
      prose:
        'Events keep their key in the overflow topic: a hot key stays in order there, in one partition. Off: they are spread over all partitions, and only those of one partition keep their order.',
    }),
    overflowByDistinctId: boolean('INGESTION_OVERFLOW_BATCH_BY_DISTINCT_ID', false, {
      prose:
        'The overflow topic warns its team once for the events of a distinct_id that are read together, instead of once for each; a warning is shown once an hour either way. The events of a distinct_id are processed in order in both cases, which PostHog does only with this.',
    }),
    overflowBucketCount: integer('EVENT_OVERFLOW_BUCKET_CAPACITY', 'count', 1_000, {
      prose: 'Events that a (token, distinct_id) may have at once before it overflows.',
    }),
    overflowReplenishPerS: number('EVENT_OVERFLOW_BUCKET_REPLENISH_RATE', 'per s', 1, {
      prose: 'Events a second that it may have for ever, by the timestamps of the Kafka records.',
    }),
    trustTeamId: boolean('TROUPE_TRUST_TEAM_ID', false, {
      prose: 'Believe a `team_id` in the envelope without its token. Only where nobody but your own capture can write the topic.',
    }),
    skipDefinitions: boolean('SKIP_UPDATE_EVENT_AND_PROPERTIES_STEP', false, {
      prose:
        "Do not keep the names of events and properties (PostHog's menus), nor note a team's first event. Set it where PostHog's own property-defs service runs on the same tables.",
    }),
    eventPropertyLruSize: integer('EVENT_PROPERTY_LRU_SIZE', 'count', 10_000, {
      prose: 'Names of events and properties that are known to be written, and not written again.',
      raise: 'About 100 bytes each.',
      lower: 'Names are written again and again; each time changes nothing and costs a statement.',
      min: 100,
    }),
  },

  router: {
    creditCount: integer('TROUPE_ROUTER_CREDIT_COUNT', 'count', 2_000, {
      prose: 'Events one partition may have unsettled; then it waits.',
      raise: 'More memory (about 1 kB and the event itself each); a crash replays more.',
      lower: 'Blocks do not fill; throughput falls to credit over latency.',
      min: 1,
    }),
    creditBytes: integer('TROUPE_ROUTER_CREDIT_BYTES', 'bytes', 64 * MiB, { prose: 'The same, in bytes of Kafka values.', min: 1 * MiB }),
    teamCreditCount: integer('TROUPE_ROUTER_TEAM_CREDIT_COUNT', 'count', 1_200, {
      prose: 'Events of one team that one partition may have unsettled, so that a stuck team lets the others pass.',
      min: 1,
    }),
    distinctIdCreditCount: integer('TROUPE_ROUTER_DISTINCT_ID_CREDIT_COUNT', 'count', 400, {
      prose: 'Events of one distinct_id that one partition may have unsettled, so that a hot key lets the rest of its team pass.',
      min: 1,
    }),
    gapCount: integer('TROUPE_ROUTER_GAP_COUNT', 'count', 100_000, {
      prose: 'How far a partition may read on past its oldest unsettled event; then it waits.',
      raise: 'A slow key stops the others later; after a crash takeover asks about more offsets.',
      lower: 'A slow key stops the others sooner.',
      min: 1,
    }),
  },

  people: {
    activeCount: integer('TROUPE_PEOPLE_ACTIVE_COUNT', 'count', 100_000, {
      prose: 'Actors of (team, distinct_id) kept in memory; the longest idle leave first. An idle one holds no person and no event.',
      raise: 'About 0.7 kB each.',
      lower: 'More actors are started and ended, about 4 us each time.',
      min: 100,
    }),
    idleMs: integer('TROUPE_PEOPLE_IDLE_MS', 'ms', 60_000, { prose: 'An entity without events for this long is passivated.', min: 100 }),
    flushRowsCount: integer('TROUPE_PERSON_FLUSH_ROWS_COUNT', 'count', 1_000, {
      prose: 'Person updates written by one statement.',
      raise: 'Little is gained above 500.',
      lower: 'Each row costs more.',
      min: 1,
      max: 10_000,
    }),
    flushLingerMs: integer('TROUPE_PERSON_FLUSH_LINGER_MS', 'ms', 10, {
      prose: 'How long a person update may wait for others to share its statement.',
      max: 10_000,
    }),
  },

  plugins: {
    baseDir: text('BASE_DIR', '.', { prose: 'Folder that the paths of local plugins (`file:`) are relative to.' }),
    taskTimeoutS: integer('TASK_TIMEOUT', 's', 30, { prose: "PostHog's limit for one piece of plugin work.", min: 1, max: 3_600 }),
    deadlineMs: optionalInteger('TROUPE_PLUGIN_DEADLINE_MS', 'ms', {
      prose:
        'Deadline of one batch of events in a plugin. Past it the isolate is thrown away and each event of the batch is tried alone, with the same deadline; an event that fails alone goes on without that plugin.',
      derived: 'TASK_TIMEOUT',
      raise: 'A plugin that hangs holds its team longer.',
      lower: 'A plugin that computes for long fails.',
      min: 10,
    }),
    memoryMb: integer('TROUPE_PLUGIN_MEMORY_MB', 'MiB', 64, {
      prose: 'Heap of one plugin; past it its isolate is thrown away, and a plugin that does so again and again is quarantined.',
      raise: 'Memory of the machine, for each plugin.',
      lower: 'Plugins with large tables fail.',
      min: 8,
      max: 4_096,
    }),
    logLevel: integer('PLUGINS_DEFAULT_LOG_LEVEL', 'count', 1, {
      byEnvironment: { test: '0' },
      prose:
        'Which lines of plugins become rows of `plugin_log_entries`, where the plugin itself says nothing else: 0 all, 1 all but DEBUG, 2 INFO and above, 3 WARN and ERROR, 4 ERROR. Tools that wait for `Plugin loaded` need 0.',
      max: 4,
    }),
    metricsFlushMs: integer('APP_METRICS_FLUSH_FREQUENCY_MS', 'ms', 20_000, {
      byEnvironment: { test: '5' },
      prose: 'How often the runs of plugins, counted, become rows of `app_metrics`. A crash loses those that have not.',
      min: 5,
    }),
    metricsKeysCount: integer('APP_METRICS_FLUSH_MAX_QUEUE_SIZE', 'count', 1_000, {
      byEnvironment: { test: '5' },
      prose: 'They become rows earlier when there are more than so many plugin configs and errors among them.',
      min: 1,
      max: 100_000,
    }),
  },

  geoip: {
    disabled: boolean('DISABLE_MMDB', false, {
      byEnvironment: { test: 'true' },
      prose: 'Do not look up places of IP addresses: `meta.geoip` tells plugins that there is no database.',
    }),
    file: optionalText('TROUPE_MMDB_FILE', {
      prose:
        'MaxMind DB file (GeoLite2-City, or a flat one such as DB-IP) for `meta.geoip` of plugins. A new file under this name is taken within seconds, without a restart; a broken one is not.',
      derived:
        "the attachment `@posthog/mmdb` of PostHog's database, as soon as it is there; with the embedded PostgreSQL, a country database that comes along (DB-IP, https://db-ip.com)",
    }),
    port: integer('INTERNAL_MMDB_SERVER_PORT', 'port', 0, {
      prose: 'Port of the MMDB service, on the loopback: lookups for the processes that run plugins. 0 takes a free one.',
    }),
  },

  embedded: {
    partitionsCount: integer('TROUPE_EMBEDDED_PARTITIONS_COUNT', 'count', 4, {
      prose: 'Partitions of a topic of the embedded log. Fixed when the topic is created.',
      min: 1,
      max: 64,
    }),
    inProduction: boolean('TROUPE_EMBEDDED_IN_PRODUCTION', false, {
      prose:
        'With NODE_ENV=production a server address that is missing is an error, because it is nearly always a mistake; this says that it is not.',
    }),
  },

  telemetry: {
    otlpEndpoint: optionalUrl('OTEL_EXPORTER_OTLP_ENDPOINT', ['http', 'https'], {
      prose: 'Where traces go, over OTLP/HTTP; `/v1/traces` is added. Unset: no traces, and nothing of OpenTelemetry is loaded.',
    }),
    serviceName: text('OTEL_SERVICE_NAME', 'troupe', { prose: '`service.name` of traces and log lines.' }),
    sampleRatio: ratio('TROUPE_TRACE_SAMPLE_RATIO', 0.01, {
      prose:
        'Share of events that are traced, chosen by the trace id at capture; a `traceparent` from the client with the sampled flag is followed.',
      raise: '30 us of CPU for each traced event.',
      lower: 'Rare events are seen in no trace.',
    }),
  },

  shutdown: {
    announceMs: integer('TROUPE_SHUTDOWN_ANNOUNCE_MS', 'ms', 1_000, {
      prose:
        'Phase 1 of a capture: readiness is 503 and answers say `Connection: close`, but connections are still taken, so that a balancer has time to send them elsewhere.',
      raise: 'Towards the time between two probes of the balancer: nobody is sent here when the port closes. Every stop takes that long.',
      lower: 'Who connects in the moment of the stop is refused.',
    }),
    lingerMs: integer('TROUPE_SHUTDOWN_LINGER_MS', 'ms', 2_000, {
      prose:
        'Phase 2 of a capture: no connection is taken any more; idle ones stay open for so long, and a request over one is answered with `Connection: close`.',
      raise: 'Fewer clients write on a connection in the moment it is closed. A stop with idle connections takes that long.',
      lower: 'More do, and must send again.',
    }),
    intakeMs: integer('TROUPE_SHUTDOWN_INTAKE_MS', 'ms', 6_000, {
      prose:
        'Phase 3 of a capture: the requests in work are answered; what is not by then is cut off. Kafka and the spill take 5 s at most.',
    }),
    drainMs: integer('TROUPE_SHUTDOWN_DRAIN_MS', 'ms', 10_000, {
      prose:
        'Phase 4: nothing more is fetched; what was read goes through plugins, persons and rows, watermarks are committed, the group is left.',
      raise: 'Fewer events are replayed after a deploy in bad times.',
      lower: 'A stop under load replays more.',
    }),
    flushMs: integer('TROUPE_SHUTDOWN_FLUSH_MS', 'ms', 5_000, {
      prose: 'Phase 5: writers write out what no event waits for, as warnings.',
    }),
    closeMs: integer('TROUPE_SHUTDOWN_CLOSE_MS', 'ms', 5_000, {
      prose: 'Phase 6: actors stop in order; then clients and embedded servers are closed.',
    }),
    graceMs: integer('TROUPE_SHUTDOWN_GRACE_MS', 'ms', 30_000, {
      prose:
        "What the orchestrator allows between SIGTERM and SIGKILL (Kubernetes: terminationGracePeriodSeconds). The phases' sum must be below it.",
      min: 1,
    }),
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Setting>>>>;

type Schema = typeof SCHEMA;
export type SectionName = keyof Schema;

/** The settings of a process, by section: what {@link SCHEMA} describes, loaded. */
export type Config = {
  readonly [Section in SectionName]: { readonly [Key in keyof Schema[Section]]: ValueOf<Schema[Section][Key]> };
};

/** One line on each section, for people. */
export const SECTION_PROSE: Readonly<Record<SectionName, string>> = {
  server: 'The process: what it runs, where it listens, what it writes down.',
  admin: 'What people may change while the process runs, and what is written down of it.',
  capture: "The public HTTP face: PostHog's capture endpoints.",
  tokens: 'Which tokens may send what to capture, how much of it, and what becomes of the rest.',
  guards: 'What capture asks of who sends, and takes out of what is sent.',
  limits: 'What clients of capture may cost, each capture process by itself.',
  kafka: 'Where events come from.',
  output: 'Where rows go.',
  clickhouse: 'ClickHouse, when rows go there.',
  postgres: 'Where persons live.',
  redis: 'State shared between processes.',
  ingestion: 'What happens to events.',
  router: 'How much may be in work, and who waits.',
  people: 'Entities in memory, and how their persons are written.',
  plugins: 'Limits of plugin code.',
  geoip: 'Where IP addresses are, for plugins.',
  embedded: 'The servers that stand in on one machine.',
  telemetry: 'Traces. Metrics are always on and cost nothing to speak of; docs/instrumentation.md has the catalogue.',
  shutdown: 'A clean stop, phase by phase.',
};

/** Every row with the place it has in {@link Config}. */
export const ALL_SETTINGS: readonly { readonly section: SectionName; readonly key: string; readonly setting: Setting }[] = Object.entries(
  SCHEMA,
).flatMap(([section, rows]) =>
  Object.entries(rows as Readonly<Record<string, Setting>>).map(([key, setting]) => ({ section: section as SectionName, key, setting })),
);
