import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, onTestFinished } from 'vitest';
import { createKafkaSink } from '../../../src/capture/kafka-sink.ts';
import type { CaptureOptions } from '../../../src/capture/options.ts';
import { createCapture, type Capture } from '../../../src/capture/service.ts';
import type { OutgoingRecord, RecordProducer } from '../../../src/kafka/port.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { TOPICS } from '../../kit/capture-topics.ts';

export { TOPICS };

export interface Produced {
  readonly topic: string;
  readonly key: string | undefined;
  readonly envelope: Record<string, unknown>;
  readonly data: Record<string, unknown>;
  readonly headers: Readonly<Record<string, string | Buffer>>;
}

/** A producer that remembers, and answers as `behave` says. */
export function fakeProducer(
  behave: (topic: string) => Promise<void> = () => Promise.resolve(),
): RecordProducer & { readonly produced: Produced[] } {
  const produced: Produced[] = [];
  const read = (topic: string, { key, value, headers = {} }: OutgoingRecord): Produced => {
    const envelope = JSON.parse(value.toString()) as Record<string, unknown>;
    return { topic, key: key?.toString(), envelope, data: JSON.parse(envelope['data'] as string) as Record<string, unknown>, headers };
  };
  return {
    produced,
    async send(topic, records) {
      await behave(topic);
      for (const record of records) produced.push(read(topic, record));
    },
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  };
}

export interface Answered {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingHttpHeaders;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

export interface Served {
  readonly capture: Capture;
  readonly url: string;
  readonly ask: (path: string, asked?: Asked) => Promise<Answered>;
  close(): Promise<void>;
}

/** A capture behind a real HTTP server on the loopback. */
export async function serve(producer: RecordProducer, options: Partial<Omit<CaptureOptions, 'sink'>> = {}): Promise<Served> {
  let seed = 1;
  const random = { next: () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647 };
  const sink = createKafkaSink({ producer, clock: systemClock });
  const capture = createCapture({ sink, topics: TOPICS, clock: systemClock, random, sampleRatio: 0, ...options });
  return listen(capture);
}

export async function listen(capture: Capture): Promise<Served> {
  const server = createServer(capture.handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    capture,
    url: `http://127.0.0.1:${port}`,
    ask: (path, { method, headers = {}, body } = {}) =>
      new Promise((resolve, reject) => {
        const request = httpRequest({ port, path, method: method ?? (body === undefined ? 'GET' : 'POST'), headers }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString(), headers: response.headers }),
          );
        });
        request.on('error', reject);
        request.end(body);
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** One capture for all tests of a block. What its producer was given is forgotten after each. */
export function serveAll(options?: Parameters<typeof serve>[1]) {
  const producer = fakeProducer();
  let served: Served;
  beforeAll(async () => {
    served = await serve(producer, options);
  });
  afterEach(() => {
    producer.produced.length = 0;
  });
  afterAll(() => served.close());
  return { producer, ask: (path: string, asked?: Asked): Promise<Answered> => served.ask(path, asked) };
}

/** A capture that ends with the test that asks for it. */
export async function serving(...args: Parameters<typeof serve>): Promise<Served> {
  return endingWithTest(await serve(...args));
}

export function endingWithTest(served: Served): Served {
  onTestFinished(() => served.close());
  return served;
}

/** The facts of a name from here to the end of the test. */
export function facts<Name extends keyof Facts>(name: Name): Facts[Name][] {
  const seen: Facts[Name][] = [];
  onTestFinished(observe(name, (fact) => seen.push(fact)));
  return seen;
}

/** A v1 request with one event, whose uuid is the answer's key. */
export function v1Request(token: string, uuid: string): Asked {
  const now = '2026-11-21T10:00:00Z';
  return {
    headers: {
      ...{ Authorization: `Bearer ${token}`, 'Content-Type': 'application/json', 'User-Agent': 'a/1', 'PostHog-Sdk-Info': 'a/1' },
      ...{ 'PostHog-Attempt': '1', 'PostHog-Request-Id': uuid, 'PostHog-Request-Timestamp': now },
    },
    body: JSON.stringify({ created_at: now, batch: [{ event: 'a', uuid, distinct_id: 'u1', timestamp: now }] }),
  };
}

/** After all that can go on without time passing. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
