/** What stands before and around capture: TLS, signatures, masking, the operator's own plugins. */
import type { FactListeners, Makers } from '../makers.ts';

export function guardMetrics({ counter, gauge }: Makers): FactListeners {
  const expires = gauge(
    'troupe_http_certificate_expires_timestamp_seconds',
    'When the certificate ends that is shown to clients.',
    'server',
  );
  const refused = counter(
    'troupe_http_certificate_refused_total',
    'Changed certificates that could not be used; the old one stayed.',
    'server',
  );
  const handshakes = counter('troupe_http_handshake_failed_total', 'TLS handshakes of clients that came to nothing.');
  const turnedAway = counter(
    'troupe_http_refused_total',
    'Connections and requests that were turned away before a handler saw them.',
    'server',
    'reason',
  );
  const signatures = counter(
    'troupe_capture_signatures_total',
    'Requests by their signature, where signatures are looked at.',
    'outcome',
    'key',
  );
  const masked = counter('troupe_capture_masked_total', 'Properties taken away or replaced, and findings of detectors in events.', 'how');

  return {
    'http-certificate-taken': ({ server, expiresAtMs }) => expires.set({ server }, expiresAtMs / 1_000),
    'http-certificate-refused': ({ server }) => refused.inc({ server }),
    'http-handshake-failed': () => handshakes.inc(),
    'http-connection-refused': (labels) => turnedAway.inc(labels),
    'capture-signature-checked': ({ outcome, keyId = '' }) => signatures.inc({ outcome, key: keyId }),
    'capture-properties-masked': ({ how, count }) => masked.inc({ how }, count),
  };
}
