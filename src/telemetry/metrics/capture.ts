/** Requests to capture, and what came of them: PostHog's names (spec/capture.md 10) where they mean the same thing, and a few of Troupe's own. */
import { SECONDS, type FactListeners, type Makers } from '../makers.ts';
import { captureBatchMetrics } from './capture-batches.ts';
import { captureLimitMetrics } from './capture-limits.ts';

/** PostHog's, in seconds. */
const REQUEST_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const PAYLOAD_BYTES = [1_000, 5_000, 10_000, 50_000, 100_000, 1_000_000, 10_000_000, 20_000_000];
const RATIOS = [1, 2, 5, 10, 20, 50, 100, 1_000];

/** Paths of capture that may be a label; everything else a client asks for is `other`. */
const CAPTURE_PATHS = new Set([
  '/e',
  '/capture',
  '/batch',
  '/track',
  '/engage',
  '/i/v0/e',
  '/i/v0/ai/batch',
  '/i/v1/analytics/events',
  '/s',
  '/putmessage',
  '/decide',
  '/flags',
]);
/** Methods that may be a label: a client can make up others. */
const METHODS = new Set(['GET', 'POST', 'OPTIONS', 'HEAD', 'PUT', 'DELETE', 'PATCH']);

export function captureMetrics(makers: Makers): FactListeners {
  const { counter, gauge, histogram } = makers;
  const captureRequests = counter('troupe_capture_requests_total', 'Requests answered.', 'path', 'status');
  const captureSeconds = histogram('troupe_capture_request_duration_seconds', 'Time from headers to answer.', SECONDS, 'path');
  const captureBytes = counter('troupe_capture_received_bytes_total', 'Bytes of request bodies as sent.');
  const captureRefused = counter('troupe_capture_refused_total', 'Requests that were not accepted.', 'reason');

  const requests = counter('http_requests_total', 'Requests to capture answered.', 'method', 'path', 'status');
  const seconds = histogram('http_requests_duration_seconds', 'Time from headers to answer.', REQUEST_SECONDS, 'method', 'path', 'status');
  const connections = gauge('capture_active_connections', 'Connections that a request came over and that are open.');
  const waiting = gauge('troupe_capture_waiting_requests', 'Requests that wait for their turn (CONCURRENCY_LIMIT).');
  const stalls = counter('capture_body_read_timeout_total', 'Uploads that stopped.', 'path');
  const drains = counter(
    'capture_rejected_body_drain_total',
    'Refused uploads, by what became of their rest.',
    'path',
    'outcome',
    'reason',
  );
  const received = counter('capture_events_received_total', 'Events in requests that could be read.');
  const dropped = counter('capture_events_dropped_total', 'Events left out or refused; a request that could not be read is one.', 'cause');
  const errors = counter('capture_error_by_stage_and_type', 'Requests refused, before their events were known or after.', 'error', 'stage');

  const rawSize = histogram('capture_raw_payload_size', 'Bytes of payloads as sent.', PAYLOAD_BYTES);
  const fullSize = histogram(
    'capture_full_payload_size',
    'Bytes of payloads unpacked; the limit when they had more.',
    PAYLOAD_BYTES,
    'oversize',
  );
  const gzipRatio = histogram('capture_gzip_decompression_ratio', 'How many times larger gzip became.', RATIOS);
  const lz64Ratio = histogram('capture_lz64_decompression_ratio', 'How many times larger lz64 became.', RATIOS);
  const exceeded = counter('capture_payload_size_exceeded', 'Payloads above their limit once unpacked.', 'kind');

  return {
    ...captureBatchMetrics(makers),
    ...captureLimitMetrics(makers),
    'capture-events-dropped': ({ cause, count }) => dropped.inc({ cause }, count),
    'capture-requests-waiting-changed': ({ count }) => waiting.set(count),
    'capture-connections-changed': ({ count }) => connections.set(count),
    'capture-body-drained': ({ path, outcome, reason }) => drains.inc({ path: labelOf(path), outcome, reason }),
    'capture-payload-decoded'({ encoding, wireBytes, decodedBytes, limitBytes }) {
      rawSize.observe(wireBytes);
      fullSize.observe({ oversize: String(decodedBytes === undefined) }, decodedBytes ?? limitBytes);
      if (decodedBytes === undefined) exceeded.inc({ kind: encoding });
      else if (wireBytes > 0 && encoding === 'gzip') gzipRatio.observe(decodedBytes / wireBytes);
      else if (wireBytes > 0 && encoding === 'lz64') lz64Ratio.observe(decodedBytes / wireBytes);
    },
    'capture-request-answered'({ method, path, status, events, bytes, durationMs, reason }) {
      const label = labelOf(path);
      const labels = { method: METHODS.has(method) ? method : 'other', path: label, status };
      captureRequests.inc({ path: label, status });
      captureSeconds.observe({ path: label }, durationMs / 1_000);
      captureBytes.inc(bytes);
      requests.inc(labels);
      seconds.observe(labels, durationMs / 1_000);
      received.inc(events);
      if (reason === undefined) return;
      captureRefused.inc({ reason });
      if (reason === 'body_read_timeout') stalls.inc({ path: label });
      // A path or a method that nobody serves has no events.
      if (label === 'other' || status === 405) return;
      errors.inc({ error: reason, stage: events === 0 ? 'parsing' : 'processing' });
      // What is to be sent again is not lost.
      if (status >= 400 && status < 500) dropped.inc({ cause: reason }, Math.max(1, events));
    },
  };
}

function labelOf(path: string): string {
  const plain = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
  return CAPTURE_PATHS.has(plain) ? plain : 'other';
}
