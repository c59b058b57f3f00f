import type { TopicPartition } from '../../domain/ids.ts';
import type { ConsumerHandlers, RecordConsumer } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import { createBell, type Bell } from './bell.ts';
import type { Coordinator, Member } from './coordinator.ts';
import type { LogCursor } from './cursor.ts';
import type { PartitionLog } from './partition.ts';

/**
 * Role: one member of a consumer group, reading the log of this process.
 *
 *     idle ──start──▶ joined ⇄ (assigned → batch* → revoked) ──stop──▶ stopped
 *                        └──a handler or a read failed──▶ crashed
 *
 * I1 `assigned` has resolved before the first `batch` of its generation; no `batch` begins after `revoked` was called.
 * I2 One `batch` at a time per partition, in offset order; partitions do not wait for each other.
 * I3 A commit counts under the generation in force, until its `revoked` has resolved; any other is 'stale'.
 */
export interface ConsumerOptions {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** Size of a batch, in bytes as stored. Larger: fewer turns, more memory per partition. */
  readonly maxBatchBytes: number;
  /** How long a rebalance waits for `assigned` and `revoked`; then it goes on without this member's answer. */
  readonly revokeLimitMs: number;
  readonly clock: Clock;
  readonly coordinator: Coordinator;
  readonly partitionLog: (of: TopicPartition) => PartitionLog;
  /** Called after each durable commit: retention. */
  readonly committed: (watermarks: readonly TopicPartition[]) => void;
}

/** What a consumer holds under one generation. */
interface Session {
  readonly generation: number;
  readonly lanes: Map<string, Lane>;
  taken: Promise<void>;
  delivering: boolean;
  mayCommit: boolean;
}

interface Lane {
  readonly bell: Bell;
  cursor?: LogCursor;
}

export function createConsumer(options: ConsumerOptions): RecordConsumer {
  const { clock, coordinator, memberId, maxBatchBytes, revokeLimitMs } = options;
  const paused = new Set<string>();
  let handlers: ConsumerHandlers | undefined;
  let session: Session | undefined;
  /** When it was last a member, or began to be one. */
  let heldAtMs = -Infinity;
  let stopped: Promise<void> | undefined;

  /** No batch follows; partitions stay with this member until it stops, so that nobody else reads them meanwhile. */
  function crash(error: Error): void {
    endDeliveries();
    state('kafka-consumer-crashed', { groupId: coordinator.store.groupId, message: error.message });
    handlers?.crashed(error);
  }

  function endDeliveries(): void {
    if (session === undefined) return;
    session.delivering = false;
    for (const { bell } of session.lanes.values()) bell.ring();
  }

  /** Resolves when `step` did or the limit passed: a member that hangs must not hold up the group for ever. */
  function bounded(step: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const limit = clock.after(revokeLimitMs, resolve);
      step.then(resolve, reject).finally(() => limit.cancel());
    });
  }

  async function deliver(of: Session, where: TopicPartition, lane: Lane, to: ConsumerHandlers): Promise<void> {
    const log = options.partitionLog(where);
    const { store } = coordinator;
    const unsubscribe = log.onAppend(() => lane.bell.ring());
    try {
      const cursor = (lane.cursor = await log.cursor(store.committed(where.topic, where.partition) ?? log.startOffset()));
      while (of.delivering) {
        const records = paused.has(keyOf(where)) ? [] : await cursor.next(maxBatchBytes);
        if (records.length === 0) {
          await lane.bell.wait();
          continue;
        }
        while (of.delivering && paused.has(keyOf(where))) await lane.bell.wait();
        if (of.delivering) await to.batch({ ...where, generation: of.generation, records, highWatermark: log.endOffset() });
      }
    } catch (error) {
      if (of.delivering) crash(error as Error);
    } finally {
      unsubscribe();
      await lane.cursor?.close();
    }
  }

  async function takeOver(of: Session, partitions: readonly TopicPartition[], to: ConsumerHandlers): Promise<void> {
    const { store } = coordinator;
    await to.assigned({
      generation: of.generation,
      memberId,
      partitions: partitions.map((where) => ({ ...where, committed: store.committed(where.topic, where.partition) })),
    });
    if (!of.delivering) return;
    for (const where of partitions) {
      const lane: Lane = { bell: createBell() };
      of.lanes.set(keyOf(where), lane);
      void deliver(of, where, lane, to);
    }
  }

  const member: Member = {
    topics: options.topics,
    take(generation, partitions) {
      if (handlers === undefined) return;
      const begun: Session = { generation, lanes: new Map(), taken: Promise.resolve(), delivering: true, mayCommit: true };
      session = begun;
      begun.taken = takeOver(begun, partitions, handlers).catch((error: unknown) => crash(error as Error));
    },
    async giveUp() {
      const ended = session;
      if (ended === undefined || handlers === undefined) return;
      endDeliveries();
      try {
        await bounded(ended.taken);
        await bounded(handlers.revoked(ended.generation));
      } catch (error) {
        crash(error as Error);
      }
      ended.mayCommit = false;
      session = undefined;
      heldAtMs = clock.monotonic();
      paused.clear();
      await Promise.all([...ended.lanes.values()].map(async (lane) => lane.cursor?.close()));
    },
    fail: crash,
  };

  function wake(partitions: readonly TopicPartition[]): void {
    for (const where of partitions) session?.lanes.get(keyOf(where))?.bell.ring();
  }

  return {
    async start(to) {
      if (handlers !== undefined) throw new Error('a consumer starts once; make a new one');
      for (const topic of options.topics) options.partitionLog({ topic, partition: 0 });
      handlers = to;
      heldAtMs = clock.monotonic();
      await coordinator.join(member);
    },
    async commit(generation, watermarks) {
      if (session?.generation !== generation || !session.mayCommit) return 'stale';
      await coordinator.store.commit(watermarks);
      options.committed(watermarks);
      return 'committed';
    },
    // The coordinator lives in this process: membership is confirmed by being alive, and ends with `stop`.
    sinceHeartbeatMs: () => (session === undefined ? Infinity : 0),
    // Reading is a matter of this process as well: a read that fails crashes the consumer.
    sincePollMs: () => (session === undefined ? clock.monotonic() - heldAtMs : 0),
    pause(partitions) {
      for (const where of partitions) paused.add(keyOf(where));
    },
    resume(partitions) {
      for (const where of partitions) paused.delete(keyOf(where));
      wake(partitions);
    },
    stop() {
      stopped ??= handlers === undefined ? Promise.resolve() : coordinator.leave(member);
      return stopped;
    },
  };
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
