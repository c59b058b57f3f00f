import type { Output } from '../../supervisors/output.ts';
import { ProduceError, type TopicAdmin } from '../kafka/port.ts';

/** Where an input partition ends, for the takeover of it. */
export function endOffsetFrom(admin: Pick<TopicAdmin, 'endOffsets'>): Output['endOffset'] {
  return async ({ topic, partition }) => {
    const ends = await admin.endOffsets(topic).catch((cause: unknown) => {
      throw new ProduceError('unavailable', `No broker told where topic '${topic}' ends.`, { cause });
    });
    const end = ends.find((one) => one.partition === partition);
    if (end === undefined) throw new ProduceError('unavailable', `No broker knows of partition ${partition} of topic '${topic}'.`);
    return end.offset;
  };
}
