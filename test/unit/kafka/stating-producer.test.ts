import { afterEach, describe, expect, it } from 'vitest';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../../src/kafka/port.ts';
import { statingProducer } from '../../../src/kafka/stating-producer.ts';
import { observe } from '../../../src/observe/facts.ts';

const facts: unknown[] = [];
const ends = [
  observe('kafka-produce-queued', (fact) => facts.push(['queued', fact])),
  observe('kafka-produce-failed', (fact) => facts.push(['failed', fact])),
];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const record: OutgoingRecord = { key: null, value: Buffer.from('v') };

describe('a producer that states', () => {
  it('what it is given, what fails with its code, and hands on both answers as they are', async () => {
    const refusal = new ProduceError('queue-full', 'no');
    const answers = [Promise.resolve(), Promise.reject(refusal), Promise.reject(new RangeError('bug'))];
    const below: RecordProducer = {
      send: () => answers.shift() ?? Promise.resolve(),
      queuedBytes: () => 7,
      close: () => Promise.resolve(),
    };
    const producer = statingProducer(below);
    await producer.send('t', [record, record]);
    await expect(producer.send('t', [record])).rejects.toBe(refusal);
    await expect(producer.send('t', [record])).rejects.toThrow('bug');
    expect(producer.queuedBytes()).toBe(7);
    expect(facts).toEqual([
      ['queued', { topic: 't', records: 2 }],
      ['queued', { topic: 't', records: 1 }],
      ['failed', { topic: 't', records: 1, code: 'queue-full' }],
      ['queued', { topic: 't', records: 1 }],
      ['failed', { topic: 't', records: 1, code: 'unknown' }],
    ]);
  });
});
