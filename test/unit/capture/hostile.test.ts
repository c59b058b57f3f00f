import { connect } from 'node:net';
import { setTimeout as after } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createKafkaSink } from '../../../src/capture/kafka-sink.ts';
import type { CaptureLimits } from '../../../src/capture/limits.ts';
import { createCapture } from '../../../src/capture/service.ts';
import { listen } from '../../../src/http/listen.ts';
import type { WireLimits } from '../../../src/http/wire.ts';
import { systemClock, systemRandom } from '../../../src/runtime/clock.ts';
import { facts, fakeProducer, TOPICS } from './kit.ts';

/** Clients that break rules, over raw sockets, against capture behind the server that it really has. */
const EVENT = '{"api_key":"phc_x","event":"a","distinct_id":"u1"}';

interface Setting {
  readonly limits?: Partial<CaptureLimits>;
  readonly wire?: Partial<WireLimits>;
  readonly behave?: () => Promise<void>;
}

async function serve({ limits = {}, wire = {}, behave }: Setting = {}) {
  const producer = fakeProducer(behave);
  const sink = createKafkaSink({ producer, clock: systemClock });
  const capture = createCapture({ sink, topics: TOPICS, clock: systemClock, random: systemRandom, sampleRatio: 0, limits });
  const names = { name: 'capture', hostSetting: 'A', portSetting: 'B' };
  const server = await listen({ handle: capture.handle, limits: wire, host: '127.0.0.1', port: 0, clock: systemClock, ...names });
  onTestFinished(() => server.close(0));
  const refused = facts('http-connection-refused');
  return { producer, port: server.port, reasons: () => refused.map(({ reason }) => reason), client: () => clientOf(server.port) };
}

function clientOf(port: number) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let said = '';
  let ended = false;
  socket.setEncoding('latin1').on('data', (text: string) => (said += text));
  socket.on('end', () => (ended = true)).on('close', () => (ended = true));
  socket.on('error', () => undefined); // a reset is an end as well
  onTestFinished(() => void socket.destroy());
  return {
    socket,
    send: (text: string): void => void socket.write(text, 'latin1'),
    said: () => said,
    isEnded: () => ended,
    /** Status lines so far, interim ones too. */
    statuses: () => [...said.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status)),
  };
}

