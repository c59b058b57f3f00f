import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_RULES } from '../../../src/capture/rules.ts';
import { watchRestrictions } from '../../../src/capture/restrictions/watch.ts';
import { ProduceError } from '../../../src/kafka/port.ts';
import { state } from '../../../src/observe/facts.ts';
import { createMetrics, type Metrics } from '../../../src/telemetry/metrics.ts';
import { manualClock } from '../../kit/clock.ts';
import { fakeProducer, serving, settled } from '../capture/kit.ts';

/** spec/capture.md 10: the names, with their labels where it says which. */
const POSTHOG: Readonly<Record<string, readonly string[] | undefined>> = {
  http_requests_total: ['method', 'path', 'status'],
  http_requests_duration_seconds: ['method', 'path', 'status'],
  capture_active_connections: [],
  capture_body_read_timeout_total: ['path'],
  capture_rejected_body_drain_total: ['path', 'outcome', 'reason'],
  capture_raw_payload_size: [],
  capture_full_payload_size: ['oversize'],
  capture_gzip_decompression_ratio: [],
  capture_lz64_decompression_ratio: [],
  capture_payload_size_exceeded: ['kind'],
  capture_events_received_total: [],
  capture_events_ingested_total: [],
  capture_events_dropped_total: ['cause'],
  capture_events_rerouted_overflow: ['reason'],
  capture_events_rerouted_historical: ['reason'],
  capture_events_rerouted_dlq: [],
  capture_events_rerouted_custom_topic: [],
  capture_distinct_id_has_whitespace_total: [],
  capture_client_clock_skew_seconds: [],
  capture_quota_limit_exceeded: ['resource'],
  capture_billing_limits_loaded_tokens: ['cache_key'],
  partition_limits_key_count: [],
  capture_event_restrictions_applied: undefined,
  capture_event_restrictions_loaded_count: undefined,
  capture_event_restrictions_tokens_count: undefined,
  capture_event_restrictions_stale: undefined,
  capture_event_restrictions_last_refresh_timestamp: undefined,
  capture_event_restrictions_redis_fetch: undefined,
  capture_kafka_produce_errors_total: [],
  capture_kafka_produce_bytes_total: ['topic'],
  capture_kafka_produce_ack_duration_ms: ['outcome', 'topic'],
  capture_event_batch_size: [],
  capture_events_rate_limited_token_distinctid: ['reason'],
  capture_error_by_stage_and_type: ['error', 'stage'],
  capture_primary_sink_health: [],
  capture_fallback_sink_failovers_total: [],
};
/** Of things that are not here. A star stands for what begins so. */
const LEFT = [
  'capture_heatmap_redirects_created',
  'capture_kafka_batch_prep_duration_seconds',
  'capture_kafka_batch_enqueue_duration_seconds',
  'capture_kafka_any_brokers_down',
  'capture_kafka_callback_queue_depth',
  'capture_kafka_producer_queue_*',
  'capture_kafka_broker_*',
  'capture_kafka_produce_rtt_latency_us',
];

