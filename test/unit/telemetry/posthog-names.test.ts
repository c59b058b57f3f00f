import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { state } from '../../../src/observe/facts.ts';
import { createAccounts } from '../../../src/telemetry/account.ts';
import { createMetrics, type Metrics } from '../../../src/telemetry/metrics.ts';

/** 9.4 of spec/ingestion.md: type and labels, where it states them. */
const COUNTER = 'counter';
const NAMES_9_4: Readonly<Record<string, readonly string[]>> = {
  [COUNTER]: [
    'ingestion_event_dropped_total event_type drop_cause',
    'ingestion_event_hasauthinfo_total team_id_present token_present', // T-7
    ...['event_processed_and_ingested', 'event_pipeline_dropped_events_total'],
    ...['last_step_total', 'step_error_total', 'step_throw_total', 'step_dlq_total'].map((name) => `events_pipeline_${name} step_name`),
    ...['events_pipeline_elements_or_elements_chain_total type', 'invalid_timestamp_total type', 'set_usage_in_non_person_events'],
    ...['difference_with_proposed_normalisation_mode library', 'surrogates_substituted_total'],
    ...['ingestion_kafka_batch_start', 'ingestion_kafka_batch_committed_offsets', 'ingestion_overflowing_messages_total'],
    'ingestion_partition_key_overflowed partition_key',
    'person_merge_final_failure_total',
    ...['attempt', 'success'].map((name) => `person_merge_txn_${name}_total call oldPersonIdentified newPersonIdentified`), // M-6
    ...['person_property_key_update_total key', 'person_update_version_mismatch'],
    'kafka_consumer_event_total event',
    ...['messages_read_total', 'messages_processed_total', 'each_batch_failed_total'].map((name) => `kafka_consumer_${name} topic_name`),
    ...['queued_total', 'written_total', 'failed_total'].map((name) => `kafka_producer_messages_${name} topic_name`),
    ...['kafka_protocol_errors_total type code', 'plugin_server_startup_time_ms'],
  ],
  gauge: [
    'latest_processed_timestamp_ms topic partition groupId',
    ...['consumer_batch_utilization groupId', 'kafka_absolute_partition_count topic', 'kafka_rebalance_partition_count topic'],
  ],
  histogram: [
    ...['ingestion_batch_parallelism overflow_mode', 'ingestion_batch_parallelism_potential overflow_mode'],
    ...[
      'consumed_batch_duration_ms topic groupId',
      'consumed_batch_size topic groupId',
      'consumed_message_size_bytes topic groupId messageType',
    ],
    ...['webhook_process_event_duration tag', 'instrumented_function_duration_seconds'],
  ],
  summary: [
    ...['events_pipeline_step_ms step_name', 'process_event_ms', 'update_event_names_and_properties_ms'],
    ...['input_length', 'batch_count', 'distinct_id_batch_length'].map((name) => `ingest_event_batching_${name}`),
    ...['ingest_event_each_batch_kafka_ack_wait', 'ingest_event_kafka_produce_latency topic waitForAck'],
    ...['plugin_action_ms plugin_id action status', 'plugin_setup_ms plugin_id status', 'instrumented_fn_duration_ms'],
  ],
};
/** Of these it states the name alone. */
const BARE_9_4 =
  `vm_setup_ms plugin_disabled_by_system plugin_log_entry plugin_import_used plugin_job_enqueue_total vm_posthog_extension_capture_called_total
  vm_extension_storage_get_total vm_extension_storage_set_ms load_plugins_ms load_plugin_configs_ms load_plugin_attachments_ms load_plugins_total_ms
  setup_plugins_ms load_schedule_ms jobs_consumer_enqueue_success_total jobs_consumer_enqueue_failures_total jobs_triggered_total
  jobs_execution_success_total jobs_execution_failure_total graphile_enqueue_job graphile_scheduled_task scheduled_task action_match_ms
  async_handlers_silent_failure enrich_exception_events_* recording_blob_ingestion_* replay_events_ingested console_log_events_ingested`.split(
    /\s+/,
  );

interface Row {
  readonly name: string;
  readonly type: string;
  readonly labels: readonly string[];
  readonly verdict: string;
  readonly why: string;
}

const page = readFileSync(join(import.meta.dirname, '../../../docs/instrumentation.md'), 'utf8');
const section = page.slice(page.indexOf("## PostHog's metric names"), page.indexOf('## Traces'));
const rows: Row[] = [...section.matchAll(/^\| `([\w*]+)` \| (\w*) \| ([\w, ]*?) ?\| ([\w ]+) \| (.*?) ?\|$/gm)].map(
  ([, name = '', type = '', labels = '', verdict = '', why = '']) => ({
    name,
    type,
    labels: labels.split(', ').filter((label) => label !== ''),
    verdict,
    why,
  }),
);
const rowOf = (name: string): Row | undefined => rows.find((row) => row.name === name);

