import type { TopicPartition } from '../domain/ids.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { asError, protocolErrorOf } from './connection.ts';
import { rebalanceError, type Coordinator, type KafkajsGroup } from './kafkajs-group.ts';

/**
 * One generation of our membership in a group: its heartbeats, its commits, its end. All requests name this generation,
 * so that none of them can act for a later one.
 *
 * States: held → over (work must stop) → released (nothing may be committed any more). Never back.
 *
 * M1  A heartbeat is sent every `heartbeatIntervalMs` until released, whether or not records flow.
 * M2  While `sinceConfirmedMs` is below the session timeout, the group cannot have given our partitions to another. It counts from
 *     when a confirmed heartbeat was SENT: the coordinator's own count began later. Before the first one it is Infinity: the answer
 *     to a join says nothing of now, for a process that was stopped may read it a session later. A heartbeat answered "join anew"
 *     renews the session, but the member is expelled `rebalanceTimeoutMs` after the rebalance began, which was after the last "ok".
 * M3  A coordinator that moved is looked for and asked again: its move alone ends no generation.
 * M4  Commits are sent one after the other, so that an older watermark never lands on a newer one.
 * M5  Silence of the coordinator for a whole session ends the generation: others may own its partitions by then.
 */
export interface Membership {
  readonly generation: number;
  readonly memberId: string;
  readonly partitions: readonly TopicPartition[];
  readonly over: boolean;
  readonly released: boolean;
  /** Resolves with the reason when the generation is over. Never rejects. */
  readonly ended: Promise<Error>;
  owns(topic: string, partition: number): boolean;
  end(reason: Error): void;
  /** From here on every commit is stale and no heartbeat is sent. Ends the generation if that has not happened. */
  release(): void;
  /** The group's committed offsets of our partitions, by `topic/partition`; absent where there is none. Asks until it knows or the generation is over, then undefined. */
  fetchCommitted(): Promise<ReadonlyMap<string, number> | undefined>;
  /** @throws Error when the coordinator gave no answer in time. */
  commit(watermarks: readonly (TopicPartition & { readonly offset: number })[]): Promise<'committed' | 'stale'>;
  sinceConfirmedMs(): number;
}

export interface MembershipOptions {
  readonly group: KafkajsGroup;
  readonly clock: Clock;
  readonly heartbeatIntervalMs: number;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** How long a commit may look for its coordinator. */
  readonly commitTimeoutMs: number;
}

