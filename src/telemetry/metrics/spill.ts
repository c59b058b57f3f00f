/** Records that went through the spill (spec/capture.md 16.2, row 11). Topics are a closed set: those that capture writes. */
import { SECONDS, type FactListeners, type Makers } from '../makers.ts';

export function spillMetrics({ counter, gauge, histogram }: Makers): FactListeners {
  const written = counter('spill_written_total', 'Records made durable in the spill because Kafka did not take them.', 'topic');
  const replayed = counter('spill_replayed_total', 'Records of the spill, of this life or another one, that Kafka acknowledged.', 'topic');
  const replayFailed = counter('troupe_spill_replay_failed_total', 'Replays that Kafka or the disk broke off.', 'topic', 'code');
  const pending = gauge('spill_pending_total', 'Records of this process that wait in the spill.', 'topic');
  const writeSeconds = histogram('troupe_spill_write_duration_seconds', 'Time until the records of a request were on disk.', SECONDS);
  const refused = counter('troupe_spill_refused_total', 'Records that the spill did not take either.', 'topic', 'code');
  const diverted = gauge('troupe_spill_diverted', '1 while records of the topic go through the spill.', 'topic');
  const failedEntries = counter('troupe_putmessage_failed_total', 'Messages of /putmessage that went to the spill.', 'topic', 'retryable');
  const refusedLate = counter('troupe_putmessage_lost_total', 'Messages answered before Kafka that were too large for it.', 'topic');
  // PostHog's names for a second sink (spec/capture.md 10); here that is the spill.
  const health = gauge('capture_primary_sink_health', '0 while records of any topic go through the spill, else 1.');
  const failovers = counter('capture_fallback_sink_failovers_total', 'Times that records of a topic began to go through the spill.');
  const divertedTopics = new Set<string>();
  health.set(1);
  const adopted = counter('troupe_spill_adopted_total', 'Folders of dead lives that this process took over.');
  const kept = counter('troupe_spill_segment_kept_total', 'Segments that a person has to look at.', 'reason');

  return {
    'putmessage-batch-failed': ({ topic, entries, isRetryable }) =>
      failedEntries.inc({ topic, retryable: String(isRetryable) }, entries / 2),
    'putmessage-refused-late': ({ topic }) => refusedLate.inc({ topic }),
    'spill-diverted'({ topic }) {
      diverted.set({ topic }, 1);
      divertedTopics.add(topic);
      health.set(0);
      failovers.inc();
    },
    'spill-returned'({ topic }) {
      diverted.set({ topic }, 0);
      divertedTopics.delete(topic);
      health.set(divertedTopics.size === 0 ? 1 : 0);
    },
    'spill-written'({ topic, records, durationMs }) {
      written.inc({ topic }, records);
      writeSeconds.observe(durationMs / 1_000);
    },
    'spill-refused': ({ topic, records, code }) => refused.inc({ topic, code }, records),
    'spill-pending-changed': ({ topic, records }) => pending.set({ topic }, records),
    'spill-replayed': ({ topic, records }) => replayed.inc({ topic }, records),
    'spill-replay-failed': ({ topic, code }) => replayFailed.inc({ topic, code }),
    'spill-adopted': () => adopted.inc(),
    'spill-segment-kept': ({ reason }) => kept.inc({ reason }),
  };
}
