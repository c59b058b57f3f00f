import type { Registry } from 'prom-client';
import { observe, type FactName, type Facts } from '../observe/facts.ts';
import { batchedHistogram, batchedSummary, type BatchedSummary } from './batched.ts';
import { createMakers } from './makers.ts';

/** Milliseconds, as PostHog's dashboards have them. */
const MILLISECONDS = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];
const GROUPS = [1, 2, 5, 10, 20, 50, 100, 250, 500, 1_000, 2_500];
/** Of one record: 16 MiB. */
const MAX_SIZE_EXPONENT = 24;

/**
 * Metrics that exist only for PostHog's dashboards and alerts (spec/ingestion.md 9.4): names, types and labels are PostHog's, what each
 * means here stands in docs/instrumentation.md, "PostHog's metric names". Those that Troupe would want anyway are in
 * metrics/; those of the account in metrics.ts. Returns the function that stops listening.
 */
export function mapFactsToPostHogMetrics({ registry, groupId }: { readonly registry: Registry; readonly groupId: string }): () => void {
  const { counter, gauge, histogram } = createMakers(registry);
  const summary = <Label extends string>(name: string, help: string, ...labelNames: Label[]): BatchedSummary<Label> =>
    batchedSummary({ registry, name, help, labelNames });

  const batchStart = counter('ingestion_kafka_batch_start', 'Batches handed over by the consumer.');
  const batchMs = histogram(
    'consumed_batch_duration_ms',
    'Time from the hand-over of a batch until its last record was taken up.',
    MILLISECONDS,
    'topic',
    'groupId',
  );
  const messageBytes = batchedHistogram({
    registry,
    name: 'consumed_message_size_bytes',
    help: 'Bytes of the values of fetched records.',
    labelNames: ['topic', 'groupId', 'messageType'],
    maxExponent: MAX_SIZE_EXPONENT,
  });
  const parallelism = histogram('ingestion_batch_parallelism', 'Groups of a slice that went to work at once.', GROUPS, 'overflow_mode');
  const potential = histogram('ingestion_batch_parallelism_potential', 'Groups of a slice.', GROUPS, 'overflow_mode');
  const inputLength = summary('ingest_event_batching_input_length', 'Events of a slice.');
  const batchCount = summary('ingest_event_batching_batch_count', 'Groups of a slice.');
  const groupLength = summary('ingest_event_batching_distinct_id_batch_length', 'Events of a group.');
  const rebalanced = gauge('kafka_rebalance_partition_count', 'Partitions this process has after the last rebalance.', 'topic');
  const ackWait = summary('ingest_event_each_batch_kafka_ack_wait', 'Output kafka: milliseconds until a flight of rows was acknowledged.');

  const queued = counter('kafka_producer_messages_queued_total', 'Records given to the producer.', 'topic_name');
  const failed = counter('kafka_producer_messages_failed_total', 'Records whose send failed.', 'topic_name');
  const produceMs = summary('ingest_event_kafka_produce_latency', 'Milliseconds until a record was acknowledged.', 'topic', 'waitForAck');
  const protocolErrors = counter('kafka_protocol_errors_total', 'Sends that failed, and crashes of the consumer.', 'type', 'code');

  const mergeLabels = ['call', 'oldPersonIdentified', 'newPersonIdentified'] as const;
  const mergeAttempts = counter('person_merge_txn_attempt_total', 'Transactions that were to merge two persons.', ...mergeLabels);
  const mergeSuccesses = counter('person_merge_txn_success_total', 'Of those, the committed.', ...mergeLabels);
  const mergeFailures = counter('person_merge_final_failure_total', 'Merges that PostgreSQL refused for good.');

  const actionMs = summary('plugin_action_ms', 'Milliseconds of calls into plugins.', 'plugin_id', 'action', 'status');
  const setupMs = summary('plugin_setup_ms', 'Milliseconds of setupPlugin.', 'plugin_id', 'status');
  const vmSetupMs = summary('vm_setup_ms', 'Milliseconds until code was in its isolate, without setupPlugin.', 'plugin_id');
  const disabled = counter('plugin_disabled_by_system', 'Times a plugin was taken out of service.', 'plugin_id');
  const imports = counter('plugin_import_used', 'Loads of plugins that import the module.', 'name');
  const readMs = summary('load_plugin_configs_ms', 'Milliseconds to read plugin configs, plugins and sources.');
  const totalMs = summary('load_plugins_total_ms', 'Milliseconds of one look at the plugins.');
  const warmUpMs = summary('setup_plugins_ms', 'Milliseconds to load all plugins that are new.');

  const startup = counter(
    'plugin_server_startup_time_ms',
    'Milliseconds from the start of the process until it took its first partitions.',
  );
  let isStarted = false;

  const stops = [
    listen('router-batch-read', () => batchStart.inc()),
    listen('router-records-sized', ({ topic, counts, bytes }) =>
      messageBytes.add({ topic, groupId, messageType: 'analytics' }, counts, bytes),
    ),
    listen('router-batch-taken', ({ topic, durationMs }) => batchMs.observe({ topic, groupId }, durationMs)),
    listen('router-slice-dispatched', ({ events, groups, groupsAtOnce, overflowMode }) => {
      inputLength.add({}, events, 1);
      batchCount.add({}, groups, 1);
      groupLength.add({}, events, groups);
      potential.observe({ overflow_mode: overflowMode }, groups);
      parallelism.observe({ overflow_mode: overflowMode }, groupsAtOnce);
    }),
    listen('router-partition-assigned', ({ topic }) => rebalanced.inc({ topic })),
    listen('router-partition-revoked', ({ topic }) => rebalanced.dec({ topic })),
    listen('output-flight-landed', ({ durationMs }) => ackWait.add({}, durationMs, 1)),
    listen('kafka-produce-queued', ({ topic, records }) => queued.inc({ topic_name: topic }, records)),
    listen('kafka-produced', ({ topic, records, durationMs }) => {
      produceMs.add({ topic, waitForAck: 'true' }, durationMs * records, records);
    }),
    listen('kafka-produce-failed', ({ topic, records, code }) => {
      failed.inc({ topic_name: topic }, records);
      protocolErrors.inc({ type: 'produce', code });
    }),
    listen('kafka-consumer-crashed', () => protocolErrors.inc({ type: 'consume', code: 'crashed' })),
    listen('person-merge-ended', ({ result, call, oldPersonIdentified, newPersonIdentified }) => {
      const labels = {
        call,
        oldPersonIdentified: String(oldPersonIdentified),
        newPersonIdentified: String(newPersonIdentified),
      };
      mergeAttempts.inc(labels);
      if (result === 'merged') mergeSuccesses.inc(labels);
      if (result === 'refused') mergeFailures.inc();
    }),
    listen('plugin-batch-invoked', ({ pluginId, events, failed: failures, succeededMs, failedMs }) => {
      actionMs.add({ plugin_id: pluginId, action: 'processEvent', status: 'success' }, succeededMs, events - failures);
      actionMs.add({ plugin_id: pluginId, action: 'processEvent', status: 'error' }, failedMs, failures);
    }),
    listen('plugin-loaded', ({ pluginId, ok, loadMs, setupMs: tookMs, imports: names }) => {
      vmSetupMs.add({ plugin_id: pluginId }, loadMs, 1);
      if (tookMs !== undefined) setupMs.add({ plugin_id: pluginId, status: ok ? 'success' : 'error' }, tookMs, 1);
      for (const name of names) imports.inc({ name });
    }),
    listen('plugin-quarantined', ({ pluginId }) => disabled.inc({ plugin_id: pluginId })),
    listen('plugins-reloaded', (fact) => {
      readMs.add({}, fact.readMs, 1);
      totalMs.add({}, fact.durationMs, 1);
    }),
    listen('plugins-warmed-up', ({ durationMs }) => warmUpMs.add({}, durationMs, 1)),
    listen('tree-planted', ({ atMs }) => {
      if (!isStarted) startup.inc(atMs); // those after the first are built anew, in a process that runs
      isStarted = true;
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

const listen = <Name extends FactName>(name: Name, listener: (fact: Facts[Name]) => void): (() => void) => observe(name, listener);
