import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { serveAll, type Asked, type Produced } from './kit.ts';

const T = 'phc_x';
const D = 'u1';
const EVENT = { event: 'a', distinct_id: D };
const KEYED = { api_key: T, ...EVENT };
const OK = { status: 200, body: '{"status":"Ok"}' };
const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const NO_VARIANT = 'failed to parse request: data did not match any variant of untagged enum RawRequest';
const NOT_HYDRATED = 'failed to hydrate events from request: non-engage request missing event name attribute';
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const json = (value: unknown, headers: Readonly<Record<string, string>> = {}): Asked => ({
  body: JSON.stringify(value),
  headers: { 'Content-Type': 'application/json', ...headers },
});
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64');
const batch = (...events: readonly unknown[]): Asked => json({ api_key: T, batch: events });

/** spec/capture.md 16.1, row 19. */
const DOCUMENT_INPUT = { event: '$pageview', properties: { distinct_id: D, token: T }, timestamp: '2026-11-21T10:00:00.000Z' };

interface Vector {
  /** Number in spec/capture.md 11, and what it is about. */
  readonly name: string;
  readonly path: string;
  readonly asked: Asked;
  readonly status: number;
  /** Whole text, or how it begins. */
  readonly body?: string | RegExp;
  /** What was produced; `[]` unless given. */
  readonly records?: readonly Partial<Produced>[];
}

const refused = (name: string, path: string, asked: Asked, status: number, body: string | RegExp): Vector => ({
  name,
  path,
  asked,
  status,
  body,
});
const taken = (name: string, path: string, asked: Asked, ...records: readonly Partial<Produced>[]): Vector => ({
  name,
  path,
  asked,
  ...OK,
  records,
});
const RECORD = { topic: 'main', key: `${T}:${D}` };

