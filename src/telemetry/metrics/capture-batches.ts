/** Events of capture on their way to Kafka, by PostHog's names (spec/capture.md 10). */
import type { FactListeners, Makers } from '../makers.ts';

const BATCH_EVENTS = [1, 10, 25, 50, 75, 100, 250, 500, 750, 1_000];
const ACK_MS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000];
const SKEW_SECONDS = [0.1, 1, 5, 10, 60, 600, 3_600, 86_400];

/** Ours in PostHog's words. */
const OUTCOMES = { acknowledged: 'ok', 'too-large': 'too_large', refused: 'broker_err', late: 'cancelled' } as const;

export function captureBatchMetrics({ counter, histogram }: Makers): FactListeners {
  const ingested = counter('capture_events_ingested_total', 'Events that are durable.');
  const size = histogram('capture_event_batch_size', 'Events of one request.', BATCH_EVENTS);
  const skew = histogram('capture_client_clock_skew_seconds', "Distance of the clients' clocks from ours, either way.", SKEW_SECONDS);
  const padded = counter('capture_distinct_id_has_whitespace_total', 'distinct_ids with blanks around them; they are kept.');
  const errors = counter('capture_kafka_produce_errors_total', 'Records that Kafka refused.');
  const bytes = counter('capture_kafka_produce_bytes_total', 'Bytes of values given to the producer.', 'topic');
  const ack = histogram(
    'capture_kafka_produce_ack_duration_ms',
    "Time until Kafka's answer to a request's records.",
    ACK_MS,
    'outcome',
    'topic',
  );

  return {
    'capture-batch-ended'({ events, ingested: count, clientSkewMs, paddedIds }) {
      size.observe(events);
      ingested.inc(count);
      padded.inc(paddedIds);
      if (clientSkewMs !== undefined) skew.observe(Math.abs(clientSkewMs) / 1_000);
    },
    'capture-records-sent'({ topic, records, bytes: sent, durationMs, outcome }) {
      bytes.inc({ topic }, sent);
      ack.observe({ outcome: OUTCOMES[outcome], topic }, durationMs);
      if (outcome !== 'acknowledged') errors.inc(records);
    },
  };
}
