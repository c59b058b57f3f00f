import type { TopicPartition } from '../../domain/ids.ts';
import { state } from '../../observe/facts.ts';
import type { GroupStore } from './group.ts';

/**
 * Role: the group coordinator: who of this process's consumers reads which partition of a group, under which generation.
 *
 * I1 One rebalance at a time; in it, everyone gives up before anyone is given something.
 * I2 Each rebalance has its own generation, durable before it is announced.
 * I3 A partition has one reader at most; partitions go to members in order of joining, as evenly as they divide.
 */
export interface Member {
  readonly topics: readonly string[];
  /** Stops deliveries and resolves when the member's `revoked` did. A member without an assignment resolves at once. */
  giveUp(): Promise<void>;
  /** Announces a new assignment; returns before the member took it over. */
  take(generation: number, partitions: readonly TopicPartition[]): void;
  fail(error: Error): void;
}

export interface Coordinator {
  readonly store: GroupStore;
  /** Resolves when a generation with this member began. */
  join(member: Member): Promise<void>;
  /** Resolves when the member has given up; the others then share what it had. */
  leave(member: Member): Promise<void>;
}

export function createCoordinator(store: GroupStore, partitionsOf: (topic: string) => number): Coordinator {
  const members: Member[] = [];
  let last: Promise<void> = Promise.resolve();

  function inTurn(step: () => Promise<void>): Promise<void> {
    const turn = last.then(step);
    last = turn.catch(() => undefined);
    return turn;
  }

  async function rebalance(): Promise<void> {
    await Promise.all(members.map((member) => member.giveUp()));
    if (members.length === 0) return;
    const topics = [...new Set(members.flatMap((member) => member.topics))].sort();
    let generation: number;
    try {
      generation = await store.beginGeneration(topics);
    } catch (cause) {
      const error = new Error(`the embedded log cannot store a new generation of group ${store.groupId}`, { cause });
      for (const member of members.splice(0)) member.fail(error);
      throw error;
    }
    const plan = new Map<Member, TopicPartition[]>(members.map((member) => [member, []]));
    for (const topic of topics) {
      const readers = members.filter((member) => member.topics.includes(topic));
      for (let partition = 0; partition < partitionsOf(topic); partition++) {
        const reader = readers[partition % readers.length];
        if (reader !== undefined) plan.get(reader)?.push({ topic, partition });
      }
    }
    for (const [member, partitions] of plan) {
      state('kafka-generation-changed', { groupId: store.groupId, generation, partitions: partitions.length });
      member.take(generation, partitions);
    }
  }

  return {
    store,
    join: (member) =>
      inTurn(() => {
        members.push(member);
        return rebalance();
      }),
    leave: (member) =>
      inTurn(async () => {
        const at = members.indexOf(member);
        if (at >= 0) members.splice(at, 1);
        await member.giveUp();
        if (at >= 0) await rebalance();
      }),
  };
}
