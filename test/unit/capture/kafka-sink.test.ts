import { expect, test } from 'vitest';
import { createKafkaSink } from '../../../src/capture/kafka-sink.ts';
import { ProduceError, type OutgoingRecord } from '../../../src/kafka/port.ts';
import { manualClock } from '../../kit/clock.ts';
import { fakeProducer } from './kit.ts';

const record: OutgoingRecord = { key: Buffer.from('k'), value: Buffer.from('{"data":"{}"}') };
const REQUEST = new Map([
  ['main', [record]],
  ['exceptions', [record, record]],
]);

test('acknowledged means every topic', async () => {
  const producer = fakeProducer();
  const sink = createKafkaSink({ producer, clock: manualClock() });
  expect(await sink.send(REQUEST, 100)).toEqual({ type: 'acknowledged' });
  expect(producer.produced.map(({ topic }) => topic)).toEqual(['main', 'exceptions', 'exceptions']);
});

test('what one topic refused is missing, what another one took is not', async () => {
  const error = new ProduceError('unknown-topic', 'no such topic');
  const sink = createKafkaSink({
    producer: fakeProducer((topic) => (topic === 'main' ? Promise.resolve() : Promise.reject(error))),
    clock: manualClock(),
  });
  expect(await sink.send(REQUEST, 100)).toEqual({ type: 'unavailable', missing: new Map([['exceptions', [record, record]]]), error });
});

test('a topic that is late is missing when the time is up, and not before', async () => {
  const clock = manualClock();
  const sink = createKafkaSink({
    producer: fakeProducer((topic) => (topic === 'main' ? new Promise(() => undefined) : Promise.resolve())),
    clock,
  });
  let ended = false;
  const sending = sink.send(REQUEST, 100).finally(() => (ended = true));
  clock.advance(99);
  await new Promise((later) => setImmediate(later));
  expect(ended).toBe(false);
  clock.advance(1);
  expect(await sending).toMatchObject({ type: 'unavailable', missing: new Map([['main', [record]]]), error: { message: 'no acknowledgement within 100 ms' } }); // prettier-ignore
});

test('one record that Kafka finds too large names the whole request so, whatever else failed', async () => {
  const sink = createKafkaSink({
    producer: fakeProducer((topic) => Promise.reject(new ProduceError(topic === 'main' ? 'unavailable' : 'too-large', topic))),
    clock: manualClock(),
  });
  expect(await sink.send(REQUEST, 100)).toEqual({ type: 'too-large', detail: 'exceptions' });
});

test('nothing to send is acknowledged without a call', async () => {
  const sink = createKafkaSink({ producer: fakeProducer(() => Promise.reject(new Error('called'))), clock: manualClock() });
  expect(await sink.send(new Map(), 100)).toEqual({ type: 'acknowledged' });
});
