import type { TopicPartition } from '../../src/domain/ids.ts';
import type { Clock, Timer } from '../../src/runtime/clock.ts';

/**
 * The coordinator of one group, as Kafka's classic eager protocol has it: everyone joins anew, then everyone is given its share.
 *
 *     empty ──join──▶ preparing ──all joined | rebalanceTimeoutMs──▶ stable ──join, leave, silence──▶ preparing
 */
export interface FakeGroup {
  readonly generation: number;
  /** Resolves when a generation with this member begins. */
  join(
    memberId: string,
    topics: readonly string[],
  ): Promise<{ readonly generation: number; readonly partitions: readonly TopicPartition[] }>;
  /** 'rebalance': the session is renewed, and the member must join anew. 'unknown': it is no member of this generation. */
  heartbeat(memberId: string, generation: number): 'ok' | 'rebalance' | 'unknown';
  commit(
    memberId: string,
    generation: number,
    watermarks: readonly (TopicPartition & { readonly offset: number })[],
  ): 'committed' | 'stale';
  committed(of: TopicPartition): number | undefined;
  leave(memberId: string): void;
  readonly memberCount: number;
  /** Listens to every commit that counts. */
  onCommit(run: (of: TopicPartition, offset: number) => void): void;
}

interface Member {
  readonly topics: readonly string[];
  joined: ((begun: { generation: number; partitions: TopicPartition[] }) => void) | undefined;
  session: Timer | undefined;
}

export function createFakeGroup(options: {
  readonly clock: Clock;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly partitionsOf: (topic: string) => readonly TopicPartition[];
}): FakeGroup {
  const { clock, sessionTimeoutMs, rebalanceTimeoutMs } = options;
  const members = new Map<string, Member>();
  const watermarks = new Map<string, number>();
  const listeners: ((of: TopicPartition, offset: number) => void)[] = [];
  let generation = 0;
  let isPreparing = false;
  let patience: Timer | undefined;

  function remove(memberId: string): void {
    members.get(memberId)?.session?.cancel();
    if (!members.delete(memberId)) return;
    if (members.size > 0) prepare();
    else isPreparing = false;
  }

  function renew(memberId: string, member: Member): void {
    member.session?.cancel();
    member.session = clock.after(sessionTimeoutMs, () => remove(memberId));
  }

  function prepare(): void {
    if (!isPreparing) {
      isPreparing = true;
      patience?.cancel();
      patience = clock.after(rebalanceTimeoutMs, () => {
        for (const [id, member] of [...members]) {
          if (member.joined !== undefined) continue;
          member.session?.cancel();
          members.delete(id);
        }
        begin();
      });
    }
    if ([...members.values()].every((member) => member.joined !== undefined)) begin();
  }

  function begin(): void {
    patience?.cancel();
    isPreparing = false;
    if (members.size === 0) return;
    generation++;
    const ids = [...members.keys()].sort();
    const shares = new Map(ids.map((id) => [id, [] as TopicPartition[]]));
    for (const topic of new Set([...members.values()].flatMap((member) => member.topics))) {
      const readers = ids.filter((id) => members.get(id)?.topics.includes(topic));
      for (const one of options.partitionsOf(topic)) shares.get(readers[one.partition % readers.length] ?? '')?.push(one);
    }
    for (const [id, member] of members) {
      renew(id, member);
      const { joined } = member;
      member.joined = undefined;
      joined?.({ generation, partitions: shares.get(id) ?? [] });
    }
  }

  return {
    get generation() {
      return generation;
    },
    get memberCount() {
      return members.size;
    },
    join(memberId, topics) {
      return new Promise((resolve) => {
        members.get(memberId)?.session?.cancel();
        members.delete(memberId);
        members.set(memberId, { topics, joined: resolve, session: undefined });
        prepare();
      });
    },
    heartbeat(memberId, of) {
      const member = members.get(memberId);
      if (member === undefined || of !== generation) return 'unknown';
      renew(memberId, member);
      return isPreparing ? 'rebalance' : 'ok';
    },
    commit(memberId, of, offsets) {
      if (!members.has(memberId) || of !== generation) return 'stale';
      for (const { topic, partition, offset } of offsets) {
        watermarks.set(`${topic}/${partition}`, offset);
        for (const run of listeners) run({ topic, partition }, offset);
      }
      return 'committed';
    },
    committed: ({ topic, partition }) => watermarks.get(`${topic}/${partition}`),
    leave: remove,
    onCommit: (run) => void listeners.push(run),
  };
}
