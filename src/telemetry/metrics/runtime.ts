/** Crashes, restarts and lost messages of actors. */
import type { FactListeners, Makers } from '../makers.ts';

export function runtimeMetrics({ counter }: Makers): FactListeners {
  const crashed = counter('troupe_runtime_actor_crashed_total', 'Crashes of actors.', 'kind', 'code');
  const restarted = counter('troupe_runtime_actor_restarted_total', 'Restarts of actors.', 'kind');
  const quarantined = counter('troupe_runtime_actor_quarantined_total', 'Quarantines of actors.', 'kind');
  const lostMessages = counter('troupe_runtime_message_dead_lettered_total', 'Messages that no actor took.', 'kind', 'reason');

  return {
    'runtime-actor-crashed': ({ kind, code }) => crashed.inc({ kind, code }),
    'runtime-actor-restarted': ({ kind }) => restarted.inc({ kind }),
    'runtime-actor-quarantined': ({ kind }) => quarantined.inc({ kind }),
    'runtime-message-dead-lettered': ({ kind, reason }) => lostMessages.inc({ kind, reason }),
  };
}
