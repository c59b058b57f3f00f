import { Counter, Gauge, Histogram, Summary, type Registry } from 'prom-client';
import { observe, type FactName, type Facts } from '../observe/facts.ts';

/** Seconds, from a cached read to a stuck sink. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Rows or records in one batch. */
const COUNTS = [1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 50_000];

/** Paths of capture that may be a label; everything else a client asks for is `other`. */
const CAPTURE_PATHS = new Set([
  '/e',
  '/capture',
  '/batch',
  '/track',
  '/engage',
  '/i/v0/e',
  '/i/v1/analytics/events',
  '/s',
  '/decide',
  '/flags',
]);

export interface MetricMapOptions {
  readonly registry: Registry;
  /** `groupId` of `latest_processed_timestamp_ms`. */
  readonly groupId: string;
}

type Mapping = { readonly [Name in FactName]?: (fact: Facts[Name]) => void };

/**
 * Makes the metrics that facts feed, and listens. PostHog's names (spec/ingestion.md 9.4, spec/capture.md) are used where they mean
 * the same thing here; docs/instrumentation.md has the list. Labels are bounded: topics, tables, kinds and closed unions.
 * Returns the function that stops listening.
 */
export function mapFactsToMetrics({ registry, groupId }: MetricMapOptions): () => void {
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Gauge<Label> =>
    new Gauge({ name, help, labelNames, registers });
  const histogram = <Label extends string>(name: string, help: string, buckets: number[], ...labelNames: Label[]): Histogram<Label> =>
    new Histogram({ name, help, buckets, labelNames, registers });

  const recordsRead = counter('kafka_consumer_messages_read_total', 'Records fetched.', 'topic_name');
  const batchSize = histogram('consumed_batch_size', 'Records of one fetched batch.', COUNTS, 'topic', 'groupId');
  const readBytes = counter('troupe_router_read_bytes_total', 'Bytes of the values of fetched records.', 'topic');
  const lag = gauge('troupe_router_lag_records', 'Records between the watermark and the end of the partition.', 'topic', 'partition');
  const partitions = gauge('kafka_absolute_partition_count', 'Partitions this process has.', 'topic');
  const committed = counter('ingestion_kafka_batch_committed_offsets', 'Watermarks committed.');
  const watermark = gauge('troupe_router_watermark_offset', 'The offset committed last.', 'topic', 'partition');
  const latestTimestamp = gauge(
    'latest_processed_timestamp_ms',
    'Kafka timestamp of the newest record below the watermark.',
    'topic',
    'partition',
    'groupId',
  );
  const waiting = gauge('troupe_router_waiting', '1 while the partition waits.', 'topic', 'partition');
  const waits = counter('troupe_router_waits_total', 'Times a partition began to wait.', 'topic', 'reason');

  const personsWritten = counter('troupe_person_written_total', 'Persons written.', 'change');
  const versionMismatch = counter('person_update_version_mismatch', 'Person updates that met a newer version.');
  const mergeSuccess = counter('person_merge_txn_success_total', 'Merges committed.');
  const flushSeconds = histogram('troupe_person_flush_duration_seconds', 'Time of one flush of persons.', SECONDS);
  const personsLoaded = counter('troupe_person_loaded_total', 'Distinct ids looked up in PostgreSQL.');
  const loadSeconds = histogram('troupe_person_load_duration_seconds', 'Time of one look-up of persons.', SECONDS);

  const connectionsLost = counter('troupe_postgres_connection_lost_total', 'Connections that broke while they were idle or at work.');
  const transactionsRetried = counter(
    'troupe_postgres_transaction_retried_total',
    'Transactions run again after a deadlock or a conflict.',
    'statement',
  );

  const rowsStored = counter('troupe_clickhouse_rows_total', 'Rows in blocks ClickHouse acknowledged.', 'table');
  const bytesStored = counter('troupe_clickhouse_bytes_total', 'Bytes of blocks ClickHouse acknowledged.', 'table');
  const blockRows = histogram('troupe_clickhouse_block_rows', 'Rows of one block.', COUNTS, 'table');
  const insertSeconds = histogram(
    'troupe_clickhouse_insert_duration_seconds',
    'Time of one insert that was acknowledged.',
    SECONDS,
    'table',
  );
  const insertFailed = counter('troupe_clickhouse_insert_failed_total', 'Inserts without a clean answer.', 'table', 'kind');
  const outputRows = counter('troupe_output_rows_total', 'Output kafka: rows produced, side rows and event rows.', 'kind');
  const outputBytes = counter('troupe_output_bytes_total', 'Output kafka: bytes of keys and values produced.');
  const outputSeconds = histogram(
    'troupe_output_flight_duration_seconds',
    'Output kafka: from the start of a flight to its last acknowledgement.',
    SECONDS,
  );
  const gapAsked = counter('troupe_clickhouse_gap_asked_total', 'Offsets whose fate was asked for after such an insert.');
  const gapMissing = counter('troupe_clickhouse_gap_missing_total', 'Those of them that were not stored and were inserted again.');

  const pluginEvents = counter('troupe_plugin_events_total', 'Events given to a plugin.', 'plugin_config_id', 'status');
  const pluginSeconds = histogram('troupe_plugin_batch_duration_seconds', 'Time of one batch in a plugin.', SECONDS, 'plugin_config_id');
  const pluginQuarantined = counter('troupe_plugin_quarantined_total', 'Quarantines of a plugin.', 'plugin_config_id');
  const pluginLines = counter('plugin_log_entry', 'Lines of and about plugins that were sent (LG-3).', 'plugin_id', 'source');
  const pluginLinesDropped = counter('troupe_plugin_log_dropped_total', 'Lines of plugins that were not sent.', 'reason');
  const journalRefused = counter(
    'troupe_plugin_journal_refused_total',
    'Messages that the plugin journal did not take.',
    'message',
    'told',
  );
  const sandboxSeconds = histogram('troupe_sandbox_start_duration_seconds', 'Time to start a sandbox process.', SECONDS);
  const sandboxEnded = counter('troupe_sandbox_ended_total', 'Ends of sandbox processes.', 'reason');
  const geoipBuilt = gauge('troupe_geoip_built_timestamp_ms', 'When the GeoIP database in use was built.');
  const geoipRefused = counter('troupe_geoip_refused_total', 'GeoIP databases that were not taken.');

  const deadLettered = counter('troupe_dead_letter_produced_total', 'Records written to the dead-letter topic.', 'reason');
  const overflowing = counter('ingestion_overflowing_messages_total', 'Records set aside, acknowledged in the overflow topic.');
  const keyOverflowed = counter(
    'ingestion_partition_key_overflowed',
    'Records found here to be too many of their key, by the team that the key belongs to.',
    'partition_key',
  );
  const copied = counter('troupe_forwarder_copied_total', 'Records copied to another topic, acknowledged there.', 'topic_name');
  const warnings = counter('troupe_warning_raised_total', 'Ingestion warnings.', 'type', 'debounced');
  const produced = counter('kafka_producer_messages_written_total', 'Records acknowledged by all in-sync replicas.', 'topic_name');
  const produceSeconds = histogram('troupe_kafka_produce_duration_seconds', 'Time until a send was acknowledged.', SECONDS, 'topic');
  const consumerEvents = counter('kafka_consumer_event_total', 'Events of the consumer.', 'event');
  const generation = gauge('troupe_kafka_generation', 'Generation of a consumer group that this process last joined.', 'group');

  const crashed = counter('troupe_runtime_actor_crashed_total', 'Crashes of actors.', 'kind', 'code');
  const restarted = counter('troupe_runtime_actor_restarted_total', 'Restarts of actors.', 'kind');
  const quarantined = counter('troupe_runtime_actor_quarantined_total', 'Quarantines of actors.', 'kind');
  const lostMessages = counter('troupe_runtime_message_dead_lettered_total', 'Messages that no actor took.', 'kind', 'reason');
  const storeAway = counter('troupe_redis_unavailable_total', 'Calls of the state store that failed.', 'operation');

  const captureRequests = counter('troupe_capture_requests_total', 'Requests answered.', 'path', 'status');
  const captureSeconds = histogram('troupe_capture_request_duration_seconds', 'Time from headers to answer.', SECONDS, 'path');
  const captureBytes = counter('troupe_capture_received_bytes_total', 'Bytes of request bodies as sent.');
  const captureReceived = counter('capture_events_received_total', 'Events in requests that could be read.');
  const captureRefused = counter('troupe_capture_refused_total', 'Requests that were not accepted.', 'reason');

  const hasAuth = counter(
    'ingestion_event_hasauthinfo_total',
    'Records by what they name their team by (T-7).',
    'team_id_present',
    'token_present',
  );
  const unmarked = counter('troupe_exception_without_fingerprint_total', 'Exceptions that say nothing to make a fingerprint of (X-1).');
  const setsOutside = counter('set_usage_in_non_person_events', 'Events that set person properties and are not about a person (K-23).');
  const surrogates = counter('surrogates_substituted_total', 'Texts with half a surrogate pair (N-21).');
  const invalidTimestamps = counter('invalid_timestamp_total', 'Timestamps that were set right (TS-9).', 'type');
  const elements = counter('events_pipeline_elements_or_elements_chain_total', 'Events with elements, by their form (E-1).', 'type');

  const definitionsMs = new Summary({
    name: 'update_event_names_and_properties_ms',
    help: 'Time of one write of names of events and properties.',
    percentiles: [0.5, 0.9, 0.95, 0.99],
    registers,
  });
  const definitionsWritten = counter('troupe_definition_written_total', 'Names that may be new and were written.', 'of');
  const definitionsLost = counter('troupe_definition_lost_total', 'Names that were given up.', 'reason');

  const mapping: Mapping = {
    'router-auth-seen'({ neither, token, teamId, both }) {
      const note = (team_id_present: string, token_present: string, count: number): void => {
        if (count > 0) hasAuth.inc({ team_id_present, token_present }, count);
      };
      note('false', 'false', neither);
      note('false', 'true', token);
      note('true', 'false', teamId);
      note('true', 'true', both);
    },
    'event-findings-counted'({ counts }) {
      setsOutside.inc(counts['set-outside-person-event'] ?? 0);
      unmarked.inc(counts['exception-without-fingerprint'] ?? 0);
      surrogates.inc(counts['surrogates-substituted'] ?? 0);
      invalidTimestamps.inc({ type: 'ignored_invalid_timestamp' }, counts['timestamp-ignored'] ?? 0);
      invalidTimestamps.inc({ type: 'event_timestamp_in_future' }, counts['timestamp-in-future'] ?? 0);
      elements.inc({ type: 'elements' }, counts['elements'] ?? 0);
      elements.inc({ type: 'elements_chain' }, counts['elements-chain'] ?? 0);
    },
    'router-batch-read'({ topic, records, bytes }) {
      recordsRead.inc({ topic_name: topic }, records);
      batchSize.observe({ topic, groupId }, records);
      readBytes.inc({ topic }, bytes);
    },
    'router-lag-measured': ({ topic, partition, lag: behind }) => lag.set({ topic, partition }, behind),
    'router-partition-assigned': ({ topic }) => partitions.inc({ topic }),
    'router-partition-revoked'({ topic, partition }) {
      partitions.dec({ topic });
      // Another process has the partition now: a value kept here would contradict its.
      lag.remove({ topic, partition });
      watermark.remove({ topic, partition });
      waiting.remove({ topic, partition });
      latestTimestamp.remove({ topic, partition, groupId });
    },
    'router-watermark-committed'({ topic, partition, offset, messageTimestampMs }) {
      committed.inc();
      watermark.set({ topic, partition }, offset);
      latestTimestamp.set({ topic, partition, groupId }, messageTimestampMs);
    },
    'router-backpressure-changed'({ topic, partition, waiting: waits_, reason }) {
      waiting.set({ topic, partition }, waits_ ? 1 : 0);
      if (waits_) waits.inc({ topic, reason });
    },
    'router-keys-overflowed': ({ teamId, records }) =>
      // PostHog's label is the token where there is no team id; a token belongs in no metric, and clients could make any number of them.
      keyOverflowed.inc({ partition_key: teamId === undefined ? 'unknown' : String(teamId) }, records),
    'person-flushed'({ created, updated, merged, conflicts, durationMs }) {
      personsWritten.inc({ change: 'created' }, created);
      personsWritten.inc({ change: 'updated' }, updated);
      personsWritten.inc({ change: 'merged' }, merged);
      mergeSuccess.inc(merged);
      versionMismatch.inc(conflicts);
      flushSeconds.observe(durationMs / 1_000);
    },
    'person-loaded'({ keys, durationMs }) {
      personsLoaded.inc(keys);
      loadSeconds.observe(durationMs / 1_000);
    },
    'definitions-written'({ events, properties, eventProperties, durationMs }) {
      definitionsMs.observe(durationMs);
      definitionsWritten.inc({ of: 'event' }, events);
      definitionsWritten.inc({ of: 'property' }, properties);
      definitionsWritten.inc({ of: 'event-property' }, eventProperties);
    },
    'definitions-lost': ({ count, reason }) => definitionsLost.inc({ reason }, count),
    'postgres-connection-lost': () => connectionsLost.inc(),
    'postgres-transaction-retried': ({ statement }) => transactionsRetried.inc({ statement }),
    'clickhouse-block-stored'({ table, rows, bytes, durationMs }) {
      rowsStored.inc({ table }, rows);
      bytesStored.inc({ table }, bytes);
      blockRows.observe({ table }, rows);
      insertSeconds.observe({ table }, durationMs / 1_000);
    },
    'clickhouse-insert-failed': ({ table, kind }) => insertFailed.inc({ table, kind }),
    'output-flight-landed'({ rows, sideRows, bytes, durationMs }) {
      outputRows.inc({ kind: 'event' }, rows);
      outputRows.inc({ kind: 'side' }, sideRows);
      outputBytes.inc(bytes);
      outputSeconds.observe(durationMs / 1_000);
    },
    'clickhouse-gap-filled'({ asked, missing }) {
      gapAsked.inc(asked);
      gapMissing.inc(missing);
    },
    'plugin-batch-invoked'({ pluginConfigId, events, failed, durationMs }) {
      pluginEvents.inc({ plugin_config_id: pluginConfigId, status: 'success' }, events - failed);
      pluginEvents.inc({ plugin_config_id: pluginConfigId, status: 'error' }, failed);
      pluginSeconds.observe({ plugin_config_id: pluginConfigId }, durationMs / 1_000);
    },
    'plugin-quarantined': ({ pluginConfigId }) => pluginQuarantined.inc({ plugin_config_id: pluginConfigId }),
    'plugin-log-written'({ pluginId, source, sent, lost, long, rate, refused }) {
      pluginLines.inc({ plugin_id: pluginId, source }, sent);
      for (const [reason, count] of Object.entries({ lost, long, rate, refused })) {
        if (count > 0) pluginLinesDropped.inc({ reason }, count);
      }
    },
    'plugin-journal-refused': ({ messageType, told }) => journalRefused.inc({ message: messageType, told }),
    'sandbox-started': ({ durationMs }) => sandboxSeconds.observe(durationMs / 1_000),
    // The reason holds what the dying process wrote: fit for a log line, not for a label.
    'geoip-database-loaded': ({ builtAtMs }) => geoipBuilt.set(builtAtMs),
    'geoip-database-refused': () => geoipRefused.inc(),
    'sandbox-ended': ({ reason, culprit }) =>
      sandboxEnded.inc({ reason: reason === 'closed' ? 'closed' : culprit === undefined ? 'died' : 'plugin' }),
    'dead-letter-produced': ({ reason, count }) => deadLettered.inc({ reason }, count),
    'forwarder-produced'({ topic, redirected, copied: count }) {
      overflowing.inc(redirected);
      if (count > 0) copied.inc({ topic_name: topic }, count);
    },
    'warning-raised': ({ type, debounced }) => warnings.inc({ type, debounced: String(debounced) }),
    'kafka-produced'({ topic, records, durationMs }) {
      produced.inc({ topic_name: topic }, records);
      produceSeconds.observe({ topic }, durationMs / 1_000);
    },
    'kafka-consumer-crashed': () => consumerEvents.inc({ event: 'crash' }),
    'kafka-generation-changed'({ groupId: group, generation: current }) {
      consumerEvents.inc({ event: 'rebalance' });
      generation.set({ group }, current);
    },
    'runtime-actor-crashed': ({ kind, code }) => crashed.inc({ kind, code }),
    'runtime-actor-restarted': ({ kind }) => restarted.inc({ kind }),
    'runtime-actor-quarantined': ({ kind }) => quarantined.inc({ kind }),
    'runtime-message-dead-lettered': ({ kind, reason }) => lostMessages.inc({ kind, reason }),
    'state-store-unavailable': ({ operation }) => storeAway.inc({ operation }),
    'capture-request-answered'({ path, status, events, bytes, durationMs, reason }) {
      const plain = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
      const label = CAPTURE_PATHS.has(plain) ? plain : 'other';
      captureRequests.inc({ path: label, status });
      captureSeconds.observe({ path: label }, durationMs / 1_000);
      captureBytes.inc(bytes);
      captureReceived.inc(events);
      if (reason !== undefined) captureRefused.inc({ reason });
    },
  };
  const ends = (Object.keys(mapping) as FactName[]).map((name) => listen(name, mapping));
  return () => {
    for (const end of ends) end();
  };
}

function listen<Name extends FactName>(name: Name, mapping: Mapping): () => void {
  const listener: ((fact: Facts[Name]) => void) | undefined = mapping[name];
  return listener === undefined ? () => undefined : observe(name, listener);
}
