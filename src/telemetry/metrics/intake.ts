/** What is read, and how far it is done: routers, consumer groups, what is odd about events. */
import { COUNTS, type FactListeners, type Makers } from '../makers.ts';

/** @param groupId of `consumed_batch_size` and `latest_processed_timestamp_ms` */
export function intakeMetrics({ counter, gauge, histogram }: Makers, groupId: string): FactListeners {
  const recordsRead = counter('kafka_consumer_messages_read_total', 'Records fetched.', 'topic_name');
  const batchSize = histogram('consumed_batch_size', 'Records of one fetched batch.', COUNTS, 'topic', 'groupId');
  const readBytes = counter('troupe_router_read_bytes_total', 'Bytes of the values of fetched records.', 'topic');
  const lag = gauge('troupe_router_lag_records', 'Records between the watermark and the end of the partition.', 'topic', 'partition');
  const partitions = gauge('kafka_absolute_partition_count', 'Partitions this process has.', 'topic');
  const committed = counter('ingestion_kafka_batch_committed_offsets', 'Watermarks committed.');
  const watermark = gauge('troupe_router_watermark_offset', 'The offset committed last.', 'topic', 'partition');
  const latestTimestamp = gauge(
    'latest_processed_timestamp_ms',
    'Kafka timestamp of the newest record below the watermark.',
    'topic',
    'partition',
    'groupId',
  );
  const waiting = gauge('troupe_router_waiting', '1 while the partition waits.', 'topic', 'partition');
  const waits = counter('troupe_router_waits_total', 'Times a partition began to wait.', 'topic', 'reason');
  const keyOverflowed = counter(
    'ingestion_partition_key_overflowed',
    'Records found here to be too many of their key, by the team that the key belongs to.',
    'partition_key',
  );
  const consumerEvents = counter('kafka_consumer_event_total', 'Events of the consumer.', 'event');
  const generation = gauge('troupe_kafka_generation', 'Generation of a consumer group that this process last joined.', 'group');
  const hasAuth = counter(
    'ingestion_event_hasauthinfo_total',
    'Records by what they name their team by (T-7).',
    'team_id_present',
    'token_present',
  );
  const unmarked = counter('troupe_exception_without_fingerprint_total', 'Exceptions that say nothing to make a fingerprint of (X-1).');
  const setsOutside = counter('set_usage_in_non_person_events', 'Events that set person properties and are not about a person (K-23).');
  const surrogates = counter('surrogates_substituted_total', 'Texts with half a surrogate pair (N-21).');
  const invalidTimestamps = counter('invalid_timestamp_total', 'Timestamps that were set right (TS-9).', 'type');
  const elements = counter('events_pipeline_elements_or_elements_chain_total', 'Events with elements, by their form (E-1).', 'type');

  return {
    'router-auth-seen'({ neither, token, teamId, both }) {
      const note = (team_id_present: string, token_present: string, count: number): void => {
        if (count > 0) hasAuth.inc({ team_id_present, token_present }, count);
      };
      note('false', 'false', neither);
      note('false', 'true', token);
      note('true', 'false', teamId);
      note('true', 'true', both);
    },
    'event-findings-counted'({ counts }) {
      setsOutside.inc(counts['set-outside-person-event'] ?? 0);
      unmarked.inc(counts['exception-without-fingerprint'] ?? 0);
      surrogates.inc(counts['surrogates-substituted'] ?? 0);
      invalidTimestamps.inc({ type: 'ignored_invalid_timestamp' }, counts['timestamp-ignored'] ?? 0);
      invalidTimestamps.inc({ type: 'event_timestamp_in_future' }, counts['timestamp-in-future'] ?? 0);
      elements.inc({ type: 'elements' }, counts['elements'] ?? 0);
      elements.inc({ type: 'elements_chain' }, counts['elements-chain'] ?? 0);
    },
    'router-batch-read'({ topic, records, bytes }) {
      recordsRead.inc({ topic_name: topic }, records);
      batchSize.observe({ topic, groupId }, records);
      readBytes.inc({ topic }, bytes);
    },
    'router-lag-measured': ({ topic, partition, lag: behind }) => lag.set({ topic, partition }, behind),
    'router-partition-assigned': ({ topic }) => partitions.inc({ topic }),
    'router-partition-revoked'({ topic, partition }) {
      partitions.dec({ topic });
      // Another process has the partition now: a value kept here would contradict its.
      lag.remove({ topic, partition });
      watermark.remove({ topic, partition });
      waiting.remove({ topic, partition });
      latestTimestamp.remove({ topic, partition, groupId });
    },
    'router-watermark-committed'({ topic, partition, offset, messageTimestampMs }) {
      committed.inc();
      watermark.set({ topic, partition }, offset);
      latestTimestamp.set({ topic, partition, groupId }, messageTimestampMs);
    },
    'router-backpressure-changed'({ topic, partition, waiting: waits_, reason }) {
      waiting.set({ topic, partition }, waits_ ? 1 : 0);
      if (waits_) waits.inc({ topic, reason });
    },
    'router-keys-overflowed': ({ teamId, records }) =>
      // PostHog's label is the token where there is no team id; a token belongs in no metric, and clients could make any number of them.
      keyOverflowed.inc({ partition_key: teamId === undefined ? 'unknown' : String(teamId) }, records),
    'kafka-consumer-crashed': () => consumerEvents.inc({ event: 'crash' }),
    'kafka-generation-changed'({ groupId: group, generation: current }) {
      consumerEvents.inc({ event: 'rebalance' });
      generation.set({ group }, current);
    },
  };
}
