import fc from 'fast-check';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';

/** What strangers send to capture, as arbitraries of fast-check: the unit fuzz and the long one (test/fault/capture-fuzz.ts) draw from them. */
export interface HostileRequest {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const POSTS: readonly string[] = [
  '/e/',
  '/e',
  '/batch/',
  '/capture',
  '/track/',
  '/engage',
  '/i/v0/e/',
  '/i/v0/ai/batch',
  '/s/',
  '/i/v1/analytics/events',
  '/putmessage',
  '/test/black_hole',
  '/flags/?v=2',
  '/decide/?v=3',
];
const PATHS: readonly string[] = [
  ...POSTS,
  '/flags/definitions',
  '/api/surveys/',
  '/array/x/config',
  '/array/x/config.js',
  '/static/array.js',
  '/_readiness',
  '/',
  '/nowhere',
];
const HINTS = ['', 'gzip', 'gzip-js', 'lz64', 'base64', 'deflate', 'br', 'zstd', 'rot13', 'constructor', '__proto__'];
const TYPES = ['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/x-www-form-urlencoded; charset=x'];

const uuid = fc.uuid();
const field = fc.oneof(fc.jsonValue(), fc.constantFrom('phc_x', 'u1', '', null, '$exception', '$$heatmap', '\ud83d', '\0'), uuid);
const FIELDS = [
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
];
const PROPERTIES = [
  'token',
  'distinct_id',
  '$session_id',
  '$snapshot_data',
  '$cookieless_mode',
  'capture_internal',
  '__proto__',
  'toString',
  'p',
];
const fields = fc.dictionary(fc.constantFrom(...FIELDS), field, { maxKeys: 2 });
const properties = fc.dictionary(fc.constantFrom(...PROPERTIES), field, { maxKeys: 4 });
const event = fc.tuple(fields, properties, fc.nat(9)).map(([some, inner, chance]) => ({
  ...some,
  ...(chance > 0 ? { event: 'a', distinct_id: 'u1', api_key: 'phc_x' } : {}),
  properties: inner,
}));
const shape = fc.oneof(
  event,
  fc.array(event, { maxLength: 5 }),
  fc.record({ api_key: fc.constant('phc_x'), batch: fc.array(event, { maxLength: 5 }), sent_at: field }),
  fc.jsonValue(),
);

const around = (inner: string): string => `{"api_key":"phc_x","event":"a","distinct_id":"u1","properties":{"p":${inner}}}`;
/** JSON, and nearly JSON, that no serializer writes. */
const texts = fc.oneof(
  fc.nat(1_000).map((depth) => around('['.repeat(depth) + ']'.repeat(depth))),
  fc.nat(1_000).map((depth) => around('{"a":'.repeat(depth) + '1' + '}'.repeat(depth))),
  fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }).map((number) => around(String(number))),
  fc.constantFrom('1e400', '-1e400', '1e-400', '-0', '0.1e1', '01', '1.', '.5', 'NaN', 'Infinity', '0x10').map(around),
  fc.constantFrom('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\u2028"', '"\\u00"', '"\\x"', '"\n"', "'a'", 'undefined').map(around),
  fc.constantFrom('{"a":1,"a":2}', '{"__proto__":{"x":1},"__proto__":2}', '{"":0}', '{"a":1,}', '[1,]', '{a:1}', '[', '{"a"').map(around),
  fc.string({ unit: 'binary', maxLength: 20 }).map((token) => JSON.stringify({ token, event: 'a', distinct_id: 'u1' })),
  fc
    .constantFrom('\t', '\u0007', '\u001b[31m', 'a\r\nX: y', '\0', 'é')
    .map((token) => JSON.stringify({ token, event: 'a', distinct_id: 'u' })),
  fc.string({ maxLength: 80 }).map((rubbish) => around('1') + rubbish),
);

type Wrap = (bytes: Buffer) => Buffer;
const WRAPS: readonly Wrap[] = [
  (bytes) => bytes,
  (bytes) => gzipSync(bytes),
  (bytes) => deflateSync(bytes),
  (bytes) => deflateRawSync(bytes),
  (bytes) => brotliCompressSync(bytes, { params: { 1: 3 } }),
  (bytes) => zstdCompressSync(bytes),
  (bytes) => Buffer.from(bytes.toString('base64')),
  (bytes) => Buffer.from(`data=${encodeURIComponent(bytes.toString('base64'))}`),
  (bytes) => Buffer.from(`compression=lz64&data=${bytes.toString('base64')}`),
];
/** None as often as one; two or three around each other now and then. */
const wrapping = fc.array(fc.constantFrom(...WRAPS), { maxLength: 3 }).map(
  (wraps): Wrap =>
    (bytes) =>
      wraps.reduce((inner, wrap) => wrap(inner), bytes),
);

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
    topic: fc.constantFrom('allowed', 'refused', '__proto__', 'a b'),
    Origin: fc.constantFrom('http://a', 'null'),
  },
  { requiredKeys: [] },
);
const path = fc
  .tuple(
    fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...POSTS) }, { weight: 1, arbitrary: fc.constantFrom(...PATHS) }),
    fc.oneof({ weight: 4, arbitrary: fc.constant('') }, fc.constantFrom(...HINTS)),
  )
  .map(([to, hint]) => (hint === '' ? to : `${to}${to.includes('?') ? '&' : '?'}compression=${hint}`));

/** Shapes nobody thought of, in every wrapping, whole and broken. */
export const wrapped: fc.Arbitrary<HostileRequest> = fc
  .tuple(
    path,
    fc.oneof({ weight: 3, arbitrary: shape.map((value) => JSON.stringify(value)) }, { weight: 1, arbitrary: texts }),
    fc.oneof({ weight: 1, arbitrary: fc.constantFrom(...WRAPS.slice(0, 2)) }, { weight: 1, arbitrary: wrapping }),
    damage,
    headers,
  )
  .map(([to, text, wrap, spoil, given]) => ({ path: to, method: 'POST', headers: given, body: spoil(wrap(Buffer.from(text))) }));

/** Bytes. */
export const bytes: fc.Arbitrary<HostileRequest> = fc
  .tuple(path, fc.uint8Array({ maxLength: 300 }), headers)
  .map(([to, some, given]) => ({ path: to, method: 'POST', headers: given, body: Buffer.from(some) }));

/** Queries and methods, without a body. */
export const queries: fc.Arbitrary<HostileRequest> = fc
  .tuple(
    fc.constantFrom(...PATHS.map((to) => to.split('?')[0] ?? '')),
    fc.constantFrom('GET', 'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'POST'),
    fc.dictionary(fc.constantFrom('data', '_', 'sent_at', 'compression', 'beacon', 'v', 'config'), fc.string({ maxLength: 60 })),
    headers,
  )
  .map(([to, method, query, given]) => ({
    path: `${to}?${new URLSearchParams(query).toString()}`,
    method,
    headers: given,
    body: Buffer.alloc(0),
  }));

/** Bodies of a few kilobytes that unpack to `bytes`, once or twice over. */
export function bombs(size: number): readonly HostileRequest[] {
  const plain = Buffer.alloc(size, 0x20);
  return [gzipSync(plain), gzipSync(gzipSync(plain)), deflateSync(plain), zstdCompressSync(plain), brotliCompressSync(plain)].flatMap(
    (body, index) =>
      ['/e/', '/s/', '/i/v1/analytics/events'].map((to) => ({
        path: to,
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'Content-Encoding': ['gzip', 'gzip', 'deflate', 'zstd', 'br'][index] ?? '' },
        body,
      })),
  );
}
