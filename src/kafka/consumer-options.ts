import type { Clock } from '../runtime/clock.ts';
import type { PodPlace } from './assigner.ts';
import type { KafkaConnection } from './connection.ts';

export interface KafkaConsumerOptions {
  readonly connection: KafkaConnection;
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly clock: Clock;
  /** The pod's place in its StatefulSet; undefined outside of one. */
  readonly place?: PodPlace | undefined;
  /** The group expels a member that is silent for so long. */
  readonly sessionTimeoutMs?: number;
  /** How long the group waits for its members to give up work in a rebalance. */
  readonly rebalanceTimeoutMs?: number;
  readonly heartbeatIntervalMs?: number;
  /** How long a broker may hold an empty answer back, and so the delay of joins and stops. */
  readonly maxWaitMs?: number;
  /** What one fetch may bring of one partition, unless a single record batch is larger. */
  readonly maxBatchBytes?: number;
  /** What one fetch may bring in all. */
  readonly maxFetchBytes?: number;
  /** Where this process stands, for brokers whose replica selector looks at it: fetches then go to the replica there. */
  readonly rack?: string | undefined;
  /** Wait before the first repetition of a request that failed. */
  readonly firstRetryMs?: number;
  /** How often partitions that a topic has got are looked for. Default: that of kafkajs, five minutes. */
  readonly metadataRefreshMs?: number | undefined;
  /** How long a topic may be unknown before `start` rejects: one that was just made is not known to every broker. */
  readonly topicTimeoutMs?: number;
  readonly partitionsConsumedConcurrently?: number;
  /** How long a batch may wait for its acceptance before its partition is set aside. */
  readonly acceptanceGraceMs?: number;
  /** How long `revoked` may take in a rebalance; below `rebalanceTimeoutMs`. */
  readonly revokeTimeoutMs?: number;
  /** How long a commit may look for its coordinator. */
  readonly commitTimeoutMs?: number;
  /** How long `stop` may take. */
  readonly stopTimeoutMs?: number;
}

export const CONSUMER_DEFAULTS = {
  sessionTimeoutMs: 45_000,
  rebalanceTimeoutMs: 60_000,
  heartbeatIntervalMs: 3_000,
  maxWaitMs: 150,
  maxBatchBytes: 512 * 1024,
  maxFetchBytes: 8 * 1024 * 1024,
  firstRetryMs: 100,
  topicTimeoutMs: 15_000,
  partitionsConsumedConcurrently: 8,
  acceptanceGraceMs: 100,
  revokeTimeoutMs: 30_000,
  commitTimeoutMs: 10_000,
  stopTimeoutMs: 45_000,
} as const satisfies Partial<KafkaConsumerOptions>;
