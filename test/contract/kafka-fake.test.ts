import { systemClock } from '../../src/runtime/clock.ts';
import { createFakeKafka } from '../kit/fake-kafka.ts';
import { describeRecordLog } from './kafka-log.ts';

describeRecordLog(
  'fake Kafka',
  () => {
    const kafka = createFakeKafka({ clock: systemClock });
    let memberCount = 0;
    return Promise.resolve({
      admin: kafka.admin(),
      createProducer: (options = {}) => kafka.producer(options),
      createConsumer: (options) =>
        kafka.consumer({ ...options, memberId: `member-${++memberCount}`, clock: systemClock, heartbeatIntervalMs: 50 }),
      appendTombstone: (topic, key) => Promise.resolve(void kafka.append(topic, { key, value: null })),
      close: () => Promise.resolve(),
    });
  },
  { sharedGroups: true },
);
