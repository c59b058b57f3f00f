import { createRequire } from 'node:module';
import kafkajs from 'kafkajs';
import { protocolErrorOf } from './connection.ts';

/**
 * The one place that reaches behind the public face of kafkajs (2.2.4, pinned), because that face tells neither the
 * generation of a group, nor when it is about to be given up, nor lets a commit name its generation:
 *
 *   joinAndSync   every way into a generation: first join, rebalance, expelled, changed metadata
 *   leave         the way out
 *   heartbeat     what kafkajs asks between fetches; a rejection makes it join anew
 *
 * `watchGroups` puts a listener around them for the consumers of one cluster object, and corrects two things there:
 * a member with several fetchers joins once when several of them ask for it at the same moment; and when the leader of
 * a partition moves, it looks for the new one instead of making the whole group stop and join anew.
 */
export interface KafkajsGroup {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly cluster: { findGroupCoordinator(query: { groupId: string }): Promise<Coordinator>; refreshMetadata(): Promise<void> };
  /** Looked up by kafkajs at a join only; we replace it when it moves. */
  coordinator: Coordinator;
  readonly offsetManager: { nextOffset(topic: string, partition: number): { toString(): string } };
  assigned(): readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  heartbeat(options: { interval: number }): Promise<void>;
}

export interface Coordinator {
  heartbeat(member: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
  offsetCommit(commit: {
    groupId: string;
    groupGenerationId: number;
    memberId: string;
    topics: { topic: string; partitions: { partition: number; offset: string; metadata: string | null }[] }[];
  }): Promise<unknown>;
  offsetFetch(query: { groupId: string; topics: { topic: string; partitions: { partition: number }[] }[] }): Promise<{
    responses: { topic: string; partitions: { partition: number; offset: string }[] }[];
  }>;
}

export interface GroupListener {
  /** The member is about to join anew or to leave: the generation ends when this resolves. Rejecting refuses to join. */
  leaving(next: 'join' | 'leave'): Promise<void>;
  /** The member has a new generation; nothing was fetched in it. */
  joined(group: KafkajsGroup): void;
  /** The leader of a partition was looked up again; resolves when fetching may go on, so that no search runs hot. */
  leaderMoved(): Promise<void>;
}

interface ConsumerGroup extends KafkajsGroup {
  joinAndSync(): Promise<void>;
  leave(): Promise<void>;
  recoverFromFetch(error: unknown): Promise<void>;
}

const LEADER_MOVED = new Set(['LEADER_NOT_AVAILABLE', 'NOT_LEADER_FOR_PARTITION', 'FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH']);

const listeners = new WeakMap<object, GroupListener>();
const joins = new WeakMap<object, Promise<void>>();
let patched = false;

/** Puts `listener` around every group of `cluster`, the object that kafkajs hands to a partition assigner. */
export function watchGroups(cluster: object, listener: GroupListener): void {
  patch();
  listeners.set(cluster, listener);
}

function patch(): void {
  if (patched) return;
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/consumer/consumerGroup') as { prototype: ConsumerGroup };
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with their own `this` below
  const { joinAndSync, leave, heartbeat, recoverFromFetch } = prototype;
  for (const method of [joinAndSync, leave, heartbeat, recoverFromFetch]) {
    if (typeof method !== 'function') throw new Error('kafkajs changed inside: src/kafka/kafkajs-group.ts fits 2.2.4 only');
  }

  async function joinOnce(group: ConsumerGroup, listener: GroupListener): Promise<void> {
    await listener.leaving('join');
    await joinAndSync.call(group);
    listener.joined(group);
  }

  prototype.joinAndSync = function joinWatched(this: ConsumerGroup): Promise<void> {
    const listener = listeners.get(this.cluster);
    if (listener === undefined) return joinAndSync.call(this);
    let join = joins.get(this);
    if (join === undefined) {
      join = joinOnce(this, listener).finally(() => joins.delete(this));
      joins.set(this, join);
    }
    return join;
  };
  prototype.leave = async function leaveWatched(this: ConsumerGroup): Promise<void> {
    await listeners.get(this.cluster)?.leaving('leave');
    await leave.call(this);
  };
  prototype.recoverFromFetch = async function recoverWatched(this: ConsumerGroup, error: unknown): Promise<void> {
    const listener = listeners.get(this.cluster);
    if (listener === undefined || !LEADER_MOVED.has(protocolErrorOf(error) ?? '')) return recoverFromFetch.call(this, error);
    await this.cluster.refreshMetadata();
    await listener.leaderMoved();
  };
  patched = true;
}

/** What kafkajs must be told to make it join anew. */
export function rebalanceError(reason: string): Error {
  return Object.assign(new kafkajs.KafkaJSError(reason), { type: 'REBALANCE_IN_PROGRESS' });
}

/** An error that ends the run of a kafkajs consumer without another attempt. */
export function finalError(reason: string): Error {
  return new kafkajs.KafkaJSNonRetriableError(reason);
}
