/** Plugins, the sandbox they run in, and the database they may ask. */
import { SECONDS, type FactListeners, type Makers } from '../makers.ts';

export function pluginMetrics({ counter, gauge, histogram }: Makers): FactListeners {
  const pluginEvents = counter('troupe_plugin_events_total', 'Events given to a plugin.', 'plugin_config_id', 'status');
  const pluginSeconds = histogram('troupe_plugin_batch_duration_seconds', 'Time of one batch in a plugin.', SECONDS, 'plugin_config_id');
  const pluginQuarantined = counter('troupe_plugin_quarantined_total', 'Quarantines of a plugin.', 'plugin_config_id');
  const pluginLines = counter('plugin_log_entry', 'Lines of and about plugins that were sent (LG-3).', 'plugin_id', 'source');
  const pluginLinesDropped = counter('troupe_plugin_log_dropped_total', 'Lines of plugins that were not sent.', 'reason');
  const journalRefused = counter(
    'troupe_plugin_journal_refused_total',
    'Messages that the plugin journal did not take.',
    'message',
    'told',
  );
  const sandboxSeconds = histogram('troupe_sandbox_start_duration_seconds', 'Time to start a sandbox process.', SECONDS);
  const sandboxEnded = counter('troupe_sandbox_ended_total', 'Ends of sandbox processes.', 'reason');
  const geoipBuilt = gauge('troupe_geoip_built_timestamp_ms', 'When the GeoIP database in use was built.');
  const geoipRefused = counter('troupe_geoip_refused_total', 'GeoIP databases that were not taken.');

  return {
    'plugin-batch-invoked'({ pluginConfigId, events, failed, durationMs }) {
      pluginEvents.inc({ plugin_config_id: pluginConfigId, status: 'success' }, events - failed);
      pluginEvents.inc({ plugin_config_id: pluginConfigId, status: 'error' }, failed);
      pluginSeconds.observe({ plugin_config_id: pluginConfigId }, durationMs / 1_000);
    },
    'plugin-quarantined': ({ pluginConfigId }) => pluginQuarantined.inc({ plugin_config_id: pluginConfigId }),
    'plugin-log-written'({ pluginId, source, sent, lost, long, rate, refused }) {
      pluginLines.inc({ plugin_id: pluginId, source }, sent);
      for (const [reason, count] of Object.entries({ lost, long, rate, refused })) {
        if (count > 0) pluginLinesDropped.inc({ reason }, count);
      }
    },
    'plugin-journal-refused': ({ messageType, told }) => journalRefused.inc({ message: messageType, told }),
    'sandbox-started': ({ durationMs }) => sandboxSeconds.observe(durationMs / 1_000),
    'geoip-database-loaded': ({ builtAtMs }) => geoipBuilt.set(builtAtMs),
    'geoip-database-refused': () => geoipRefused.inc(),
    // The reason holds what the dying process wrote: fit for a log line, not for a label.
    'sandbox-ended': ({ reason, culprit }) =>
      sandboxEnded.inc({ reason: reason === 'closed' ? 'closed' : culprit === undefined ? 'died' : 'plugin' }),
  };
}
