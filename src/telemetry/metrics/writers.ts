/** What is written: persons, names, rows, dead letters, copies, warnings; and the stores they are written to. */
import { COUNTS, SECONDS, type FactListeners, type Makers } from '../makers.ts';

export function writerMetrics({ counter, histogram, summary }: Makers): FactListeners {
  const personsWritten = counter('troupe_person_written_total', 'Persons written.', 'change');
  const versionMismatch = counter('person_update_version_mismatch', 'Person updates that met a newer version.');
  const propertyKeys = counter(
    'person_property_key_update_total',
    'Updates of persons by the keys they changed: known keys by name, geoIP, other (P-39).',
    'key',
  );
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
  const deadLettered = counter('troupe_dead_letter_produced_total', 'Records written to the dead-letter topic.', 'reason');
  const overflowing = counter('ingestion_overflowing_messages_total', 'Records set aside, acknowledged in the overflow topic.');
  const copied = counter('troupe_forwarder_copied_total', 'Records copied to another topic, acknowledged there.', 'topic_name');
  const warnings = counter('troupe_warning_raised_total', 'Ingestion warnings.', 'type', 'debounced');
  const produced = counter('kafka_producer_messages_written_total', 'Records acknowledged by all in-sync replicas.', 'topic_name');
  const produceSeconds = histogram('troupe_kafka_produce_duration_seconds', 'Time until a send was acknowledged.', SECONDS, 'topic');
  const storeAway = counter('troupe_redis_unavailable_total', 'Calls of the state store that failed.', 'operation');
  const definitionsMs = summary('update_event_names_and_properties_ms', 'Time of one write of names of events and properties.');
  const definitionsWritten = counter('troupe_definition_written_total', 'Names that may be new and were written.', 'of');
  const definitionsLost = counter('troupe_definition_lost_total', 'Names that were given up.', 'reason');

  return {
    'person-flushed'({ created, updated, merged, conflicts, durationMs }) {
      personsWritten.inc({ change: 'created' }, created);
      personsWritten.inc({ change: 'updated' }, updated);
      personsWritten.inc({ change: 'merged' }, merged);
      versionMismatch.inc(conflicts);
      flushSeconds.observe(durationMs / 1_000);
    },
    'person-property-keys-counted'({ counts }) {
      for (const [key, count] of Object.entries(counts)) propertyKeys.inc({ key }, count);
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
    'state-store-unavailable': ({ operation }) => storeAway.inc({ operation }),
  };
}
