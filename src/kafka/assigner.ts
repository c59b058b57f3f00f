import type { TopicPartition } from '../domain/ids.ts';

/**
 * Which member of the group gets which partition: partition p belongs to the pod whose ordinal is p modulo the number of
 * replicas, so that a pod of a StatefulSet that comes back finds its own partitions, and its warm actors, again.
 * Partitions whose pod is absent go to the members with the least, always the same ones for the same set of members.
 * Pure; `kafkajs-assigner.ts` speaks it to kafkajs.
 */
export const ASSIGNER_NAME = 'troupe-ordinal-affine';

/** A pod's place in its StatefulSet. */
export interface PodPlace {
  readonly ordinal: number;
  readonly replicas: number;
}

export interface GroupMember {
  readonly memberId: string;
  readonly topics: readonly string[];
  /** Undefined for a member outside a StatefulSet. */
  readonly place: PodPlace | undefined;
}

/** What a member tells the leader about itself, inside the group protocol. */
export function encodePlace(place: PodPlace | undefined): Buffer {
  return place === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify({ ordinal: place.ordinal, replicas: place.replicas }));
}

/** Reads another member's {@link encodePlace}; whatever is not one (another version, nothing) is a member without a place. */
export function decodePlace(userData: Uint8Array | null): PodPlace | undefined {
  if (userData === null || userData.length === 0) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(userData).toString('utf8'));
  } catch {
    return undefined;
  }
  const { ordinal, replicas } = (parsed ?? {}) as { ordinal?: unknown; replicas?: unknown };
  if (!isCount(ordinal) || !isCount(replicas) || replicas === 0) return undefined;
  return { ordinal, replicas };
}

/**
 * The owner of every partition. Each is assigned to exactly one member that subscribed to its topic; the same input, in
 * any order, gives the same answer. While a StatefulSet is scaled, members disagree on `replicas`: the highest counts.
 */
export function assignPartitions(
  members: readonly GroupMember[],
  partitions: readonly TopicPartition[],
): ReadonlyMap<string, readonly TopicPartition[]> {
  const owned = new Map<string, TopicPartition[]>();
  const ranked = members.toSorted((a, b) => compare(a.memberId, b.memberId));
  for (const { memberId } of ranked) owned.set(memberId, []);
  const replicas = Math.max(0, ...ranked.map(({ place }) => place?.replicas ?? 0));

  const orphans: TopicPartition[] = [];
  for (const one of partitions.toSorted((a, b) => compare(a.topic, b.topic) || a.partition - b.partition)) {
    const home = ranked.find(({ place, topics }) => place?.ordinal === one.partition % replicas && topics.includes(one.topic));
    if (home === undefined) orphans.push(one);
    else owned.get(home.memberId)?.push(one);
  }
  for (const orphan of orphans) {
    const candidates = ranked.filter(({ topics }) => topics.includes(orphan.topic));
    const load = (member: GroupMember): number => owned.get(member.memberId)?.length ?? 0;
    // The tie goes by a hash of who and what, so that orphans of several topics do not all start at the same member.
    const [taker] = candidates.toSorted(
      (a, b) => load(a) - load(b) || weight(b, orphan) - weight(a, orphan) || compare(a.memberId, b.memberId),
    );
    if (taker !== undefined) owned.get(taker.memberId)?.push(orphan);
  }
  return owned;
}

/** Rendezvous weight: a pod keeps it over restarts, because its ordinal stands for it and not its member id. */
function weight(member: GroupMember, { topic, partition }: TopicPartition): number {
  const text = `${member.place?.ordinal ?? member.memberId}/${topic}/${partition}`;
  let hash = 0x811c9dc5; // FNV-1a
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
