import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createKafkaSink } from '../../../src/capture/kafka-sink.ts';
import { createCapture } from '../../../src/capture/service.ts';
import { ProduceError } from '../../../src/kafka/port.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { facts, fakeProducer, listen, serving, TOPICS } from './kit.ts';

const EVENT = JSON.stringify({ api_key: 'phc_x', event: 'a', distinct_id: 'u1' });

describe('the capture service', () => {
  test('I1: 200 is said only when the producer has acknowledged', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const served = await serving(fakeProducer(() => (reached.resolve(), promise)));
    let answered = false;
    const asking = served.ask('/e', { body: EVENT }).then((answer) => ((answered = true), answer));
    await reached.promise;
    await new Promise((later) => setImmediate(later));
    expect(answered).toBe(false);
    expect(served.capture.inFlightCount()).toBe(1);
    resolve();
    expect((await asking).status).toBe(200);
  });

  test.for(['unavailable', 'queue-full', 'unknown-topic'] as const)('I5: %s is a 503 that asks the client to come again', async (code) => {
    const served = await serving(fakeProducer(() => Promise.reject(new ProduceError(code, 'no'))));
    const answer = await served.ask('/e', { body: EVENT });
    expect([answer.status, answer.body, answer.headers['retry-after']]).toEqual([503, 'transient error, please retry', '1']);
  });

  test('I5: a producer that takes too long is a 503 as well', async () => {
    const served = await serving(fakeProducer(() => new Promise(() => undefined)), { limits: { produceMs: 30 } }); // prettier-ignore
    expect((await served.ask('/e', { body: EVENT })).status).toBe(503);
  });

  test('one failed topic of several fails the request', async () => {
    const served = await serving(fakeProducer((topic) => (topic === 'main' ? Promise.resolve() : Promise.reject(new ProduceError('unavailable', 'no'))))); // prettier-ignore
    const batch = ['a', '$exception'].map((event) => ({ event, distinct_id: 'u1' }));
    expect((await served.ask('/batch', { body: JSON.stringify({ api_key: 'phc_x', batch }) })).status).toBe(503);
  });

  test('a record that Kafka finds too large is a 413', async () => {
    const served = await serving(fakeProducer(() => Promise.reject(new ProduceError('too-large', 'by 1 byte'))));
    const answer = await served.ask('/e', { body: EVENT });
    expect([answer.status, answer.body]).toEqual([413, 'maximum event size exceeded: by 1 byte']);
  });

  test('42 a body above the limit is a 413 over a connection that still works, and nothing of it was kept', async () => {
    const producer = fakeProducer();
    const served = await serving(producer, { limits: { wireBytes: 100_000 } });
    const { port } = new URL(served.url);
    const socket = connect(Number(port), '127.0.0.1');
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    const post = (body: string): string => `POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    socket.write(post('x'.repeat(150_000)) + post(EVENT));
    await expect.poll(() => received).toContain('{"status":"Ok"}');
    socket.destroy();
    expect(received).toMatch(/^HTTP\/1.1 413 .*maximum event size exceeded: .*HTTP\/1.1 200 /s);
    expect(producer.produced).toHaveLength(1);
  });

  test('an upload without end is read no further than one more limit, then the connection ends with the 413', async () => {
    const served = await serving(fakeProducer(), { limits: { wireBytes: 10_000 } });
    const { port } = new URL(served.url);
    const socket = connect(Number(port), '127.0.0.1');
    let received = '';
    const ended = new Promise((resolve) => socket.on('close', resolve).on('error', () => undefined)); // a reset after the answer is fine
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    socket.write(`POST /batch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n${'x'.repeat(30_000)}`);
    await ended;
    expect(received).toMatch(/^HTTP\/1.1 413 .*Connection: close/s);
  });

  test('43 a gzip bomb is a 413 as soon as it is over the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(30 << 20));
    const served = await serving(fakeProducer(), { limits: { decodedBytes: 1 << 20 } });
    const before = process.memoryUsage().rss;
    expect((await served.ask('/e', { body: bomb })).status).toBe(413);
    expect(process.memoryUsage().rss - before).toBeLessThan(20 << 20);
  });

  test('I4: beyond the bytes that all requests may hold, a request is asked to come again, and later it is served', async () => {
    const { promise: gate, resolve: openGate } = Promise.withResolvers<void>();
    const served = await serving(
      fakeProducer(() => gate),
      { limits: { inFlightBytes: 1_000 } },
    );
    const { port } = new URL(served.url);
    const slow = connect(Number(port), '127.0.0.1');
    slow.write(`POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n${'x'.repeat(990)}`);
    await expect.poll(async () => (await served.ask('/e', { body: EVENT.padEnd(500) })).status).toBe(503);
    slow.destroy();
    openGate();
    await expect.poll(async () => (await served.ask('/e', { body: EVENT.padEnd(500) })).status).toBe(200);
  });

  test('a client that stops sending gets a 408', async () => {
    const served = await serving(fakeProducer(), { limits: { bodyIdleMs: 40 } });
    const { port } = new URL(served.url);
    const socket = connect(Number(port), '127.0.0.1');
    let received = '';
    socket.setEncoding('utf8').on('data', (text: string) => (received += text));
    socket.write('POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\nabc');
    await expect.poll(() => received).toMatch(/^HTTP\/1.1 408 .*client stopped sending data/s);
    socket.destroy();
  });

  test('9: draining: readiness turns 503, liveness does not, and a request is still served', async () => {
    const served = await serving(fakeProducer());
    expect((await served.ask('/_readiness')).status).toBe(200);
    served.capture.beginDrain();
    expect((await served.ask('/_readiness')).status).toBe(503);
    expect(await served.ask('/_liveness')).toMatchObject({ status: 200, body: 'ok' });
    expect(await served.ask('/')).toMatchObject({ status: 200, body: 'capture' });
    expect((await served.ask('/e', { body: EVENT })).status).toBe(200);
  });

  test('a sampled traceparent is followed: records continue a span of ours, and the span is stated', async () => {
    const stages = facts('stage-ended');
    const producer = fakeProducer();
    const served = await serving(producer, { sampleRatio: 0 });
    const traceId = 'ab'.repeat(16);
    await served.ask('/e', { body: EVENT, headers: { traceparent: `00-${traceId}-${'cd'.repeat(8)}-01` } });
    await served.ask('/e', { body: EVENT, headers: { traceparent: `00-${traceId}-${'cd'.repeat(8)}-00` } });
    await served.ask('/e', { body: EVENT });
    expect(stages).toMatchObject([{ name: 'capture request', trace: { traceId, spanId: 'cd'.repeat(8) } }]);
    expect(producer.produced.map(({ headers }) => headers['traceparent'])).toEqual([
      `00-${traceId}-${stages[0]?.spanId}-01`,
      undefined,
      undefined,
    ]);
  });

  test('without one, the share of requests that is asked for is traced, each in a trace of its own', async () => {
    const stages = facts('stage-ended');
    const producer = fakeProducer();
    const served = await serving(producer, { sampleRatio: 1 });
    for (let n = 0; n < 3; n++) await served.ask('/e', { body: EVENT });
    expect(new Set(stages.map(({ trace }) => trace.traceId)).size).toBe(3);
    for (const { trace } of stages)
      expect(trace).toEqual({ traceId: expect.stringMatching(/^[0-9a-f]{32}$/) as unknown, spanId: '0'.repeat(16) });
    expect(producer.produced.map(({ headers }) => headers['traceparent'])).toEqual(stages.map(({ trace, spanId }) => `00-${trace.traceId}-${spanId}-01`)); // prettier-ignore
  });

  test('each request is stated once, with its route and not its URL', async () => {
    const answered = facts('capture-request-answered');
    const served = await serving(fakeProducer());
    await served.ask('/e/?_=1', { body: EVENT });
    await served.ask('/i/v0/e', { body: '[]' });
    await served.ask('/somewhere/else');
    expect(answered).toMatchObject([
      { path: '/e', status: 200, events: 1, bytes: EVENT.length, reason: undefined },
      { path: '/i/v0/e', status: 400, events: 0, reason: 'empty_batch' },
      { path: 'unknown', status: 404, reason: 'not_found' },
    ]);
  });

  test('16.2 row 9: what the sink has no room for is refused unread, with 503 and not for what it holds', async () => {
    let roomBytes = 1_000;
    const sink = { ...createKafkaSink({ producer: fakeProducer(), clock: systemClock }), roomBytes: () => roomBytes };
    const capture = createCapture({ sink, topics: TOPICS, clock: systemClock, random: { next: () => 0.5 }, sampleRatio: 0 });
    const served = await listen(capture);
    onTestFinished(() => served.close());
    const large = `{"api_key":"phc_x","batch":"${'x'.repeat(2_000)}`;
    expect(await served.ask('/batch/', { body: large })).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    expect(await served.ask('/flags/', { body: large })).toMatchObject({ status: 200 });
    roomBytes = Infinity;
    expect(await served.ask('/batch/', { body: large })).toMatchObject({ status: 400 });
  });
});
