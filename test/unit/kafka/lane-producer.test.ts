import { describe, expect, it } from 'vitest';
import { createLaneProducer, type KafkaProducerOptions } from '../../../src/kafka/lane-producer.ts';
import { sizeOf } from '../../../src/kafka/lanes.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../../src/kafka/port.ts';
import { createManualClock, settle, type ManualClock } from './manual-clock.ts';

const record = (key: string | null, value = 'v'): OutgoingRecord => ({
  key: key === null ? null : Buffer.from(key),
  value: Buffer.from(value),
});

interface Setup {
  readonly producer: RecordProducer;
  readonly clock: ManualClock;
  readonly sent: { topic: string; partition: number; values: string[] }[];
  counts: (topic: string) => Promise<number | undefined>;
  send: () => Promise<void>;
  closes: number;
}

function setup(options: Partial<KafkaProducerOptions> = {}): Setup {
  const clock = createManualClock();
  const made: Setup = {
    clock,
    sent: [],
    counts: () => Promise.resolve(4),
    send: () => Promise.resolve(),
    closes: 0,
    producer: createLaneProducer(
      {
        send(topic, partition, records) {
          made.sent.push({ topic, partition, values: records.map(({ value }) => value.toString()) });
          return made.send();
        },
        countPartitions: (topic) => made.counts(topic),
        close: () => Promise.resolve(void made.closes++),
      },
      { connection: { brokers: [], clientId: 'test' }, clock, lingerMs: 0, sendTimeoutMs: 1_000, ...options },
    ),
  };
  return made;
}
const failureOf = (send: Promise<void>): Promise<unknown> => send.then(() => 'sent', (error: unknown) => error); // prettier-ignore

describe('lane producer', () => {
  it('P1: refuses a record above the limit before any of its call is sent', async () => {
    const { producer, sent } = setup({ maxMessageBytes: 100 });
    expect(await failureOf(producer.send('t', [record('a'), record('b', 'x'.repeat(200))]))).toMatchObject({ code: 'too-large' });
    expect(sent).toEqual([]);
    expect(producer.queuedBytes()).toBe(0);
  });

  it('P1: refuses a call that does not fit in the queue as a whole, also while the topic is looked up', async () => {
    const one = setup({ maxQueuedBytes: 3 * sizeOf(record('a')) });
    const lookup = Promise.withResolvers<number>();
    one.counts = () => lookup.promise;
    const first = failureOf(one.producer.send('t', [record('a'), record('b')]));
    const second = failureOf(one.producer.send('t', [record('c'), record('d')]));
    const third = failureOf(one.producer.send('t', [record('e')]));
    expect(await second).toMatchObject({ code: 'queue-full' });
    lookup.resolve(1);
    expect([await first, await third]).toEqual(['sent', 'sent']);
    expect(one.producer.queuedBytes()).toBe(0);
  });

  it('P2: calls that wait for the lookup, and those made when it ends, stay in order', async () => {
    const one = setup();
    const lookup = Promise.withResolvers<number>();
    let lookups = 0;
    one.counts = () => (lookups++, lookup.promise);
    const sends = [one.producer.send('t', [record('k', '1')]), one.producer.send('t', [record('k', '2')])];
    void lookup.promise.then(() => sends.push(one.producer.send('t', [record('k', '3')])));
    lookup.resolve(4);
    await settle();
    sends.push(one.producer.send('t', [record('k', '4')]));
    await settle();
    await Promise.all(sends);
    expect(one.sent.flatMap(({ values }) => values)).toEqual(['1', '2', '3', '4']);
    expect(new Set(one.sent.map(({ partition }) => partition)).size).toBe(1);
    expect(lookups).toBe(1);
  });

  it('names a topic that does not exist, and finds it once it does', async () => {
    const one = setup();
    one.counts = () => Promise.resolve(undefined);
    const missing = failureOf(one.producer.send('missing', [record('a')]));
    await one.clock.advance(1_000); // a broker may not have heard of it yet
    expect(await missing).toMatchObject({ code: 'unknown-topic', message: "Kafka has no topic 'missing'." });
    const made = failureOf(one.producer.send('missing', [record('a')]));
    await one.clock.advance(600);
    one.counts = () => Promise.resolve(1);
    await one.clock.advance(200);
    expect(await made).toBe('sent');
  });

  it('asks again for a topic while no broker answers, until the deadline', async () => {
    const one = setup();
    let asked = 0;
    one.counts = () => (++asked < 3 ? Promise.reject(new Error('no broker')) : Promise.resolve(1));
    const send = failureOf(one.producer.send('t', [record('a')]));
    await one.clock.advance(500);
    expect(await send).toBe('sent');
    one.counts = () => Promise.reject(new Error('no broker'));
    const late = failureOf(one.producer.send('u', [record('a')]));
    await one.clock.advance(1_000);
    expect(await late).toMatchObject({ code: 'unavailable', cause: { message: 'no broker' } });
  });

  it('P3: sees that a topic grew, without holding up a call', async () => {
    const one = setup({ topicRefreshMs: 100 });
    one.counts = () => Promise.resolve(1);
    await one.producer.send('t', [record(null)]);
    one.counts = () => Promise.resolve(3);
    await one.clock.advance(100);
    await one.producer.send('t', [record(null)]);
    for (let n = 0; n < 3; n++) await one.producer.send('t', [record(null)]);
    expect(one.sent.map(({ partition }) => partition).slice(0, 2)).toEqual([0, 0]);
    expect(new Set(one.sent.slice(2).map(({ partition }) => partition)).size).toBe(3);
  });

  it('waits for every part of a call before it rejects', async () => {
    const one = setup();
    const slow = Promise.withResolvers<void>();
    one.send = () => (one.sent.length === 1 ? Promise.reject(new ProduceError('unavailable', 'refused')) : slow.promise);
    let ended = false;
    const send = failureOf(one.producer.send('t', [record(null), record(null)])).then((failure) => ((ended = true), failure));
    await settle();
    expect(ended).toBe(false);
    slow.resolve();
    expect(await send).toMatchObject({ code: 'unavailable' });
  });

  it('closes the client after the last acknowledgement, and takes nothing more', async () => {
    const one = setup();
    const slow = Promise.withResolvers<void>();
    one.send = () => slow.promise;
    const send = failureOf(one.producer.send('t', [record('a')]));
    const close = one.producer.close();
    expect(await failureOf(one.producer.send('t', [record('b')]))).toMatchObject({ code: 'unavailable' });
    await settle();
    expect(one.closes).toBe(0);
    slow.resolve();
    await close;
    await one.producer.close();
    expect([one.closes, await send]).toEqual([1, 'sent']);
  });
});
