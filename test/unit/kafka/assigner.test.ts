import { describe, expect, it } from 'vitest';
import { assignPartitions, decodePlace, encodePlace, type GroupMember } from '../../../src/kafka/assigner.ts';

const pod = (ordinal: number, replicas: number, life = 'a', topics = ['events']): GroupMember => ({
  memberId: `troupe-${ordinal}-${life}`,
  topics,
  place: { ordinal, replicas },
});
const partitions = (count: number, topic = 'events'): { topic: string; partition: number }[] =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }));
function owners(members: readonly GroupMember[], of = partitions(12)): Record<string, number[]> {
  const owned = assignPartitions(members, of);
  return Object.fromEntries([...owned].map(([memberId, list]) => [memberId, list.map(({ partition }) => partition)]));
}

describe('ordinal-affine assignment', () => {
  it('gives partition p to the pod whose ordinal is p modulo the replicas', () => {
    expect(owners([pod(0, 3), pod(1, 3), pod(2, 3)])).toEqual({
      'troupe-0-a': [0, 3, 6, 9],
      'troupe-1-a': [1, 4, 7, 10],
      'troupe-2-a': [2, 5, 8, 11],
    });
  });

  it('moves only the partitions of a pod that is away, evenly, and gives them back when it returns', () => {
    const away = owners([pod(0, 3), pod(2, 3)]);
    expect(away['troupe-0-a']?.slice(0, 4)).toEqual([0, 3, 6, 9]);
    expect(away['troupe-2-a']?.slice(0, 4)).toEqual([2, 5, 8, 11]);
    expect([away['troupe-0-a']?.length, away['troupe-2-a']?.length]).toEqual([6, 6]);
    expect(owners([pod(0, 3), pod(1, 3, 'reborn'), pod(2, 3)])['troupe-1-reborn']).toEqual([1, 4, 7, 10]);
  });

  it('is the same for the same members in any order, and after a restart of a pod that stayed', () => {
    const members = [pod(0, 5), pod(1, 5), pod(3, 5)];
    expect(owners(members.toReversed())).toEqual(owners(members));
    const reborn = owners([pod(0, 5), pod(1, 5, 'z'), pod(3, 5)]);
    expect(Object.values(reborn)).toEqual(Object.values(owners(members)));
  });

  it('follows the highest replica count while pods of two revisions run', () => {
    expect(owners([pod(0, 2), pod(1, 2), pod(2, 3)], partitions(6))).toEqual({
      'troupe-0-a': [0, 3],
      'troupe-1-a': [1, 4],
      'troupe-2-a': [2, 5],
    });
  });

  it('spreads evenly over members without a place', () => {
    const members = ['x', 'y', 'z'].map((memberId) => ({ memberId, topics: ['events'], place: undefined }));
    expect(Object.values(owners(members, partitions(8))).map((list) => list.length).sort()).toEqual([2, 3, 3]); // prettier-ignore
    expect(Object.values(owners(members)).flat().sort((a, b) => a - b)).toEqual(partitions(12).map(({ partition }) => partition)); // prettier-ignore
  });

  it('gives a topic only to members that subscribed to it, and leaves it unassigned when nobody did', () => {
    const both = [...partitions(4), ...partitions(2, 'overflow'), ...partitions(1, 'unwanted')];
    const owned = assignPartitions([pod(0, 2, 'a', ['events', 'overflow']), pod(1, 2)], both);
    const ofPod1 = owned.get('troupe-1-a') ?? [];
    expect(ofPod1.every(({ topic }) => topic === 'events')).toBe(true);
    expect([...owned.values()].flat().length).toBe(6);
  });

  it('gives every partition one owner when two members claim one ordinal', () => {
    const owned = owners([pod(0, 2), pod(1, 2, 'old'), pod(1, 2, 'new')]);
    expect(Object.values(owned).flat().sort((a, b) => a - b)).toEqual(partitions(12).map(({ partition }) => partition)); // prettier-ignore
  });

  it('reads back the place it wrote, and nothing from anything else', () => {
    expect(decodePlace(encodePlace({ ordinal: 2, replicas: 5 }))).toEqual({ ordinal: 2, replicas: 5 });
    const others = ['', 'null', '[]', '{', '{"ordinal":-1,"replicas":3}', '{"ordinal":"1","replicas":3}', '{"ordinal":1,"replicas":0}'];
    for (const other of others) expect(decodePlace(Buffer.from(other))).toBeUndefined();
    expect(decodePlace(null)).toBeUndefined();
    expect(decodePlace(encodePlace(undefined))).toBeUndefined();
  });
});
