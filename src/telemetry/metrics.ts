import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { Account } from './account.ts';
import { mapFactsToMetrics } from './metric-map.ts';

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
  /** Stops listening to facts. */
  stop(): void;
}

/** The metrics of the process: fed by facts, completed by readers at scrape time. One registry each, never the global one. */
export function createMetrics({ account, gauges = [], groupId = 'ingestion', processMetrics = true }: MetricsOptions = {}): Metrics {
  const registry = new Registry();
  if (processMetrics) collectDefaultMetrics({ register: registry });
  const stop = mapFactsToMetrics({ registry, groupId });
  const setAccount = account === undefined ? undefined : accountMetrics(registry);
  const setGauges = gauges.map((reader) => gaugeMetric(registry, reader));

  return {
    contentType: registry.contentType,
    text() {
      // All in one synchronous step; prom-client reads the values over several turns of the event loop afterwards.
      if (account !== undefined) setAccount?.(account());
      for (const set of setGauges) set();
      return registry.metrics();
    },
    stop,
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
function accountMetrics(registry: Registry): (account: Account) => void {
  const registers = [registry];
  const read = new Counter({ name: 'troupe_records_read_total', help: 'Records that a partition took up.', registers });
  const alreadyStored = new Counter({
    name: 'troupe_records_already_stored_total',
    help: 'Of those: stored by an earlier owner.',
    registers,
  });
  const abandoned = new Counter({
    name: 'troupe_records_abandoned_total',
    help: 'Of those: in work when the partition was lost.',
    registers,
  });
  const outcome = new Counter({
    name: 'troupe_outcome_total',
    help: 'Of those: reached this outcome.',
    labelNames: ['topic', 'outcome', 'reason'],
    registers,
  });
  const inFlight = new Gauge({ name: 'troupe_in_flight', help: 'Of those: in work now.', registers });
  // PostHog's names of two of the outcomes.
  const ingested = new Counter({ name: 'event_processed_and_ingested', help: 'Events stored.', registers });
  const droppedEvents = new Counter({
    name: 'ingestion_event_dropped_total',
    help: 'Events dropped.',
    labelNames: ['event_type', 'drop_cause'],
    registers,
  });

  return (account) => {
    for (const counter of [read, alreadyStored, abandoned, outcome, ingested, droppedEvents]) counter.reset();
    read.inc(account.read);
    alreadyStored.inc(account.alreadyStored);
    abandoned.inc(account.abandoned);
    inFlight.set(account.inFlight);
    for (const { topic, outcome: name, reason, count } of account.outcomes) {
      outcome.inc({ topic, outcome: name, reason }, count);
      if (name === 'stored') ingested.inc(count);
      if (name === 'dropped') droppedEvents.inc({ event_type: 'analytics', drop_cause: reason }, count);
    }
  };
}
