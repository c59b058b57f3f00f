import { afterEach, describe, expect, it } from 'vitest';
import { offset } from '../../../src/domain/ids.ts';
import { deadLettered, dropped, STORED } from '../../../src/domain/outcome.ts';
import { createLedger } from '../../../src/kafka/ledger.ts';
import { state } from '../../../src/observe/facts.ts';
import { createAccounts } from '../../../src/telemetry/account.ts';
import { createMetrics, type Metrics, type MetricsOptions } from '../../../src/telemetry/metrics.ts';

let running: Metrics[] = [];
afterEach(() => {
  for (const metrics of running) metrics.stop();
  running = [];
});

function start(options: MetricsOptions = {}): Metrics {
  const metrics = createMetrics({ processMetrics: false, ...options });
  running.push(metrics);
  return metrics;
}

/** Value of each series of a scrape, by its name with labels as written. */
async function scrape(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

describe('metrics fed by facts', () => {
  it("use PostHog's names where PostHog has one", async () => {
    const metrics = start({ groupId: 'ingestion' });
    state('router-batch-read', { topic: 't', partition: 1, records: 500, bytes: 9_000, lag: 12 });
    state('router-lag-measured', { topic: 't', partition: 1, lag: 34 });
    state('router-watermark-committed', { topic: 't', partition: 1, offset: 77, messageTimestampMs: 1_700_000_000_000 });
    const series = await scrape(metrics);
    expect(series.get('kafka_consumer_messages_read_total{topic_name="t"}')).toBe(500);
    expect(series.get('consumed_batch_size_sum{topic="t",groupId="ingestion"}')).toBe(500);
    expect(series.get('latest_processed_timestamp_ms{topic="t",partition="1",groupId="ingestion"}')).toBe(1_700_000_000_000);
    expect(series.get('troupe_router_lag_records{topic="t",partition="1"}')).toBe(34);
  });

  it('forget the gauges of a partition that was revoked, because another process states them now', async () => {
    const metrics = start();
    state('router-partition-assigned', { topic: 't', partition: 1, generation: 1, watermark: 0, alreadyStored: 0 });
    state('router-lag-measured', { topic: 't', partition: 1, lag: 12 });
    state('router-partition-revoked', { topic: 't', partition: 1, generation: 1, unsettled: 0 });
    const series = await scrape(metrics);
    expect([...series.keys()].filter((name) => name.startsWith('troupe_router_lag_records'))).toEqual([]);
    expect(series.get('kafka_absolute_partition_count{topic="t"}')).toBe(0);
  });

  it('keep labels bounded: paths that are not of capture are one', async () => {
    const metrics = start();
    for (const path of ['/e/', '/e', '/wp-login.php', '/x1', '/x2']) {
      const client = { address: undefined, forwardedFor: undefined, userAgent: undefined, referer: undefined };
      const answered = {
        method: 'POST',
        status: 200,
        events: 1,
        bytes: 10,
        sentBytes: 15,
        isLogged: false,
        durationMs: 3,
        reason: undefined,
        requestId: '',
        client,
      };
      state('capture-request-answered', { ...answered, path });
    }
    const series = await scrape(metrics);
    expect(series.get('troupe_capture_requests_total{path="/e",status="200"}')).toBe(2);
    expect(series.get('troupe_capture_requests_total{path="other",status="200"}')).toBe(3);
  });

  it('keep labels bounded: what a dying sandbox wrote is none', async () => {
    const metrics = start();
    state('sandbox-ended', { pid: 1, reason: 'exit 134: FATAL ERROR 0x1234', culprit: undefined });
    expect((await scrape(metrics)).get('troupe_sandbox_ended_total{reason="died"}')).toBe(1);
  });

  it('listen no more after stop', async () => {
    const metrics = start();
    metrics.stop();
    state('router-batch-read', { topic: 't', partition: 1, records: 500, bytes: 9_000, lag: 12 });
    expect((await scrape(metrics)).has('kafka_consumer_messages_read_total{topic_name="t"}')).toBe(false);
  });
});

describe('gauges that are read at scrape time', () => {
  it('show the value of now, and lose the series that ended', async () => {
    let actors = [
      { labels: { kind: 'router' }, value: 3 },
      { labels: { kind: 'team' }, value: 9 },
    ];
    const metrics = start({
      gauges: [{ name: 'troupe_runtime_actors_count', help: 'Actors alive.', labelNames: ['kind'], read: () => actors }],
    });
    expect((await scrape(metrics)).get('troupe_runtime_actors_count{kind="team"}')).toBe(9);
    actors = [{ labels: { kind: 'router' }, value: 4 }];
    const series = await scrape(metrics);
    expect(series.get('troupe_runtime_actors_count{kind="router"}')).toBe(4);
    expect(series.has('troupe_runtime_actors_count{kind="team"}')).toBe(false);
  });
});

describe('the account', () => {
  const ledger = (partition: number) => createLedger({ topic: 't', partition, generation: 1, watermark: offset(0), capacityCount: 1_000 });

  async function expectBalanced(metrics: Metrics): Promise<ReadonlyMap<string, number>> {
    const series = await scrape(metrics);
    const sum = (name: string): number =>
      [...series].filter(([key]) => key === name || key.startsWith(`${name}{`)).reduce((total, [, value]) => total + value, 0);
    expect(sum('troupe_records_read_total')).toBe(
      sum('troupe_records_already_stored_total') +
        sum('troupe_outcome_total') +
        sum('troupe_records_abandoned_total') +
        sum('troupe_in_flight'),
    );
    return series;
  }

  it('I1: read = already stored + outcomes + abandoned + in flight, in every scrape', async () => {
    const accounts = createAccounts();
    const metrics = start({ account: accounts.read });
    const first = ledger(0);
    first.seedSettled([{ from: 2, to: 4 }]);
    accounts.open('t', first);
    await expectBalanced(metrics);

    for (let at = 0; at < 10; at++) first.track(offset(at));
    await expectBalanced(metrics);

    first.settlement.settle(offset(0), STORED);
    first.settlement.settle(offset(1), dropped('no_token'));
    first.settlement.settle(offset(5), deadLettered('row_too_large'));
    const series = await expectBalanced(metrics);
    expect(series.get('troupe_records_read_total')).toBe(10);
    expect(series.get('troupe_records_already_stored_total')).toBe(2);
    expect(series.get('troupe_in_flight')).toBe(5);
    expect(series.get('troupe_outcome_total{topic="t",outcome="dropped",reason="no_token"}')).toBe(1);
    // L-6: what was dropped ended without an error too.
    expect(series.get('event_processed_and_ingested')).toBe(2);
    expect(series.get('ingestion_event_dropped_total{event_type="analytics",drop_cause="no_token"}')).toBe(1);
    expect([...series].filter(([name]) => name.startsWith('events_pipeline_'))).toEqual([
      ['events_pipeline_last_step_total{step_name="createEventStep"}', 1],
      ['events_pipeline_last_step_total{step_name="populateTeamDataStep"}', 1],
      ['events_pipeline_step_error_total{step_name="createEventStep"}', 1],
      ['events_pipeline_step_dlq_total{step_name="createEventStep"}', 1],
    ]);
  });

  it('L-3, L-4, L-5: PostHog counts as dropped what is lost, and no event that did what it was for', async () => {
    const accounts = createAccounts();
    const metrics = start({ account: accounts.read });
    const all = ledger(0);
    accounts.open('t', all);
    const reasons = [
      'heatmap',
      'client_ingestion_warning',
      'plugin',
      'invalid_event_for_flags',
      'duplicate',
      'invalid_token',
      'too_old',
    ] as const;
    reasons.forEach((reason, at) => {
      all.track(offset(at));
      all.settlement.settle(offset(at), dropped(reason));
    });
    const series = await expectBalanced(metrics);
    expect([...series].filter(([name]) => name.startsWith('ingestion_event_dropped_total'))).toEqual(
      ['invalid_token', 'too_old'].map((cause) => [`ingestion_event_dropped_total{event_type="analytics",drop_cause="${cause}"}`, 1]),
    );
    expect(series.get('event_pipeline_dropped_events_total')).toBe(1);
  });

  it('H-3: refused heatmap rows are drops of their own kind, and stay counted from scrape to scrape', async () => {
    const accounts = createAccounts();
    const metrics = start({ account: accounts.read });
    state('event-findings-counted', { counts: { 'heatmap-invalid_distinct_id': 2 } });
    state('event-findings-counted', { counts: { 'heatmap-invalid_distinct_id': 1, elements: 4, 'timestamp-in-future': 5 } });
    for (let scrapes = 0; scrapes < 2; scrapes++) {
      const series = await scrape(metrics);
      const cause = 'drop_cause="invalid_distinct_id"';
      expect(series.get(`ingestion_event_dropped_total{event_type="heatmap_event_extraction",${cause}}`)).toBe(3);
      expect(series.get('events_pipeline_elements_or_elements_chain_total{type="elements"}')).toBe(4);
      expect(series.get('invalid_timestamp_total{type="event_timestamp_in_future"}')).toBe(5);
    }
  });

  it('P-39: person_property_key_update_total adds up what was counted, by label', async () => {
    const metrics = start();
    state('person-property-keys-counted', { counts: { other: 2, $browser: 1 } });
    state('person-property-keys-counted', { counts: { other: 3 } });
    const series = await scrape(metrics);
    expect(['other', '$browser'].map((key) => series.get(`person_property_key_update_total{key="${key}"}`))).toEqual([5, 1]);
  });

  it('I2: keeps what a lost partition had, and calls abandoned what was in work', async () => {
    const accounts = createAccounts();
    const metrics = start({ account: accounts.read });
    const [lost, kept] = [ledger(0), ledger(1)];
    accounts.open('t', lost);
    accounts.open('t', kept);
    for (let at = 0; at < 3; at++) {
      lost.track(offset(at));
      kept.track(offset(at));
    }
    lost.settlement.settle(offset(0), STORED);
    kept.settlement.settle(offset(1), STORED);
    lost.close();
    accounts.close(lost);
    accounts.close(lost);
    const series = await expectBalanced(metrics);
    expect(series.get('troupe_records_abandoned_total')).toBe(2);
    expect(series.get('troupe_in_flight')).toBe(2);
    expect(series.get('troupe_outcome_total{topic="t",outcome="stored",reason=""}')).toBe(2);
  });
});
