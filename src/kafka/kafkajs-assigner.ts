import kafkajs, { type Assigner, type PartitionAssigner } from 'kafkajs';
import { ASSIGNER_NAME, assignPartitions, decodePlace, encodePlace, type PodPlace } from './assigner.ts';

const VERSION = 0;

/** The ordinal-affine assignment (assigner.ts) in the words of kafkajs. Runs on the group's leader only. */
export function createOrdinalAffineAssigner({ cluster }: Parameters<PartitionAssigner>[0], place: PodPlace | undefined): Assigner {
  const { MemberMetadata, MemberAssignment } = kafkajs.AssignerProtocol;
  const userData = encodePlace(place);
  return {
    name: ASSIGNER_NAME,
    version: VERSION,
    protocol: ({ topics }) => ({
      name: ASSIGNER_NAME,
      metadata: MemberMetadata.encode({ version: VERSION, topics, userData }),
    }),
    assign({ members, topics }) {
      const partitions = topics.flatMap((topic) =>
        cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => ({ topic, partition: partitionId })),
      );
      const group = members.map(({ memberId, memberMetadata }) => {
        const told = MemberMetadata.decode(memberMetadata);
        return { memberId, topics: told?.topics ?? [], place: decodePlace(told?.userData ?? null) };
      });
      const owned = assignPartitions(group, partitions);
      const assignments = [...owned].map(([memberId, of]) => {
        const assignment: Record<string, number[]> = {};
        for (const { topic, partition } of of) (assignment[topic] ??= []).push(partition);
        return { memberId, memberAssignment: MemberAssignment.encode({ version: VERSION, assignment, userData: Buffer.alloc(0) }) };
      });
      return Promise.resolve(assignments);
    },
  };
}
