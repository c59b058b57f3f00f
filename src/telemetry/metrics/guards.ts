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

  return {
    'http-certificate-taken': ({ server, expiresAtMs }) => expires.set({ server }, expiresAtMs / 1_000),
    'http-certificate-refused': ({ server }) => refused.inc({ server }),
    'http-handshake-failed': () => handshakes.inc(),
  };
}
