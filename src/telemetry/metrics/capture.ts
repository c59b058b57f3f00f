/** Requests to capture, and what came of them. */
import { SECONDS, type FactListeners, type Makers } from '../makers.ts';

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
  '/putmessage',
  '/decide',
  '/flags',
]);

export function captureMetrics({ counter, histogram }: Makers): FactListeners {
  const captureRequests = counter('troupe_capture_requests_total', 'Requests answered.', 'path', 'status');
  const captureSeconds = histogram('troupe_capture_request_duration_seconds', 'Time from headers to answer.', SECONDS, 'path');
  const captureBytes = counter('troupe_capture_received_bytes_total', 'Bytes of request bodies as sent.');
  const captureReceived = counter('capture_events_received_total', 'Events in requests that could be read.');
  const captureRefused = counter('troupe_capture_refused_total', 'Requests that were not accepted.', 'reason');
  const dropped = counter('capture_events_dropped_total', 'Events that were answered 200 and left out.', 'cause');

  return {
    'capture-events-dropped': ({ cause, count }) => dropped.inc({ cause }, count),
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
}
