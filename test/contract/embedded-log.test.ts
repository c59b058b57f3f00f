import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEmbeddedLog } from '../../src/embedded/log.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { describeRecordLog } from './kafka-log.ts';

describeRecordLog(
  'embedded log',
  async () => {
    const dir = await mkdtemp(join(tmpdir(), 'troupe-log-'));
    // Small segments, so that the suite also crosses from one to the next.
    const log = await openEmbeddedLog({ dir, clock: systemClock, segmentBytes: 8_000 });
    return {
      admin: log.admin(),
      createProducer: ({ maxMessageBytes, maxQueuedBytes } = {}) =>
        log.producer({
          ...(maxMessageBytes === undefined ? {} : { maxRecordBytes: maxMessageBytes }),
          ...(maxQueuedBytes === undefined ? {} : { maxQueuedBytes }),
        }),
      createConsumer: (options) => log.consumer(options),
      async close() {
        await log.close();
        await rm(dir, { recursive: true });
      },
    };
  },
  { sharedGroups: true },
);