let opened: Metrics[] = [];
afterEach(() => {
  for (const metrics of opened) metrics.stop();
  opened = [];
});
function start(): Metrics {
  const metrics = createMetrics({ processMetrics: false, account: createAccounts().read });
  opened.push(metrics);
  return metrics;
}
async function scrape(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

describe("9.4: PostHog's metric names", () => {
  const stated = Object.entries(NAMES_9_4).flatMap(([type, names]) => names.map((name) => [type, ...name.split(' ')] as const));

  it('each has one row in docs/instrumentation.md, with its type and labels where the list states them', () => {
    for (const [type, name, ...labels] of stated) {
      expect(rowOf(name ?? ''), name).toMatchObject({ name, type, labels });
    }
    const all = [...stated.map(([, name]) => name), ...BARE_9_4];
    expect(rows.map(({ name }) => name).toSorted()).toEqual(all.toSorted());
  });

  it('those that are kept are in the registry with exactly this type and these labels; those that are left are not there', () => {
    const catalogue = new Map(
      start()
        .catalogue()
        .map((metric) => [metric.name, metric]),
    );
    expect(rows.filter(({ verdict }) => verdict === 'kept').length).toBeGreaterThan(40);
    for (const { name, type, labels, verdict } of rows) {
      if (verdict === 'kept') expect(catalogue.get(name), name).toEqual({ name, type, labels });
      if (verdict === 'left') expect(catalogue.has(name), name).toBe(false);
    }
  });

  it('each says what it means here, or why it is left', () => {
    expect(rows.filter(({ verdict }) => !['kept', 'left', 'not yet'].includes(verdict))).toEqual([]);
    expect(rows.filter(({ verdict, why }) => verdict !== 'not yet' && why === '')).toEqual([]);
  });
});

describe('metrics that are fed by batches', () => {
  it('a summary has the sum and the count of what its batches held, per labels', async () => {
    const metrics = start();
    const invoked = { pluginId: 70, pluginConfigId: 7, durationMs: 9 };
    state('plugin-batch-invoked', { ...invoked, events: 10, failed: 2, succeededMs: 16, failedMs: 30 });
    state('plugin-batch-invoked', { ...invoked, events: 1, failed: 0, succeededMs: 4, failedMs: 0 });
    const series = await scrape(metrics);
    const labels = (status: string): string => `{plugin_id="70",action="processEvent",status="${status}"}`;
    expect(series.get(`plugin_action_ms_sum${labels('success')}`)).toBe(20);
    expect(series.get(`plugin_action_ms_count${labels('success')}`)).toBe(9);
    expect(series.get(`plugin_action_ms_sum${labels('error')}`)).toBe(30);
    expect(series.get(`plugin_action_ms_count${labels('error')}`)).toBe(2);
    expect(await metrics.text()).toContain('# TYPE plugin_action_ms summary');
  });

  it('a histogram adds up its buckets, and all its values are below +Inf', async () => {
    const metrics = start();
    state('router-records-sized', { topic: 't', counts: [0, 0, 3, 0, 2], bytes: 40 });
    state('router-records-sized', { topic: 't', counts: [1], bytes: 1 });
    const series = await scrape(metrics);
    const bucket = (le: string): number | undefined =>
      series.get(`consumed_message_size_bytes_bucket{le="${le}",topic="t",groupId="ingestion",messageType="analytics"}`);
    expect(['1', '2', '4', '8', '16', '16777216', '+Inf'].map(bucket)).toEqual([1, 1, 4, 4, 6, 6, 6]);
    expect(series.get('consumed_message_size_bytes_sum{topic="t",groupId="ingestion",messageType="analytics"}')).toBe(41);
  });

  it('a process has one start: a tree that is built anew does not count', async () => {
    const metrics = start();
    state('tree-planted', { atMs: 700 });
    state('tree-planted', { atMs: 90_000 });
    expect((await scrape(metrics)).get('plugin_server_startup_time_ms')).toBe(700);
  });

  it('M-6: merges are counted by the event that asked for them and by who was identified; a conflict is no failure', async () => {
    const metrics = start();
    const pair = { oldPersonIdentified: false, newPersonIdentified: true };
    state('person-merge-ended', { ...pair, result: 'conflict', call: '$identify' });
    state('person-merge-ended', { ...pair, result: 'merged', call: '$identify' });
    state('person-merge-ended', { ...pair, result: 'refused', call: '$create_alias' });
    state('person-merge-ended', { ...pair, result: 'merged', call: '$merge_dangerously' });
    const series = await scrape(metrics);
    const of = (name: string): (number | undefined)[] =>
      ['$identify', '$create_alias', '$merge_dangerously'].map((call) =>
        series.get(`${name}{call="${call}",oldPersonIdentified="false",newPersonIdentified="true"}`),
      );
    expect(of('person_merge_txn_attempt_total')).toEqual([2, 1, 1]);
    expect(of('person_merge_txn_success_total')).toEqual([1, undefined, 1]);
    expect(series.get('person_merge_final_failure_total')).toBe(1);
  });

  it('a slice is stated once, and its groups by its events', async () => {
    const metrics = start();
    state('router-slice-dispatched', { topic: 't', events: 12, groups: 4, groupsAtOnce: 3, overflowMode: 'Disabled' });
    const series = await scrape(metrics);
    expect(series.get('ingest_event_batching_input_length_sum')).toBe(12);
    expect(series.get('ingest_event_batching_distinct_id_batch_length_count')).toBe(4);
    expect(series.get('ingestion_batch_parallelism_sum{overflow_mode="Disabled"}')).toBe(3);
    expect(series.get('ingestion_batch_parallelism_potential_sum{overflow_mode="Disabled"}')).toBe(4);
  });
});