const post = (body: string, headers = ''): string =>
  `POST /e/ HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
const chunked = (rest: string): string => `POST /e/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${rest}`;
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

describe('slow clients', () => {
  test('headers byte by byte: 408 when HTTP1_HEADER_READ_TIMEOUT_MS has passed, and the connection ends', async () => {
    const { client, reasons } = await serve({ wire: { headersMs: 100 } });
    const loris = client();
    const drip = setInterval(() => loris.send('a'), 20);
    onTestFinished(() => clearInterval(drip));
    loris.send('POST /e HTTP/1.1\r\nHost: x\r\nX-');
    await expect.poll(loris.said).toMatch(/^HTTP\/1\.1 408 /);
    await expect.poll(loris.isEnded).toBe(true);
    expect(reasons()).toEqual(['headers-late']);
  });

  test('a connection over which nothing comes is closed without a word', async () => {
    const { client, reasons } = await serve({ wire: { headersMs: 50 } });
    const mute = client();
    await expect.poll(mute.isEnded).toBe(true);
    expect([mute.said(), reasons()]).toEqual(['', ['silent']]);
  });

  test('a body that stops: 408 when BODY_CHUNK_READ_TIMEOUT_MS has passed', async () => {
    const { client } = await serve({ limits: { bodyIdleMs: 50 } });
    const stalled = client();
    stalled.send(post(EVENT).slice(0, -5));
    await expect.poll(stalled.said).toMatch(/^HTTP\/1\.1 408 .*Connection: close.*client stopped sending data$/s);
    await expect.poll(stalled.isEnded).toBe(true);
  });

  test('a body that never stops dribbling: 408 when REQUEST_TIMEOUT_SECONDS have passed', async () => {
    const { client, producer } = await serve({ limits: { bodyIdleMs: 1_000, requestMs: 150 } });
    const dribbling = client();
    dribbling.send(chunked(chunk('[')));
    const drip = setInterval(() => dribbling.send(chunk(' ')), 20);
    onTestFinished(() => clearInterval(drip));
    await expect.poll(dribbling.said).toMatch(/^HTTP\/1\.1 408 /);
    await expect.poll(dribbling.isEnded).toBe(true);
    expect(producer.produced).toEqual([]);
  });

  test('a body for a path that reads none ends with the limit of the server', async () => {
    const { client } = await serve({ wire: { headersMs: 100, requestMs: 100 } });
    const dribbling = client();
    dribbling.send('POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
    const drip = setInterval(() => dribbling.send('x'), 20);
    onTestFinished(() => clearInterval(drip));
    await expect.poll(dribbling.isEnded, { timeout: 5_000 }).toBe(true);
    expect(dribbling.statuses()).toEqual([404]);
  });

  test('chunks without end are read up to twice the limit, then 413 and the end', async () => {
    const { client } = await serve({ limits: { wireBytes: 10_000 } });
    const endless = client();
    endless.send(chunked(''));
    const flood = setInterval(() => endless.send(chunk('x'.repeat(4_000))), 1);
    onTestFinished(() => clearInterval(flood));
    await expect.poll(endless.said).toMatch(/^HTTP\/1\.1 413 /);
    await expect.poll(endless.isEnded).toBe(true);
  });

  test('one that closes its half cannot be told from one that is gone: what it sent is stored, and nobody is answered', async () => {
    const { client, producer } = await serve({ behave: () => after(30) });
    const half = client();
    half.socket.end(post(EVENT));
    await expect.poll(half.isEnded).toBe(true);
    await expect.poll(() => producer.produced.length).toBe(1);
    expect(half.said()).toBe('');
  });

  test('one that is gone before its body has come: nothing is stored, nobody is answered, and it is counted as 499', async () => {
    const answered = facts('capture-request-answered');
    const { client, producer } = await serve();
    const gone = client();
    gone.socket.write(post(EVENT).slice(0, -5), () => void setTimeout(() => gone.socket.resetAndDestroy(), 20));
    await expect.poll(() => answered.map(({ status }) => status)).toEqual([499]);
    expect(producer.produced).toEqual([]);
  });
});

describe('too much', () => {
  test('header bytes: 431', async () => {
    const { client, reasons } = await serve({ wire: { headerBytes: 2_000 } });
    const one = client();
    one.send(`GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(2_100)}\r\n\r\n`);
    await expect.poll(one.said).toMatch(/^HTTP\/1\.1 431 .*Connection: close/s);
    expect(reasons()).toEqual(['headers-too-large']);
  });

  test('a URL counts among them', async () => {
    const { client, reasons } = await serve({ wire: { headerBytes: 2_000 } });
    const one = client();
    one.send(`GET /e?data=${'b'.repeat(2_100)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await expect.poll(one.statuses).toEqual([431]);
    expect(reasons()).toEqual(['headers-too-large']);
  });

  test.for([
    [10, 200],
    [11, 431],
  ] as const)('%i header fields where 10 are allowed: %i', async ([count, status]) => {
    const { client, reasons } = await serve({ wire: { headerCount: 10 } });
    const one = client();
    one.send(`GET / HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(count - 1)}\r\n`);
    await expect.poll(one.statuses).toEqual([status]);
    expect(reasons()).toEqual(status === 200 ? [] : ['headers-too-many']);
  });

  test('connections: one too many is closed and counted, and taken once another has gone', async () => {
    const { client, reasons } = await serve({ wire: { connectionCount: 2 } });
    const [first, second] = [client(), client()];
    for (const one of [first, second]) one.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(() => [first.statuses(), second.statuses()]).toEqual([[200], [200]]);
    const third = client();
    await expect.poll(third.isEnded).toBe(true);
    expect(reasons()).toEqual(['connections']);
    first.socket.destroy();
    await expect
      .poll(async () => {
        const fourth = client();
        fourth.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await expect.poll(() => fourth.isEnded() || fourth.statuses().length > 0).toBe(true);
        return fourth.statuses();
      })
      .toEqual([200]);
  });

  test('pipelined requests: beyond the limit 503 to come again, every answer in its order', async () => {
    const { client, reasons, producer } = await serve({ wire: { pipelineCount: 3 }, behave: () => after(20) });
    const one = client();
    one.send(post(EVENT).repeat(5));
    await expect.poll(one.statuses).toEqual([200, 200, 200, 503]);
    expect(one.said()).toMatch(/503 .*Retry-After: 1/s);
    expect([...new Set(reasons())]).toEqual(['pipelined']);
    expect(producer.produced).toHaveLength(3);
  });

  test('pipelined requests are answered in their order, whichever is done first', async () => {
    let n = 0;
    const { client } = await serve({ behave: () => after(n++ === 0 ? 60 : 0) });
    const one = client();
    one.send(post(EVENT, 'X-Request-Id: first\r\n') + post('{bad', 'X-Request-Id: second\r\n') + post(EVENT, 'X-Request-Id: third\r\n'));
    await expect.poll(one.statuses).toEqual([200, 400, 200]);
    expect([...one.said().matchAll(/X-Request-Id: (\w+)/gi)].map(([, id]) => id)).toEqual(['first', 'second', 'third']);
  });

  test('a flood of OPTIONS is answered, and produces nothing', async () => {
    const { client, producer } = await serve({ wire: { pipelineCount: 10_000 } });
    const one = client();
    one.send('OPTIONS /e HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n\r\n'.repeat(5_000));
    await expect.poll(() => one.statuses().length, { timeout: 8_000 }).toBe(5_000);
    expect([...new Set(one.statuses())]).toEqual([200]);
    expect(producer.produced).toEqual([]);
  });

  test('CONCURRENCY_LIMIT: requests beyond it wait and are served, and health does not wait', async () => {
    let inside = 0;
    let most = 0;
    const { client, producer } = await serve({
      limits: { concurrentCount: 2 },
      async behave() {
        most = Math.max(most, ++inside);
        await after(20);
        inside--;
      },
    });
    const clients = Array.from({ length: 8 }, client);
    for (const one of clients) one.send(post(EVENT));
    const probe = client();
    probe.send('GET /_readiness HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(probe.statuses).toEqual([200]);
    await expect.poll(() => clients.flatMap((one) => one.statuses())).toEqual(Array(8).fill(200));
    expect([most, producer.produced.length]).toEqual([2, 8]);
  });

  test('CONCURRENCY_LIMIT: who waits for longer than REQUEST_TIMEOUT_SECONDS gets 503, who leaves the queue takes no place', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    const { client, producer } = await serve({ limits: { concurrentCount: 1, requestMs: 200 }, behave: () => held });
    const waiting = facts('capture-requests-waiting-changed');
    const [first, second, third] = [client(), client(), client()];
    first.send(post(EVENT));
    await after(30);
    for (const one of [second, third]) one.send(post(EVENT));
    await expect.poll(() => waiting.at(-1)?.count).toBe(2);
    third.socket.destroy();
    await expect.poll(() => waiting.at(-1)?.count).toBe(1);
    await expect.poll(second.said).toMatch(/^HTTP\/1\.1 503 .*Retry-After: 1/s);
    release();
    await expect.poll(first.statuses).toEqual([200]);
    const later = client();
    later.send(post(EVENT));
    await expect.poll(later.statuses).toEqual([200]);
    expect(producer.produced).toHaveLength(2);
  });
});