const VECTORS: readonly Vector[] = [
  taken('1 one event', '/e', json(KEYED), { ...RECORD, data: { token: T, distinct_id: D, uuid: null, event: 'a', properties: {} } }),
  taken(
    '16.1 rows 19, 20: what the capture document sends, and the fields of its message; the time is in data and a header',
    '/e',
    json(DOCUMENT_INPUT),
    {
      ...RECORD,
      envelope: expect.objectContaining({
        uuid: expect.stringMatching(UUID_V7) as unknown,
        distinct_id: D,
        data: expect.any(String) as unknown,
      }) as never,
      data: { ...DOCUMENT_INPUT, uuid: null },
      headers: expect.objectContaining({ timestamp: String(Date.parse(DOCUMENT_INPUT.timestamp)) }) as never,
    },
  ),
  ...['/e', '/capture', '/track', '/engage', '/batch', '/i/v0/e'].flatMap((path) =>
    ['', '/'].map((slash) => taken(`2 one event on ${path}${slash}`, path + slash, json(KEYED), RECORD)),
  ),
  taken('3 an array, in order', '/e/', json([{ ...KEYED, token: T }, { ...KEYED, event: 'b' }]), { data: expect.objectContaining({ event: 'a' }) as never }, { data: expect.objectContaining({ event: 'b' }) as never }), // prettier-ignore
  taken("4 the batch's token wins", '/batch', batch({ ...EVENT, api_key: 'other' }), RECORD),
  refused('5 a batch without token', '/batch', json({ batch: [EVENT] }), 400, NOT_HYDRATED),
  taken('6 engage', '/engage', json({ token: T, distinct_id: D, $set: { k: 1 } }), {
    ...RECORD,
    data: { token: T, distinct_id: D, uuid: null, event: '$identify', properties: {}, $set: { k: 1 } },
  }),
  refused('7 engage elsewhere', '/e', json({ token: T, distinct_id: D, $set: { k: 1 } }), 400, NOT_HYDRATED),
  taken('8 gzip that nobody announced', '/e', { body: gzipSync(JSON.stringify(KEYED)), headers: { 'Content-Type': 'text/plain' } }, RECORD),
  refused('9 announced gzip that is none', '/e?compression=gzip-js', json(KEYED), 400, 'failed to decode request: invalid GZIP data'),
  refused('9 a gzip stream that breaks off', '/e', { body: gzipSync(JSON.stringify(KEYED)).subarray(0, 30) }, 400, 'failed to decode request: invalid GZIP data'), // prettier-ignore
  taken('9 Content-Encoding: gzip left by a proxy that unpacked the body', '/e', json(KEYED, { 'Content-Encoding': 'gzip' }), RECORD),
  taken('10 a base64 form', '/e', { body: `data=${encodeURIComponent(base64(KEYED))}`, headers: FORM }, RECORD),
  taken('10 a base64 form whose plus signs were not escaped', '/e', { body: `data=${base64({ ...KEYED, properties: { x: '>>>~~~???' } })}`, headers: FORM }, RECORD), // prettier-ignore
  taken('10 a form with a charset', '/e', { body: `data=${encodeURIComponent(JSON.stringify(KEYED))}`, headers: { 'Content-Type': `${FORM['Content-Type']}; charset=utf-8` } }, RECORD), // prettier-ignore
  taken('11 a base64 form on the new path', '/i/v0/e?compression=base64', { body: `data=${encodeURIComponent(base64(KEYED))}`, headers: FORM }, RECORD), // prettier-ignore
  taken('11 a gzipped, base64 encoded form', '/i/v0/e/', { body: `data=${encodeURIComponent(gzipSync(JSON.stringify(KEYED)).toString('base64'))}`, headers: FORM }, RECORD), // prettier-ignore
  taken(
    '13 GET with data and _',
    `/e/?data=${encodeURIComponent(base64(KEYED))}&_=1795226664518`,
    {},
    {
      ...RECORD,
      envelope: expect.objectContaining({ sent_at: new Date(1795226664518).toISOString() }) as never,
    },
  ),
  taken(
    '13 a _ in seconds is ignored',
    `/e/?data=${encodeURIComponent(base64(KEYED))}&_=1795226664`,
    {},
    {
      envelope: expect.not.objectContaining({ sent_at: expect.anything() as unknown }) as never,
    },
  ),
  refused('14 nothing', '/e', { body: '' }, 400, 'request missing data payload'),
  refused('15 no event', '/e', json([]), 400, 'request holds no event'),
  refused('15 no event goes before a bad token', '/batch', json({ api_key: 'phx_a', batch: [] }), 400, 'request holds no event'),
  refused('16 no JSON', '/e', { body: '{bad' }, 400, /^failed to parse request: /),
  refused('16 null', '/e', { body: 'null' }, 400, NO_VARIANT),
  refused('16 an array with something else', '/e', json([KEYED, null]), 400, NO_VARIANT),
  refused('16 no UTF-8', '/e', { body: Buffer.from([0x7b, 0xff, 0x7d]) }, 400, 'failed to decode request: invalid UTF8 in request payload'),
  refused('17 no token', '/e', json(EVENT), 401, 'event submitted without an api_key'),
  taken('17 a token in the properties', '/e', json({ ...EVENT, properties: { token: T } }), RECORD),
  refused('18 two tokens', '/e', json([{ ...EVENT, token: 'a' }, { ...EVENT, token: 'b' }]), 401, 'batch submitted with inconsistent api_key values'), // prettier-ignore
  taken('18 one token covers its siblings', '/e', json([EVENT, { ...EVENT, token: T }]), RECORD, RECORD),
  refused('19 a personal key', '/e', json({ ...EVENT, token: 'phx_abc' }), 401, 'API key is not valid: personal_api_key'),
  refused('19 a long token', '/e', json({ ...EVENT, token: 'x'.repeat(65) }), 401, 'API key is not valid: too_long'),
  refused('19 a token with é', '/e', json({ ...EVENT, token: 'é' }), 401, 'API key is not valid: not_ascii'),
  refused('19 an empty token', '/e', json({ ...EVENT, token: '' }), 401, 'API key is not valid: empty'),
  refused('20 an empty name', '/e', json({ ...KEYED, event: '' }), 400, 'event submitted with an empty event name'),
  ...[undefined, null, '  '].map((distinct_id) =>
    refused(
      `21 distinct_id ${JSON.stringify(distinct_id)}`,
      '/e',
      json({ ...KEYED, distinct_id }),
      400,
      'event submitted without a distinct_id',
    ),
  ),
  ...(
    [
      [23.4, '23.4'],
      [['a', 'b'], '["a","b"]'],
      ['x'.repeat(222), 'x'.repeat(200)],
      ['😀'.repeat(222), '😀'.repeat(200)],
    ] as const
  ).map(([given, normal]) =>
    // prettier-ignore
    taken(`22 distinct_id ${JSON.stringify(given).slice(0, 20)}`, '/e', json({ ...KEYED, distinct_id: given }), {
      key: `${T}:${normal}`,
      envelope: expect.objectContaining({ distinct_id: normal }) as never,
      data: expect.objectContaining({ distinct_id: given }) as never,
    }),
  ),
  taken('23 the top-level id goes first', '/e', json({ ...KEYED, distinct_id: 23, properties: { distinct_id: 'p' } }), { key: `${T}:23` }),
  taken('23 the id of the properties stands in', '/e', json({ ...KEYED, distinct_id: null, properties: { distinct_id: 'p' } }), { key: `${T}:p` }), // prettier-ignore
  refused('24 two ids', '/e', json({ ...KEYED, $distinct_id: 'other' }), 400, NO_VARIANT),
  refused('25 a uuid that is none', '/e', json({ ...KEYED, uuid: 'nope' }), 400, NO_VARIANT),
  taken('25 an empty uuid', '/e', json({ ...KEYED, uuid: '' }), { envelope: expect.objectContaining({ uuid: expect.stringMatching(UUID_V7) as unknown }) as never }), // prettier-ignore
  ...[
    '{018f0000-0000-7000-8000-00000000abcd}',
    'urn:uuid:018f0000-0000-7000-8000-00000000abcd',
    '018f0000000070008000_'.replace('_', '00000000abcd'),
  ].map(
    (uuid) =>
    taken(`25 the uuid ${uuid}`, '/e', json({ ...KEYED, uuid }), { envelope: expect.objectContaining({ uuid: '018f0000-0000-7000-8000-00000000abcd' }) as never }), // prettier-ignore
  ),
  taken('25 the uuid of the client, in lower case', '/e', json({ ...KEYED, uuid: '018F0000-0000-7000-8000-00000000ABCD' }), {
    envelope: expect.objectContaining({ uuid: '018f0000-0000-7000-8000-00000000abcd' }) as never,
  }),
  taken('26 only $performance_event', '/e', json({ ...KEYED, event: '$performance_event' })),
  taken('26 $performance_event and another', '/batch', batch({ ...EVENT, event: '$performance_event' }, EVENT), RECORD),
  taken('27 historical', '/batch', json({ api_key: T, historical_migration: true, batch: [EVENT] }), {
    topic: 'historical',
    key: `${T}:${D}`,
    envelope: expect.objectContaining({ historical_migration: true }) as never,
    headers: expect.objectContaining({ historical_migration: 'true' }) as never,
  }),
  refused(
    '27 historical_migration as a string',
    '/batch',
    json({ api_key: T, historical_migration: 'true', batch: [EVENT] }),
    400,
    NOT_HYDRATED,
  ),
  taken('28 kinds of events', '/batch', batch({ ...EVENT, event: '$exception' }, { ...EVENT, event: '$$heatmap' }, { ...EVENT, event: '$$client_ingestion_warning' }), // prettier-ignore
    { topic: 'exceptions', key: `${T}:${D}` }, { topic: 'heatmaps', key: `${T}:${D}` }, { topic: 'warnings', key: `${T}:${D}` }), // prettier-ignore
  taken('29 cookieless', '/e', json({ ...KEYED, properties: { $cookieless_mode: true } }, { 'X-Forwarded-For': '1.2.3.4, 9.9.9.9' }), {
    key: `${T}:1.2.3.4`,
    envelope: expect.objectContaining({ ip: '1.2.3.4', is_cookieless_mode: true }) as never,
  }),
  refused('30 cookieless as a string', '/e', json({ ...KEYED, properties: { $cookieless_mode: 'yes' } }), 400, 'event submitted with invalid cookieless mode'), // prettier-ignore
  taken('31 capture_internal', '/e', json({ ...KEYED, properties: { capture_internal: true } }, { 'X-Forwarded-For': '1.2.3.4' }), {
    envelope: expect.objectContaining({ ip: '127.0.0.1' }) as never,
  }),
  refused('50 properties: null', '/batch', batch(EVENT, { ...EVENT, properties: null }), 400, NO_VARIANT),
  refused('50 timestamp: 123', '/batch', batch(EVENT, { ...EVENT, timestamp: 123 }), 400, NO_VARIANT),
  refused('a nesting that no stack holds', '/e', { body: `{"event":"a","api_key":"${T}","distinct_id":"u","properties":{"p":${'['.repeat(200_000)}${']'.repeat(200_000)}}}` }, 400, 'failed to parse request: recursion limit exceeded'), // prettier-ignore
  taken(
    'a lone surrogate becomes U+FFFD, an escaped backslash stays',
    '/e',
    { body: `{"event":"a","api_key":"${T}","distinct_id":"u\\ud83d","properties":{"p":"x\\ud83d","q":"\\\\ud83d"}}` },
    {
      // prettier-ignore
      key: `${T}:u\uFFFD`,
      data: expect.objectContaining({ properties: { p: 'x\uFFFD', q: '\\ud83d' } }) as never,
    },
  ),
];

