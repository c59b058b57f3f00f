import { Agent, request as httpRequest, type RequestListener } from 'node:http';
import { connect, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import type { Listening } from '../../../src/http/listen.ts';
import { listenOn } from './kit.ts';

/** A client on a raw socket. */
interface Wire {
  readonly socket: Socket;
  readonly send: (text: string) => void;
  readonly said: () => string;
  readonly isClosed: () => boolean;
  readonly error: () => Error | undefined;
}

async function wireTo(port: number): Promise<Wire> {
  const socket = connect(port, '127.0.0.1');
  let said = '';
  let closed = false;
  let failure: Error | undefined;
  socket.setEncoding('utf8').on('data', (text: string) => (said += text));
  socket.on('error', (error) => (failure = error)).on('close', () => (closed = true));
  onTestFinished(() => void socket.destroy());
  await new Promise((resolve) => socket.once('connect', resolve));
  return { socket, send: (text) => void socket.write(text), said: () => said, isClosed: () => closed, error: () => failure };
}

/** A server whose answers wait for `release`. */
async function holding(): Promise<{ server: Listening; arrived: () => number; release: (path: string) => void }> {
  const held = new Map<string, () => void>();
  const handle: RequestListener = (request, response) => {
    held.set(request.url ?? '', () => response.end(request.url));
  };
  const server = await listenOn(handle);
  onTestFinished(() => server.close(0));
  return { server, arrived: () => held.size, release: (path) => held.get(path)?.() };
}

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
const LONG_MS = 60_000;

/** Statuses, closes and bodies in the order of their arrival. */
const answersOf = (text: string): string[] =>
  text
    .split(/(?=HTTP\/1\.1 )/)
    .filter((part) => part !== '')
    .map((part) => `${part.slice(9, 12)}${/connection: close/i.test(part) ? ' close' : ''}`);

describe('a drain', () => {
  test('I1: a request in work when it begins is answered, and told that its connection ends', async () => {
    const { server, arrived, release } = await holding();
    const wire = await wireTo(server.port);
    wire.send(get('/a'));
    await expect.poll(arrived).toBe(1);
    const drained = server.drain({ announceMs: 0, lingerMs: 0, graceMs: LONG_MS });
    release('/a');
    await drained;
    expect(answersOf(wire.said())).toEqual(['200 close']);
  });

  test('I1: of pipelined requests only the last answer ends the connection, so that none is lost', async () => {
    const { server, arrived, release } = await holding();
    const wire = await wireTo(server.port);
    wire.send(get('/a') + get('/b'));
    await expect.poll(arrived).toBe(2);
    const drained = server.drain({ announceMs: 0, lingerMs: LONG_MS, graceMs: LONG_MS });
    wire.send(get('/c'));
    await expect.poll(arrived).toBe(3);
    for (const path of ['/b', '/c', '/a']) release(path);
    await drained;
    expect(answersOf(wire.said())).toEqual(['200', '200', '200 close']);
    expect(wire.error()).toBeUndefined();
  });

  test('while it lingers nobody new is taken, and an idle connection is served once more', async () => {
    const { server, arrived, release } = await holding();
    const wire = await wireTo(server.port);
    wire.send(get('/before'));
    await expect.poll(arrived).toBe(1);
    release('/before');
    await expect.poll(() => answersOf(wire.said())).toEqual(['200']);

    const drained = server.drain({ announceMs: 0, lingerMs: LONG_MS, graceMs: LONG_MS });
    await expect.poll(async () => (await refusal(server.port)).code).toBe('ECONNREFUSED');
    expect(wire.isClosed()).toBe(false);
    wire.send(get('/after'));
    await expect.poll(arrived).toBe(2);
    release('/after');
    await drained;
    expect(answersOf(wire.said())).toEqual(['200', '200 close']);
  });

  test('while it announces new connections are served, and told', async () => {
    const server = await listenOn((_request, response) => response.end());
    const drained = server.drain({ announceMs: 300, lingerMs: 0, graceMs: 0 });
    const wire = await wireTo(server.port);
    wire.send(get('/'));
    await drained;
    expect(answersOf(wire.said())).toEqual(['200 close']);
  });

  test('I2: after the linger idle connections are closed, used or not, and one with half a request is not', async () => {
    const { server, arrived, release } = await holding();
    const [unused, used, half] = await Promise.all([wireTo(server.port), wireTo(server.port), wireTo(server.port)]);
    used.send(get('/a'));
    await expect.poll(arrived).toBe(1);
    release('/a');
    await expect.poll(used.said).toMatch(/^HTTP\/1.1 200/);
    half.send('GET /half HTTP/1.1\r\nHo');
    await expect.poll(() => half.socket.bytesWritten).toBeGreaterThan(0);
    // The server has the half as soon as it answers something that was sent later.
    used.send(get('/b'));
    await expect.poll(arrived).toBe(2);
    release('/b');

    const drained = server.drain({ announceMs: 0, lingerMs: 50, graceMs: LONG_MS });
    await expect.poll(() => [unused.isClosed(), used.isClosed()]).toEqual([true, true]);
    expect(half.isClosed()).toBe(false);
    half.send('st: x\r\n\r\n');
    await expect.poll(arrived).toBe(3);
    release('/half');
    await drained;
    expect(answersOf(half.said())).toEqual(['200 close']);
  });

  test('what is not answered within the grace is cut, and counted', async () => {
    const facts: Facts['http-server-drained'][] = [];
    onTestFinished(observe('http-server-drained', (fact) => facts.push(fact)));
    const { server, arrived } = await holding();
    const wire = await wireTo(server.port);
    wire.send(get('/a'));
    await expect.poll(arrived).toBe(1);
    await server.drain({ announceMs: 0, lingerMs: 0, graceMs: 20 });
    await expect.poll(wire.isClosed).toBe(true);
    expect(facts).toMatchObject([{ name: 'the test server', openCount: 1, cutCount: 1 }]);
  });

  test('twenty servers that stop under clients with kept-alive connections fail no request', async () => {
    let answered = 0;
    for (let round = 0; round < 20; round++) {
      const server = await listenOn((request, response) => {
        request.resume().on('end', () => void setTimeout(() => response.end('ok'), Math.random() * 5));
      });
      const clients = Array.from({ length: 16 }, () => untilToldToClose(server.port));
      await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 20));
      await server.drain({ announceMs: 0, lingerMs: 2_000, graceMs: 2_000 });
      for (const count of await Promise.all(clients)) answered += count;
    }
    expect(answered).toBeGreaterThan(20 * 16);
  });
});

/** The error of a connection that is refused. */
function refusal(port: number): Promise<NodeJS.ErrnoException> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(new Error('taken'));
    });
    socket.once('error', resolve);
  });
}

/** A client that repeats nothing: asks over one connection, with pauses, until an answer says that it ends. @throws what a request fails with */
async function untilToldToClose(port: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (let count = 1; ; count++) {
      const isLast = await new Promise<boolean>((resolve, reject) => {
        const request = httpRequest({ port, host: '127.0.0.1', agent, method: 'POST' }, (response) => {
          response.resume().on('end', () => resolve(response.headers.connection === 'close'));
          response.on('error', reject);
        });
        request.on('error', reject).end('x'.repeat(500));
      });
      if (isLast) return count;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 15));
    }
  } finally {
    agent.destroy();
  }
}
