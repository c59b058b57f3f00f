/** What stands before and around capture: TLS, signatures, masking, the operator's own plugins. */
import { SECONDS, type FactListeners, type Makers } from '../makers.ts';

export function guardMetrics({ counter, gauge, histogram }: Makers): FactListeners {
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
  const workers = gauge('troupe_workers', 'Capture workers that serve.');
  const deaths = counter('troupe_worker_died_total', 'Workers that ended without being told to.');
  const signatures = counter(
    'troupe_capture_signatures_total',
    'Requests by their signature, where signatures are looked at.',
    'outcome',
    'key',
  );
  const masked = counter('troupe_capture_masked_total', 'Properties taken away or replaced, and findings of detectors in events.', 'how');
  const calls = counter('troupe_capture_plugin_calls_total', "Calls of capture's plugins by their end.", 'plugin', 'outcome');
  const callSeconds = histogram('troupe_capture_plugin_duration_seconds', 'Time that a request spent with a plugin.', SECONDS, 'plugin');
  const failures = counter('troupe_capture_plugin_failed_total', "Calls of capture's plugins that failed.", 'plugin', 'why');
  const suspended = gauge('troupe_capture_plugin_suspended', '1 while nobody calls the plugin because it failed too often.', 'plugin');

  return {
    'http-certificate-taken': ({ server, expiresAtMs }) => expires.set({ server }, expiresAtMs / 1_000),
    'http-certificate-refused': ({ server }) => refused.inc({ server }),
    'http-handshake-failed': () => handshakes.inc(),
    'http-connection-refused': (labels) => turnedAway.inc(labels),
    'worker-started': ({ upCount }) => workers.set(upCount),
    'worker-ended'({ upCount, isAsked }) {
      workers.set(upCount);
      if (!isAsked) deaths.inc();
    },
    'capture-signature-checked': ({ outcome, keyId = '' }) => signatures.inc({ outcome, key: keyId }),
    'capture-properties-masked': ({ how, count }) => masked.inc({ how }, count),
    'capture-plugin-called'({ plugin, done, failed, skipped, durationMs }) {
      for (const [outcome, count] of Object.entries({ done, failed, skipped })) if (count > 0) calls.inc({ plugin, outcome }, count);
      if (done + failed > 0) callSeconds.observe({ plugin }, durationMs / 1_000);
    },
    'capture-plugin-failed': ({ plugin, why }) => failures.inc({ plugin, why }),
    'capture-plugin-suspended': ({ plugin }) => suspended.set({ plugin }, 1),
    'capture-plugin-resumed': ({ plugin }) => suspended.set({ plugin }, 0),
  };
}