/** spec/capture.md 10, from a served request to the series of a scrape. */
describe('metrics of capture', () => {
  let metrics: Metrics;
  beforeEach(() => {
    metrics = createMetrics({ processMetrics: false });
  });
  afterEach(() => metrics.stop());
  const series = async (): Promise<Readonly<Record<string, number>>> => {
    const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
  };
  const batch = (...events: readonly object[]): string =>
    JSON.stringify({ api_key: 'phc_x', batch: events.map((event) => ({ event: 'a', distinct_id: 'u1', ...event })) });

  it('a stored batch: requests, events, sizes, the acknowledgement', async () => {
    const served = await serving(fakeProducer());
    const body = batch({}, { distinct_id: ' u2' }, { event: '$exception' });
    const sentAt = Date.now() - 5_000;
    await served.ask(`/batch/?_=${sentAt}`, { body: gzipSync(body) });
    const all = await series();
    expect(all).toMatchObject({
      'http_requests_total{method="POST",path="/batch",status="200"}': 1,
      'http_requests_duration_seconds_count{method="POST",path="/batch",status="200"}': 1,
      capture_events_received_total: 3,
      capture_events_ingested_total: 3,
      capture_event_batch_size_sum: 3,
      capture_raw_payload_size_sum: gzipSync(body).length,
      'capture_full_payload_size_sum{oversize="false"}': Buffer.byteLength(body),
      capture_gzip_decompression_ratio_count: 1,
      capture_distinct_id_has_whitespace_total: 1,
      'capture_kafka_produce_ack_duration_ms_count{outcome="ok",topic="main"}': 1,
      'capture_kafka_produce_ack_duration_ms_count{outcome="ok",topic="exceptions"}': 1,
      capture_client_clock_skew_seconds_count: 1,
    });
    expect(all['capture_client_clock_skew_seconds_sum']).toBeCloseTo(5, 0);
    expect(all['capture_kafka_produce_bytes_total{topic="main"}']).toBeGreaterThan(300);
    expect(all['capture_active_connections']).toBeGreaterThanOrEqual(0);
  });

  it('refusals: by their tag, by stage, and as dropped events', async () => {
    const served = await serving(fakeProducer());
    await served.ask('/e', { body: '{bad' });
    await served.ask('/batch', { body: batch({}, { distinct_id: '' }) });
    await served.ask('/e', { method: 'PUT', body: '' });
    await served.ask('/wp-login.php');
    expect(await series()).toMatchObject({
      'capture_events_dropped_total{cause="req_parsing"}': 1,
      'capture_events_dropped_total{cause="no_distinct_id"}': 2,
      'capture_error_by_stage_and_type{error="req_parsing",stage="parsing"}': 1,
      'capture_error_by_stage_and_type{error="no_distinct_id",stage="processing"}': 1,
      'http_requests_total{method="PUT",path="/e",status="405"}': 1,
      'http_requests_total{method="GET",path="other",status="404"}': 1,
      capture_events_ingested_total: 0,
    });
    expect(Object.keys(await series()).filter((name) => name.includes('not_found') && name.startsWith('capture_'))).toEqual([]);
  });

  it('Kafka away: what is to be sent again is no drop', async () => {
    const served = await serving(fakeProducer(() => Promise.reject(new ProduceError('unavailable', 'no'))));
    await served.ask('/batch', { body: batch({}, {}) });
    const all = await series();
    expect(all).toMatchObject({
      capture_kafka_produce_errors_total: 2,
      'capture_kafka_produce_ack_duration_ms_count{outcome="broker_err",topic="main"}': 1,
      'capture_error_by_stage_and_type{error="retryable_sink",stage="processing"}': 1,
      capture_events_ingested_total: 0,
    });
    expect(Object.keys(all).filter((name) => name.startsWith('capture_events_dropped_total{'))).toEqual([]);
  });

  it('10: has every name of PostHog, but those that docs/capture.md says it has not, with why', () => {
    const has = new Map(metrics.catalogue().map(({ name, labels }) => [name, labels]));
    for (const [name, labels] of Object.entries(POSTHOG)) {
      expect(has.has(name), name).toBe(true);
      if (labels !== undefined) expect([...(has.get(name) ?? [])].sort(), name).toEqual([...labels].sort());
    }
    const text = readFileSync(join(import.meta.dirname, '../../../docs/capture.md'), 'utf8');
    for (const name of LEFT) {
      expect(text).toContain(`\`${name}\``);
      expect([...has.keys()].filter((one) => one.startsWith(name.replace('*', '')))).toEqual([]);
    }
  });

  it('10: the health of the primary sink, which is Kafka: no topic goes through the spill', async () => {
    const seen = async (): Promise<unknown[]> => {
      const { capture_primary_sink_health: health, capture_fallback_sink_failovers_total: failovers } = await series();
      return [health, failovers];
    };
    expect(await seen()).toEqual([1, 0]);
    for (const topic of ['main', 'exceptions']) state('spill-diverted', { topic, code: 'late', message: 'no answer' });
    expect(await seen()).toEqual([0, 2]);
    state('spill-returned', { topic: 'main' });
    expect(await seen()).toEqual([0, 2]);
    state('spill-returned', { topic: 'exceptions' });
    expect(await seen()).toEqual([1, 2]);
  });

  it('rules: overflow, drops, age', async () => {
    const rules = {
      ...NO_RULES,
      dropped: ['phc_x:u9'],
      overflow: { limits: { perSecond: 0.001, burstCount: 1 }, keepsKeys: false, forced: ['phc_x:u2'] },
      historicalAfterMs: 1_000,
    };
    const served = await serving(fakeProducer(), { rules });
    await served.ask('/batch', {
      body: batch({}, {}, { distinct_id: 'u2' }, { distinct_id: 'u9' }, { timestamp: '2020-01-01T00:00:00Z' }),
    });
    expect(await series()).toMatchObject({
      'capture_events_rerouted_overflow{reason="rate_limited"}': 1,
      'capture_events_rerouted_overflow{reason="force_limited"}': 1,
      'capture_events_rerouted_historical{reason="timestamp"}': 1,
      'capture_events_dropped_total{cause="token_dropper"}': 1,
      capture_events_ingested_total: 4,
      partition_limits_key_count: 1,
    });
  });

  it('restrictions: what is known of them, what they did, and that they are stale', async () => {
    const clock = manualClock();
    const entry = { version: 2, token: 'phc_x', pipelines: ['analytics'] };
    const texts: Record<string, string> = {
      drop_event_from_ingestion: JSON.stringify([{ ...entry, event_names: ['b'] }, 7]),
      redirect_to_topic: JSON.stringify([{ ...entry, event_names: ['c'], args: { topic: 'aside' } }]),
      redirect_to_dlq: JSON.stringify([{ ...entry, event_names: ['d'] }]),
    };
    const get = (key: string): Promise<string | undefined> => Promise.resolve(texts[key.split(':')[1] ?? '']);
    const options = { clock, topics: new Set(['aside']), intervalMs: 30_000_000, staleMs: 300_000 };
    const restrictions = watchRestrictions({ ...options, store: { get } });
    await settled();
    const served = await serving(fakeProducer(), { restrictions });
    await served.ask('/batch', { body: batch({}, { event: 'b' }, { event: 'c' }, { event: 'd' }) });
    expect(await series()).toMatchObject({
      'capture_event_restrictions_loaded_count{pipeline="analytics"}': 3,
      'capture_event_restrictions_tokens_count{pipeline="analytics"}': 1,
      'capture_event_restrictions_loaded_count{pipeline="ai"}': 0,
      'capture_event_restrictions_stale{pipeline="analytics"}': 0,
      'capture_event_restrictions_last_refresh_timestamp{pipeline="analytics"}': clock.now() / 1_000,
      'capture_event_restrictions_redis_fetch{restriction_type="drop_event",result="success"}': 1,
      'capture_event_restrictions_redis_fetch{restriction_type="force_overflow",result="not_found"}': 1,
      'capture_event_restrictions_applied{restriction_type="drop_event",pipeline="analytics"}': 1,
      'capture_event_restrictions_applied{restriction_type="redirect_to_dlq",pipeline="analytics"}': 1,
      'capture_events_dropped_total{cause="event_restriction_drop"}': 1,
      capture_events_rerouted_dlq: 1,
      capture_events_rerouted_custom_topic: 1,
      'troupe_capture_restrictions_malformed_total{restriction_type="drop_event"}': 1,
    });
    clock.advance(300_000);
    restrictions.of('phc_x');
    expect(await series()).toMatchObject({ 'capture_event_restrictions_stale{pipeline="analytics"}': 1 });
    restrictions.close();
  });

  it('what is left to tokens: by type, for the 100 that sent last, without the tokens themselves', async () => {
    for (let n = 0; n < 101; n++) state('capture-allowance-taken', { resource: 'events', who: `phc_***${n}`, remaining: n });
    state('capture-allowance-taken', { resource: 'events', who: 'phc_***1', remaining: 0 });
    const all = await series();
    expect(Object.keys(all).filter((name) => name.startsWith('capture_quota_remaining{'))).toHaveLength(100);
    expect(all['capture_quota_remaining{event_type="events",token="phc_***0"}']).toBeUndefined();
    expect(all).toMatchObject({
      'capture_quota_remaining{event_type="events",token="phc_***1"}': 0,
      'capture_quota_remaining{event_type="events",token="phc_***100"}': 100,
    });
  });

  it('limits: what was beyond a rate, of a key that is too much, of a counter or a setting that cannot be read', async () => {
    state('capture-rate-exceeded', { over: 'drop', count: 3 });
    state('capture-keys-limited', { reason: 'limited', count: 4 });
    state('capture-allowance-unreadable', { resource: 'events', who: 'phc_***' });
    state('capture-token-settings-malformed', { who: 'phc_***', field: 'topic', problem: 'x' });
    state('capture-replay-overflow-read', { sessions: 5 });
    expect(await series()).toMatchObject({
      'troupe_capture_rate_exceeded_total{over="drop"}': 3,
      'capture_events_rate_limited_token_distinctid{reason="limited"}': 4,
      'troupe_capture_allowances_unreadable_total{event_type="events"}': 1,
      troupe_capture_token_settings_malformed_total: 1,
      'capture_billing_limits_loaded_tokens{cache_key="@posthog/capture-overflow/replay"}': 5,
    });
  });

  it('too much: unpacked, and on the wire', async () => {
    const served = await serving(fakeProducer(), { limits: { wireBytes: 50_000, decodedBytes: 100_000 } });
    await served.ask('/e', { body: gzipSync(Buffer.alloc(1 << 20)) });
    await served.ask('/e', { body: Buffer.alloc(60_000) });
    expect(await series()).toMatchObject({
      'capture_payload_size_exceeded{kind="gzip"}': 1,
      'capture_full_payload_size_sum{oversize="true"}': 100_000,
      'capture_rejected_body_drain_total{path="/e",outcome="drained",reason="too-large"}': 1,
      'capture_events_dropped_total{cause="oversize_event"}': 2,
    });
  });
});
