/** The settings of the running process, and the admin server: which are in force, and what came of reading them again. */
import type { FactListeners, Makers } from '../makers.ts';

export function configMetrics({ counter, gauge }: Makers): FactListeners {
  const generation = gauge('troupe_config_generation', 'Sets of settings that were in force since the start; 1 is the first.');
  const waiting = gauge('troupe_config_restart_needed', 'Settings that were changed and wait for a restart.');
  const reloads = counter('troupe_config_reloads_total', 'Times the settings were read again.', 'by', 'outcome');
  const admin = counter('troupe_admin_requests_total', 'Requests to the admin server; 401 is a wrong token or none.', 'path', 'status');
  return {
    'admin-request-answered': ({ path, status }) => admin.inc({ path, status }),
    'config-in-force'(fact) {
      generation.set(fact.generation);
      waiting.set(fact.waiting);
    },
    'config-reloaded': ({ by, applied }) => reloads.inc({ by, outcome: applied.length > 0 ? 'applied' : 'unchanged' }),
    'config-refused': ({ by }) => reloads.inc({ by, outcome: 'refused' }),
  };
}