describe('conformance vectors of the capture endpoints', () => {
  const { producer, ask } = serveAll();

  test.for(VECTORS)('$name', async ({ path, asked, status, body, records = [] }) => {
    const answer = await ask(path, asked);
    expect([answer.status, answer.body]).toEqual([status, body instanceof RegExp ? (expect.stringMatching(body) as unknown) : body]);
    expect(producer.produced).toMatchObject(records);
  });

  test('what is no field of an event never reaches Kafka, and the envelope has what ingestion reads', async () => {
    const uuid = '018f0000-0000-7000-8000-000000000001';
    const sent = {
      ...EVENT,
      uuid,
      type: 'capture',
      library: 'x',
      timestamp: '2026-11-21T10:00:00Z',
      properties: { p: 1 },
      $set_once: { s: 1 },
    };
    await ask('/batch/', json({ api_key: T, batch: [sent], sent_at: '2026-11-21T10:00:05.000Z' }));
    const [record] = producer.produced;
    expect(record?.data).toEqual({
      distinct_id: D,
      uuid,
      event: 'a',
      properties: { p: 1 },
      timestamp: '2026-11-21T10:00:00Z',
      $set_once: { s: 1 },
    });
    expect(record?.envelope).toEqual({
      ...{ uuid, distinct_id: D, ip: '127.0.0.1', token: T, event: 'a', sent_at: '2026-11-21T10:00:05.000Z' },
      now: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown,
      data: expect.any(String) as unknown,
    });
    expect(record?.headers).toMatchObject({
      token: T,
      distinct_id: D,
      event: 'a',
      uuid,
      timestamp: expect.stringMatching(/^\d{13}$/) as unknown,
    });
  });

  test('39 beacon=1 is answered with 204 and nothing', async () => {
    const answer = await ask('/e/?beacon=1', json(KEYED));
    expect([answer.status, answer.body]).toEqual([204, '']);
    expect(producer.produced).toHaveLength(1);
  });

  test('40 OPTIONS echoes origin and headers', async () => {
    const headers = { Origin: 'https://shop.example', 'Access-Control-Request-Headers': 'content-type,x-foo' };
    const answer = await ask('/e', { method: 'OPTIONS', headers });
    expect([answer.status, answer.body]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
      'access-control-allow-headers': 'content-type,x-foo',
      'access-control-allow-methods': 'GET,POST,OPTIONS',
    });
  });

  test('41 an error carries the CORS headers too', async () => {
    const answer = await ask('/e', { body: '{bad', headers: { Origin: 'https://shop.example' } });
    expect(answer.status).toBe(400);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': 'https://shop.example',
      'access-control-allow-credentials': 'true',
    });
  });

  test('44 one event above its limit refuses the request, and its siblings are not produced', async () => {
    const answer = await ask('/batch', batch(EVENT, { ...EVENT, properties: { large: 'x'.repeat(1_000_001) } }));
    expect(answer.status).toBe(413);
    expect(answer.body).toMatch(/^maximum event size exceeded: /);
    expect(producer.produced).toEqual([]);
  });

  test('an unknown path is 404, a method nobody uses 405 with Allow', async () => {
    expect((await ask('/nope', json(KEYED))).status).toBe(404);
    const answer = await ask('/e', { method: 'PUT', body: 'x' });
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET,POST,OPTIONS']);
  });
});
