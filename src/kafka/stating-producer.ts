import { state } from '../observe/facts.ts';
import { ProduceError, type RecordProducer } from './port.ts';

/** A producer that states what it is given and what it fails at; what is acknowledged, the producer below states per request. */
export function statingProducer(producer: RecordProducer): RecordProducer {
  return {
    ...producer,
    send(topic, records) {
      state('kafka-produce-queued', { topic, records: records.length });
      return producer.send(topic, records).catch((error: unknown) => {
        state('kafka-produce-failed', { topic, records: records.length, code: error instanceof ProduceError ? error.code : 'unknown' });
        throw error;
      });
    },
  };
}