/** Answers of the coordinator that mean: this generation is no more. */
const VERDICTS = new Set(['ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'REBALANCE_IN_PROGRESS', 'FENCED_INSTANCE_ID']);
/** Answers that mean: ask again, perhaps another broker. */
const MOVED = new Set(['NOT_COORDINATOR_FOR_GROUP', 'GROUP_COORDINATOR_NOT_AVAILABLE', 'GROUP_LOAD_IN_PROGRESS', 'REQUEST_TIMED_OUT']);
const RETRY_DELAY_MS = 100;

export const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`;

export function createMembership(options: MembershipOptions): Membership {
  const { group, clock, heartbeatIntervalMs, sessionTimeoutMs } = options;
  const { groupId, generationId: generation, memberId } = group;
  const partitions = group.assigned().flatMap(({ topic, partitions: of }) => of.map((partition) => ({ topic, partition })));
  const owned = new Set(partitions.map(({ topic, partition }) => keyOf(topic, partition)));
  const ended = Promise.withResolvers<Error>();
  let over = false;
  let released = false;
  let confirmedAt = clock.monotonic();
  /** When the last heartbeat was sent that met no rebalance. */
  let stableAt = -Infinity;
  let lastCommit: Promise<unknown> = Promise.resolve();
  let nextBeat: Timer | undefined;
  let watchdog: Timer | undefined;

  function end(reason: Error): void {
    if (over) return;
    over = true;
    ended.resolve(reason);
  }

  /** M2, M5 */
  function confirm(sentAt: number): void {
    confirmedAt = Math.max(confirmedAt, sentAt);
    watchdog?.cancel();
    const leftMs = sessionTimeoutMs - (clock.monotonic() - confirmedAt);
    if (!released)
      watchdog = clock.after(Math.max(0, leftMs), () => end(new Error(`no heartbeat was confirmed for ${sessionTimeoutMs} ms`)));
  }

  const pause = (delayMs: number): Promise<void> => new Promise((resolve) => void clock.after(delayMs, resolve));

  /** M3: asks the coordinator, wherever it is, until it answers or `untilMs` (monotonic) has passed. */
  async function ask<Answer>(question: (coordinator: Coordinator) => Promise<Answer>, untilMs: number): Promise<Answer> {
    for (;;) {
      try {
        return await question(group.coordinator);
      } catch (error) {
        const answer = protocolErrorOf(error);
        const another = answer === undefined || MOVED.has(answer);
        if (!another || released || clock.monotonic() + RETRY_DELAY_MS >= untilMs) throw error;
      }
      await pause(RETRY_DELAY_MS);
      try {
        group.coordinator = await group.cluster.findGroupCoordinator({ groupId });
      } catch (error) {
        if (clock.monotonic() >= untilMs) throw error; // otherwise the question above meets the same trouble and asks again
      }
    }
  }

  async function beat(): Promise<void> {
    let sentAt = clock.monotonic();
    try {
      await ask((coordinator) => {
        sentAt = clock.monotonic();
        return coordinator.heartbeat({ groupId, groupGenerationId: generation, memberId });
      }, sentAt + sessionTimeoutMs);
      stableAt = sentAt;
      confirm(sentAt);
    } catch (error) {
      const verdict = protocolErrorOf(error);
      // The coordinator renews the session of a member that it asks to join anew.
      if (verdict === 'REBALANCE_IN_PROGRESS') confirm(sentAt);
      if (verdict !== undefined && VERDICTS.has(verdict)) end(asError(error));
    }
    if (!released) nextBeat = clock.after(heartbeatIntervalMs, () => void beat());
  }

  async function commitNow(watermarks: readonly (TopicPartition & { readonly offset: number })[]): Promise<'committed' | 'stale'> {
    if (released) return 'stale';
    const byTopic = Map.groupBy(watermarks, ({ topic }) => topic);
    const topics = [...byTopic].map(([topic, of]) => ({
      topic,
      partitions: of.map(({ partition, offset }) => ({ partition, offset: String(offset), metadata: null })),
    }));
    const sentAt = clock.monotonic();
    try {
      await ask(
        (coordinator) => coordinator.offsetCommit({ groupId, groupGenerationId: generation, memberId, topics }),
        sentAt + options.commitTimeoutMs,
      );
      return 'committed';
    } catch (error) {
      const verdict = protocolErrorOf(error);
      if (verdict === undefined || !VERDICTS.has(verdict)) throw error;
      end(asError(error));
      return 'stale';
    }
  }

  // kafkajs asks for a heartbeat between its fetches. Ours run by themselves (M1): it learns only whether to join anew.
  group.heartbeat = () => (over ? Promise.reject(rebalanceError('the generation is over')) : Promise.resolve());
  confirm(confirmedAt);
  void beat();

  return {
    generation,
    memberId,
    partitions,
    get over() {
      return over;
    },
    get released() {
      return released;
    },
    ended: ended.promise,
    owns: (topic, partition) => owned.has(keyOf(topic, partition)),
    end,

    release() {
      released = true;
      nextBeat?.cancel();
      watchdog?.cancel();
      end(new Error('the generation was released'));
    },

    async fetchCommitted() {
      const byTopic = Map.groupBy(partitions, ({ topic }) => topic);
      const topics = [...byTopic].map(([topic, of]) => ({ topic, partitions: of.map(({ partition }) => ({ partition })) }));
      const committed = new Map<string, number>();
      while (!over) {
        if (topics.length === 0) return committed;
        try {
          const { responses } = await ask(
            (coordinator) => coordinator.offsetFetch({ groupId, topics }),
            clock.monotonic() + sessionTimeoutMs,
          );
          for (const { topic, partitions: of } of responses) {
            for (const { partition, offset } of of) {
              if (Number(offset) >= 0) committed.set(keyOf(topic, partition), Number(offset));
            }
          }
          return committed;
        } catch (error) {
          const answer = protocolErrorOf(error);
          if (answer !== undefined && !MOVED.has(answer)) throw error;
        }
      }
      return undefined;
    },

    commit(watermarks) {
      const commit = lastCommit.then(() => commitNow(watermarks));
      lastCommit = commit.catch(() => undefined); // its caller gets the rejection; the next commit is not held up by it
      return commit;
    },

    // M2
    sinceConfirmedMs: () =>
      clock.monotonic() - Math.min(confirmedAt, stableAt + Math.max(0, options.rebalanceTimeoutMs - sessionTimeoutMs)),
  };
}
