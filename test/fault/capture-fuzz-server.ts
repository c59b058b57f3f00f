/**
 * Capture in a process of its own, for capture-fuzz.ts: behind the server it really has, in front of a Kafka that takes everything. Tells its
 * parent what it stored of the neighbours, what went wrong inside, and its memory after a collection when asked.
 */
import { createKafkaSink } from '../../src/capture/kafka-sink.ts';
import { createCapture } from '../../src/capture/service.ts';
import { listen } from '../../src/http/listen.ts';
import type { RecordProducer } from '../../src/kafka/port.ts';
import { observe } from '../../src/observe/facts.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { TOPICS } from '../kit/capture-topics.ts';
import type { FromServer } from './capture-fuzz.ts';

const NEIGHBOUR = 'phc_neighbour:';
const say = (message: FromServer): void => void process.send?.(message);

let stored = 0;
const producer: RecordProducer = {
  send(_topic, records) {
    stored += records.length;
    for (const { key, value } of records)
      if (key?.toString().startsWith(NEIGHBOUR) === true) say({ type: 'neighbour', envelope: value.toString() });
    return Promise.resolve();
  },
  queuedBytes: () => 0,
  close: () => Promise.resolve(),
};
const capture = createCapture({
  sink: createKafkaSink({ producer, clock: systemClock }),
  topics: TOPICS,
  clock: systemClock,
  random: systemRandom,
  sampleRatio: 0.01,
  putmessage: { topics: ['allowed'], ack: 'durable', logMessages: false },
  limits: { wireBytes: 1 << 20, decodedBytes: 2 << 20, bodyIdleMs: 2_000 },
});
observe('log-written', ({ level, message, fields }) => {
  if (level === 'error') say({ type: 'bug', what: `${message} ${JSON.stringify(fields)}` });
});
process.on('uncaughtException', (error) => say({ type: 'bug', what: `uncaught: ${error.stack ?? error.message}` }));
process.on('unhandledRejection', (error) => say({ type: 'bug', what: `unhandled: ${String(error)}` }));
process.on('message', () => {
  globalThis.gc?.();
  const { heapUsed, rss, external } = process.memoryUsage();
  say({ type: 'memory', heapBytes: heapUsed + external, rssBytes: rss, stored });
});
process.on('disconnect', () => process.exit());

const names = { name: 'capture', hostSetting: 'none', portSetting: 'none' };
const server = await listen({
  handle: capture.handle,
  host: '127.0.0.1',
  port: 0,
  clock: systemClock,
  limits: { headersMs: 2_000 },
  ...names,
});
say({ type: 'listening', port: server.port });
