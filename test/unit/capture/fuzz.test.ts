import fc from 'fast-check';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { observe } from '../../../src/observe/facts.ts';
import { fakeProducer, serve, type Asked, type Served } from './kit.ts';

/** What strangers send: every answer is one that is named, and what was answered 200 is whole. */
const PATHS = [
  '/e/',
  '/e',
  '/batch/',
  '/engage',
  '/i/v0/e/',
  '/s/',
  '/i/v1/analytics/events',
  '/flags/?v=2',
  '/decide/?v=3',
  '/array/x/config',
];
const HINTS = ['', 'gzip', 'gzip-js', 'lz64', 'base64', 'deflate', 'br', 'zstd', 'rot13', 'constructor', '__proto__'];
const TYPES = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/x-www-form-urlencoded; charset=x'];
const NAMED = new Set([200, 204, 400, 401, 405, 413, 415]);

const uuid = fc.uuid();
const field = fc.oneof(fc.jsonValue(), fc.constantFrom('phc_x', 'u1', '', null, '$exception', '$$heatmap', '\ud83d', '\0'), uuid);
const fields = fc.dictionary(
  fc.constantFrom(
    'event',
    'token',
    '$token',
    'api_key',
    'distinct_id',
    '$distinct_id',
    'uuid',
    'timestamp',
    'offset',
    '$set',
    '$set_once',
    'sent_at',
    'batch',
    'historical_migration',
    '__proto__',
    'constructor',
    'other',
  ),
  field,
  { maxKeys: 2 },
);
const properties = fc.dictionary(
  fc.constantFrom(
    'token',
    'distinct_id',
    '$session_id',
    '$snapshot_data',
    '$cookieless_mode',
    'capture_internal',
    '__proto__',
    'toString',
    'p',
  ),
  field,
  { maxKeys: 4 },
);
const event = fc.tuple(fields, properties, fc.nat(9)).map(([some, inner, chance]) => ({
  ...some,
  ...(chance > 0 ? { event: 'a', distinct_id: 'u1', api_key: 'phc_x' } : {}),
  properties: inner,
}));
const body = fc.oneof(
  event,
  fc.array(event, { maxLength: 5 }),
  fc.record({ api_key: fc.constant('phc_x'), batch: fc.array(event, { maxLength: 5 }), sent_at: field }),
  fc.jsonValue(),
);

type Wrap = (bytes: Buffer) => Buffer;
const wraps: readonly Wrap[] = [
  (bytes) => bytes,
  (bytes) => gzipSync(bytes),
  (bytes) => deflateSync(bytes),
  (bytes) => brotliCompressSync(bytes),
  (bytes) => zstdCompressSync(bytes),
  (bytes) => Buffer.from(bytes.toString('base64')),
  (bytes) => Buffer.from(`data=${encodeURIComponent(bytes.toString('base64'))}`),
  (bytes) => Buffer.from(`compression=lz64&data=${bytes.toString('base64')}`),
];
/** Breaks some bytes, or cuts the end off. */
const damage = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Wrap>((bytes) => bytes) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((hits): Wrap => (bytes) => {
        const broken = Buffer.from(bytes);
        for (const [at, value] of hits) if (broken.length > 0) broken[Math.floor(at * broken.length)] = value;
        return broken;
      }),
  },
  {
    weight: 1,
    arbitrary: fc.double({ min: 0, max: 1, noNaN: true }).map(
      (share): Wrap =>
        (bytes) =>
          bytes.subarray(0, Math.floor(share * bytes.length)),
    ),
  },
);
const headers = fc.record(
  {
    'Content-Type': fc.oneof({ weight: 4, arbitrary: fc.constant('text/plain') }, fc.constantFrom(...TYPES)),
    'Content-Encoding': fc.oneof({ weight: 4, arbitrary: fc.constant('identity') }, fc.constantFrom(...HINTS.slice(1))),
    'X-Forwarded-For': fc.constantFrom('1.2.3.4', 'x', '::1, 2.3.4.5', ','),
    traceparent: fc.constantFrom(`00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`, 'x'),
    Authorization: fc.constantFrom('Bearer phc_x', 'Bearer ', 'x'),
  },
  { requiredKeys: [] },
);

describe('fuzz', () => {
  const producer = fakeProducer();
  let served: Served;
  const bugs: unknown[] = [];
  /** Requests of which something was stored: a fuzz that is always refused at the door tests the door. */
  let taken = 0;
  beforeAll(async () => {
    served = await serve(producer, { limits: { decodedBytes: 1 << 20, wireBytes: 1 << 20 } });
  });
  afterAll(observe('log-written', (fact) => void (fact.level === 'error' && bugs.push(fact.fields))));
  afterAll(() => served.close());
  beforeEach(() => {
    producer.produced.length = 0;
  });

  const ask = async (path: string, asked: Asked): Promise<void> => {
    producer.produced.length = 0;
    const { status } = await served.ask(path, asked);
    expect(bugs).toEqual([]);
    expect(NAMED).toContain(status);
    if (status >= 400) expect(producer.produced).toEqual([]);
    if (producer.produced.length > 0) taken++;
    for (const { envelope, data, key } of producer.produced) {
      expect(envelope).toMatchObject({ uuid: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown, ip: expect.any(String) as unknown });
      expect(typeof data['event']).toBe('string');
      expect(JSON.stringify([envelope, data, key])).not.toMatch(/(?<!\\)(?:\\\\)*\\ud[89a-f]/); // no lone surrogate
      expect([...String(envelope['distinct_id'])].length).toBeLessThanOrEqual(200);
    }
  };

  test('shapes nobody thought of, in every wrapping, whole and broken', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PATHS),
        fc.oneof({ weight: 4, arbitrary: fc.constant('') }, fc.constantFrom(...HINTS)),
        body,
        fc.oneof({ weight: 2, arbitrary: fc.constantFrom(...wraps.slice(0, 2)) }, fc.constantFrom(...wraps)),
        damage,
        headers,
        (path, hint, value, wrap, spoil, given) =>
          ask(hint === '' ? path : `${path}${path.includes('?') ? '&' : '?'}compression=${hint}`, {
            body: spoil(wrap(Buffer.from(JSON.stringify(value)))),
            method: 'POST',
            headers: given,
          }),
      ),
      { numRuns: 3_000 },
    );
    expect(taken).toBeGreaterThan(50);
  });

  test('bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...PATHS), fc.uint8Array({ maxLength: 300 }), headers, (path, bytes, given) =>
        ask(path, { body: Buffer.from(bytes), headers: given }),
      ),
      { numRuns: 500 },
    );
  });

  test('queries', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('data', '_', 'sent_at', 'compression', 'beacon', 'v', 'config'), fc.string({ maxLength: 60 })),
        (query) => ask(`/e/?${new URLSearchParams(query).toString()}`, {}),
      ),
      { numRuns: 300 },
    );
  });
});