describe('what is not HTTP as it should be', () => {
  const head = 'POST /e HTTP/1.1\r\nHost: x\r\n';
  test.for<[name: string, text: string]>([
    ['two lengths', `${head}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    ['the same length twice', `${head}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab`],
    ['a length and chunks', `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunks and a length', `${head}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`],
    ['a coding that is not chunked at last', `${head}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
    ['a negative length', `${head}Content-Length: -1\r\n\r\n`],
    ['a length with a sign', `${head}Content-Length: +1\r\n\r\na`],
    ['a chunk size that is none', chunked('zz\r\nx\r\n0\r\n\r\n')],
    ['a field name with a blank', `${head}Content-Length : 1\r\n\r\na`],
    ['a folded field', `${head}A: b\r\n c\r\n\r\n`],
    ['a NUL in a field', `${head}A: b\0c\r\n\r\n`],
    ['bare line feeds', 'GET / HTTP/1.1\nHost: x\n\n'],
    ['TLS', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a method nobody knows', 'BREW /e HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('%s: 400, and the connection ends', async ([, text]) => {
    const { client, reasons, producer } = await serve();
    const one = client();
    one.send(text);
    await expect.poll(one.isEnded).toBe(true);
    expect(one.statuses()).toEqual([400]);
    expect(reasons()).toEqual(['malformed']);
    expect(producer.produced).toEqual([]);
  });

  test('HTTP/1.1 without a Host is a 400', async () => {
    const { client } = await serve();
    const one = client();
    one.send('GET / HTTP/1.1\r\n\r\n');
    await expect.poll(one.statuses).toEqual([400]);
  });

  test('behind a request that waits for its answer it ends the connection, and its 400 does not pass for that answer', async () => {
    const { client, reasons } = await serve({ behave: () => after(50) });
    const one = client();
    one.send(`${post(EVENT)}rubbish\r\n\r\n`);
    await expect.poll(one.isEnded).toBe(true);
    expect(one.statuses()).not.toContain(400);
    expect(reasons()).toEqual(['malformed']);
  });

  test('a length that is too short leaves a rest that is no request', async () => {
    const { client, producer } = await serve();
    const one = client();
    one.send(`POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: ${EVENT.length - 5}\r\n\r\n${EVENT}`);
    await expect.poll(one.isEnded).toBe(true);
    expect(producer.produced).toEqual([]);
  });

  test('a length that is too long is a body that stops', async () => {
    const { client, producer } = await serve({ limits: { bodyIdleMs: 50 } });
    const one = client();
    one.send(`POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: ${EVENT.length + 5}\r\n\r\n${EVENT}`);
    await expect.poll(one.statuses).toEqual([408]);
    expect(producer.produced).toEqual([]);
  });

  test('CONNECT is 405: this is no proxy', async () => {
    const { client, reasons } = await serve();
    const one = client();
    one.send('CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n');
    await expect.poll(one.isEnded).toBe(true);
    expect([one.statuses(), reasons()]).toEqual([[405], ['tunnel']]);
  });

  test('an Upgrade is not taken up', async () => {
    const { client } = await serve();
    const one = client();
    one.send('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await expect.poll(one.said).toMatch(/^HTTP\/1\.1 200 .*capture$/s);
  });
});

describe('what is unusual, and right', () => {
  test('Expect: 100-continue is encouraged, then answered', async () => {
    const { client } = await serve();
    const one = client();
    one.send(post(EVENT, 'Expect: 100-continue\r\n').slice(0, -EVENT.length));
    await expect.poll(one.statuses).toEqual([100]);
    one.send(EVENT);
    await expect.poll(one.statuses).toEqual([100, 200]);
  });

  test('HTTP/1.0 is served, over a connection that ends', async () => {
    const { client, producer } = await serve();
    const one = client();
    one.send(`POST /e HTTP/1.0\r\nContent-Length: ${EVENT.length}\r\n\r\n${EVENT}`);
    await expect.poll(one.isEnded).toBe(true);
    expect([one.statuses(), producer.produced.length]).toEqual([[200], 1]);
  });

  test('HEAD is GET without its body', async () => {
    const { client } = await serve();
    const one = client();
    one.send('HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await expect.poll(one.isEnded).toBe(true);
    expect(one.said()).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Content-Length: 7\r\n.*\r\n\r\n$/s);
  });

  test('the absolute form of a URL leads where the path does', async () => {
    const { client, producer } = await serve();
    const one = client();
    one.send(post(EVENT).replace('/e/', 'http://capture.example:8010/e/?ip=1'));
    await expect.poll(one.statuses).toEqual([200]);
    expect(producer.produced).toHaveLength(1);
  });
});

describe('tricks with paths', () => {
  test.for([
    '//e',
    '/e//',
    '/E',
    '/%65',
    '/e%2f',
    '/e/..',
    '/x/../e',
    '/./e',
    '/e;a=b',
    '/e%00',
    '/e.json',
    '/static/../../x.js',
    '/static/a/b/c.js',
    '/array/a/b/config',
    '/__proto__',
    '/constructor',
    `/${'a'.repeat(20_000)}`,
  ])('%s is 404, under one label', async (path) => {
    const answered = facts('capture-request-answered');
    const { client, producer } = await serve();
    const one = client();
    one.send(post(EVENT).replace('/e/', path));
    await expect.poll(one.statuses).toEqual([404]);
    expect(producer.produced).toEqual([]);
    expect(answered.map((fact) => fact.path)).toEqual(['unknown']);
  });

  test('a file of another folder is not served', async () => {
    const { client } = await serve();
    const one = client();
    one.send('GET /static/%2e%2e%2fpackage.json.js HTTP/1.1\r\nHost: x\r\n\r\n');
    await expect.poll(one.statuses).toEqual([404]);
  });
});
