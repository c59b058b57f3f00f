import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Finding } from '../domain/findings.ts';
import { observe } from '../observe/facts.ts';
import type { Account } from './account.ts';
import { createMakers } from './makers.ts';
import { mapFactsToMetrics } from './metric-map.ts';
import { mapFactsToPostHogMetrics } from './posthog-metrics.ts';
import { isCountedDrop, isProcessed, lastStepOf } from './pipeline-steps.ts';

/** A number read when somebody asks for the metrics: sizes of queues, actors alive, and the like. */
export interface GaugeReader {
  /** `troupe_<room>_<noun>_<unit>`. */
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly string[];
  /** Called once per scrape; small and synchronous. Series that are not returned any more disappear. */
  readonly read: () => readonly { readonly labels?: Readonly<Record<string, string | number>>; readonly value: number }[];
}

export interface MetricsOptions {
  /** The records of this process and what became of them. Undefined where the process reads none. */
  readonly account?: () => Account;
  readonly gauges?: readonly GaugeReader[];
  /** Consumer group, as PostHog labels it. @defaultValue 'ingestion' */
  readonly groupId?: string;
  /** CPU, memory, event loop and GC of the process. Their observers last as long as the process. @defaultValue true */
  readonly processMetrics?: boolean;
}

export interface Metrics {
  readonly contentType: string;
  /** The text Prometheus scrapes. The metrics of the account are of one moment and add up (account.ts I1). */
  text(): Promise<string>;
  /** What there is to scrape, whether or not it has a value yet. Types are Prometheus' words. */
  catalogue(): readonly { readonly name: string; readonly type: string; readonly labels: readonly string[] }[];
  /** Stops listening to facts. */
  stop(): void;
}

/** The metrics of the process: fed by facts, completed by readers at scrape time. One registry each, never the global one. */
export function createMetrics({ account, gauges = [], groupId = 'ingestion', processMetrics = true }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (processMetrics) collectDefaultMetrics({ register: registry });
  const stop = mapFactsToMetrics({ registry, groupId });
  const stopPostHog = mapFactsToPostHogMetrics({ registry, groupId });
  const accounted = account === undefined ? undefined : accountMetrics(registry);
  const setGauges = gauges.map((reader) => gaugeMetric(registry, reader));

  return {
    contentType: registry.contentType,
    text() {
      // All in one synchronous step; prom-client reads the values over several turns of the event loop afterwards.
      if (account !== undefined) accounted?.set(account());
      for (const set of setGauges) set();
      return registry.metrics();
    },
    catalogue: () =>
      registry.getMetricsAsArray().map((metric) => {
        const { name, type, labelNames } = metric as typeof metric & { readonly labelNames?: readonly string[] };
        return { name, type: String(type), labels: labelNames ?? [] };
      }),
    stop() {
      stop();
      stopPostHog();
      accounted?.stop();
    },
  };
}

function gaugeMetric(registry: Registry, { name, help, labelNames = [], read }: GaugeReader): () => void {
  const gauge = new Gauge({ name, help, labelNames: [...labelNames], registers: [registry] });
  return () => {
    gauge.reset();
    for (const { labels = {}, value } of read()) gauge.set(labels, value);
  };
}

/**
 * Totals that are counted elsewhere: a counter is set back and raised to the total, which a scraper sees as one value.
 * `read = already stored + outcomes + abandoned + in flight` holds in every scrape.
 */
function accountMetrics(registry: Registry): { readonly set: (account: Account) => void; readonly stop: () => void } {
  const { counter, gauge } = createMakers(registry);
  const read = counter('troupe_records_read_total', 'Records that a partition took up.');
  const alreadyStored = counter('troupe_records_already_stored_total', 'Of those: stored by an earlier owner.');
  const abandoned = counter('troupe_records_abandoned_total', 'Of those: in work when the partition was lost.');
  const outcome = counter('troupe_outcome_total', 'Of those: reached this outcome.', 'topic', 'outcome', 'reason');
  const inFlight = gauge('troupe_in_flight', 'Of those: in work now.');
  // PostHog's names of two of the outcomes.
  const ingested = counter('event_processed_and_ingested', 'Events that ended without an error.');
  const lastStep = counter(
    'events_pipeline_last_step_total',
    'Events that ended without an error, by the step in which they did.',
    'step_name',
  );
  const stepError = counter(
    'events_pipeline_step_error_total',
    'Events that ended with an error, by the step in which they did.',
    'step_name',
  );
  const stepDeadLettered = counter('events_pipeline_step_dlq_total', 'Of those: kept in the dead-letter topic.', 'step_name');
  const processed = counter('kafka_consumer_messages_processed_total', 'Records with an outcome.', 'topic_name');
  const droppedByPlugins = counter('event_pipeline_dropped_events_total', 'Events a plugin dropped.');
  const heatmaps = new Map<Finding, number>();
  const stop = observe('event-findings-counted', ({ counts }) => {
    for (const finding of HEATMAP_FINDINGS) heatmaps.set(finding, (heatmaps.get(finding) ?? 0) + (counts[finding] ?? 0));
  });
  const droppedEvents = counter('ingestion_event_dropped_total', 'Events dropped.', 'event_type', 'drop_cause');

  const set = (account: Account): void => {
    const counters = [
      read,
      alreadyStored,
      abandoned,
      outcome,
      ingested,
      droppedEvents,
      lastStep,
      stepError,
      stepDeadLettered,
      droppedByPlugins,
      processed,
    ];
    for (const counter of counters) counter.reset();
    read.inc(account.read);
    alreadyStored.inc(account.alreadyStored);
    abandoned.inc(account.abandoned);
    inFlight.set(account.inFlight);
    for (const { topic, outcome: name, reason, count } of account.outcomes) {
      outcome.inc({ topic, outcome: name, reason }, count);
      processed.inc({ topic_name: topic }, count);
      const step = lastStepOf(name, reason);
      if (isProcessed(name, reason)) ingested.inc(count);
      if (step !== undefined) (name === 'dead-lettered' ? stepError : lastStep).inc({ step_name: step }, count);
      if (step !== undefined && name === 'dead-lettered') stepDeadLettered.inc({ step_name: step }, count);
      if (name === 'dropped' && reason === 'plugin') droppedByPlugins.inc(count);
      if (isCountedDrop(name, reason)) droppedEvents.inc({ event_type: 'analytics', drop_cause: reason }, count);
    }
    for (const [finding, count] of heatmaps) {
      droppedEvents.inc({ event_type: 'heatmap_event_extraction', drop_cause: finding.replace('heatmap-', '') }, count);
    }
  };
  return { set, stop };
}

const HEATMAP_FINDINGS = ['heatmap-invalid_distinct_id', 'heatmap-invalid_viewport_dimensions'] as const satisfies readonly Finding[];
