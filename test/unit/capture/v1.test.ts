import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import type { EventSink, SinkResult } from '../../../src/capture/sink.ts';
import { createCapture } from '../../../src/capture/service.ts';
import { systemClock, systemRandom } from '../../../src/runtime/clock.ts';
import { TOPICS, fakeProducer, listen, serve, serveAll, type Answered, type Served } from './kit.ts';

/** spec/capture.md 12. */
const PATH = '/i/v1/analytics/events';
const uuid = (n: number): string => `018f0000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const TIME = '2026-11-21T10:00:00.000Z';
const HEADERS = {
  Authorization: 'Bearer phc_x',
  'Content-Type': 'application/json',
  'User-Agent': 'posthog-node/5.70.0',
  'PostHog-Sdk-Info': 'posthog-node/5.70.0',
  'PostHog-Attempt': '1',
  'PostHog-Request-Id': uuid(99),
  'PostHog-Request-Timestamp': '2026-11-21T10:00:05.000Z',
};
type Fields = Readonly<Record<string, unknown>>;
const event = (n: number, fields: Fields = {}): Fields => ({
  event: 'a',
  uuid: uuid(n),
  distinct_id: 'u1',
  timestamp: TIME,
  options: {},
  ...fields,
});
const batch = (...events: readonly unknown[]): Fields => ({ created_at: TIME, batch: events });

describe('the v1 protocol', () => {
  const served = serveAll();
  const { producer } = served;
  const ask = (body: unknown, headers: Readonly<Record<string, string>> = {}, at: Pick<Served, 'ask'> = served): Promise<Answered> =>
    at.ask(PATH, {
      body: Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body),
      headers: { ...HEADERS, ...headers },
    });
  const said = ({ body }: Answered): unknown => JSON.parse(body) as unknown;

  test('what v1 moves out of the properties is back in them, so that the record looks like one of v0', async () => {
    const sent = event(1, {
      session_id: 's1',
      window_id: 'w1',
      options: { cookieless_mode: false, disable_skew_correction: true, process_person_profile: false, product_tour_id: 't', later: 1 },
      properties: { p: 1, $set: { plan: 'pro' } },
    });
    const answer = await ask(batch(sent), { 'X-Forwarded-For': '1.2.3.4' });
    expect([answer.status, said(answer)]).toEqual([200, { results: { [uuid(1)]: { result: 'ok' } } }]);
    expect(producer.produced).toMatchObject([
      {
        topic: 'main',
        key: 'phc_x:u1',
        envelope: { uuid: uuid(1), distinct_id: 'u1', ip: '1.2.3.4', token: 'phc_x', sent_at: '2026-11-21T10:00:05.000Z' },
        headers: { timestamp: String(Date.parse(TIME)) },
      },
    ]);
    expect(producer.produced[0]?.data).toEqual({
      event: 'a',
      uuid: uuid(1),
      distinct_id: 'u1',
      timestamp: TIME,
      properties: {
        p: 1,
        $set: { plan: 'pro' },
        $session_id: 's1',
        $window_id: 'w1',
        $cookieless_mode: false,
        $ignore_sent_at: true,
        $process_person_profile: false,
        $product_tour_id: 't',
        $lib: 'posthog-node',
        $lib_version: '5.70.0',
      },
    });
  });

  test("historical_migration and capture_internal are the request's", async () => {
    await ask({ ...batch(event(1)), historical_migration: true, capture_internal: true });
    expect(producer.produced).toMatchObject([{ topic: 'historical', envelope: { ip: '127.0.0.1', historical_migration: true } }]);
  });

  test.for<[details: string, fields: Fields]>([
    ['no_event_name', { event: '' }],
    ['no_event_name', { event: 7 }],
    ['event_name_too_long', { event: 'é'.repeat(201) }],
    ['no_distinct_id', { distinct_id: undefined }],
    ['no_distinct_id', { distinct_id: '  ' }],
    ['distinct_id_too_long', { distinct_id: '😀'.repeat(201) }],
    ['invalid_timestamp', { timestamp: '2026-11-21' }],
    ['invalid_timestamp', { timestamp: undefined }],
    ['invalid_properties', { properties: [] }],
    ['invalid_options', { options: { cookieless_mode: 'yes' } }],
    ['invalid_options', { session_id: 7 }],
    ['event_too_big', { properties: { large: 'x'.repeat(1_000_001) } }],
  ])('an event is left out as %s, and its siblings are stored', async ([details, fields]) => {
    const answer = await ask(batch(event(1), event(2, fields), event(3)));
    expect([answer.status, said(answer)]).toEqual([
      200,
      { results: { [uuid(1)]: { result: 'ok' }, [uuid(2)]: { result: 'drop', details }, [uuid(3)]: { result: 'ok' } } },
    ]);
    expect(producer.produced.map(({ envelope }) => envelope['uuid'])).toEqual([uuid(1), uuid(3)]);
  });

  test('names and ids of 200 characters are taken whole', async () => {
    await ask(batch(event(1, { event: '😀'.repeat(200), distinct_id: '😀'.repeat(200) })));
    expect(producer.produced).toMatchObject([{ key: `phc_x:${'😀'.repeat(200)}` }]);
  });

  test.for(['anonymous', 'NULL', 'undefined', 'Guest', 'null'])(
    'an id that many people have is taken without a person: %s',
    async (distinctId) => {
      const answer = await ask(batch(event(1, { distinct_id: distinctId, options: { process_person_profile: true } })));
      const isShared = distinctId !== 'NULL'; // rule 3.6 tells null from NULL
      expect(said(answer)).toEqual({
        results: { [uuid(1)]: isShared ? { result: 'warning', details: 'person_processing_disabled' } : { result: 'ok' } },
      });
      expect(producer.produced[0]?.data['properties']).toMatchObject({ $process_person_profile: !isShared });
    },
  );

  test.for<[name: string, body: unknown, description: string]>([
    ['nothing', '', 'request missing data payload'],
    ['no JSON', '{bad', 'failed to parse request: '],
    ['no object', [], 'failed to parse request: the body is no object'],
    ['no batch', { created_at: TIME }, 'failed to parse request: batch is missing or no array'],
    ['an empty batch', batch(), 'request holds no event'],
    ['no created_at', { batch: [event(1)] }, 'failed to parse request: created_at is missing or no RFC 3339 date'],
    ['an event without a uuid', batch(event(1), { ...event(2), uuid: undefined }), 'failed to parse request: an event has no valid uuid'],
    ['an event that is none', batch(null), 'failed to parse request: an event has no valid uuid'],
    [
      'two events of one uuid',
      batch(event(1), { ...event(1), uuid: uuid(1).toUpperCase() }),
      'failed to parse request: two events have one uuid',
    ],
  ])('%s is a 400 for the whole request, as JSON', async ([, body, description]) => {
    const answer = await ask(body);
    expect([answer.status, answer.headers['content-type']]).toEqual([400, 'application/json']);
    expect(said(answer)).toEqual({
      error: expect.stringMatching(/^[a-z_]+$/) as unknown,
      error_description: expect.stringContaining(description) as unknown,
      error_uri: expect.stringMatching(/^https:/) as unknown,
    });
    expect(producer.produced).toEqual([]);
  });

  test.for<[name: string, headers: Readonly<Record<string, string>>, status: number, description: string]>([
    ['no Authorization', { Authorization: '' }, 401, 'event submitted without an api_key'],
    ['another scheme', { Authorization: 'Basic abc' }, 401, 'event submitted without an api_key'],
    ['a personal key', { Authorization: 'bearer phx_1' }, 401, 'API key is not valid: personal_api_key'],
    ['another content type', { 'Content-Type': 'text/plain' }, 415, 'Content-Type must be application/json'],
    ['lz4', { 'Content-Encoding': 'lz4' }, 415, 'Content-Encoding must be gzip, deflate, br, zstd or identity'],
    ['gzip that is none', { 'Content-Encoding': 'gzip' }, 400, 'failed to decode request: invalid GZIP data'],
    ['attempt 0', { 'PostHog-Attempt': '0' }, 400, 'missing or invalid headers: PostHog-Attempt'],
    ['several at once', { 'PostHog-Sdk-Info': '', 'PostHog-Request-Id': 'x', 'PostHog-Request-Timestamp': '1795226664' }, 400, 'missing or invalid headers: PostHog-Sdk-Info, PostHog-Request-Id, PostHog-Request-Timestamp'], // prettier-ignore
  ])('headers: %s', async ([, headers, status, description]) => {
    const answer = await ask(batch(event(1)), headers);
    expect([answer.status, said(answer)]).toMatchObject([status, { error_description: description }]);
  });

  test.for([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ] as const)('%s is unpacked', async ([encoding, compress]) => {
    const answer = await ask(compress(JSON.stringify(batch(event(1)))), {
      'Content-Encoding': encoding,
      'Content-Type': 'application/json; charset=utf-8',
    });
    expect(said(answer)).toEqual({ results: { [uuid(1)]: { result: 'ok' } } });
  });

  test('3: a bomb is a 413', async () => {
    const small = await serve(fakeProducer(), { limits: { v1DecodedBytes: 1 << 20 } });
    expect((await ask(gzipSync(Buffer.alloc(8 << 20, 0x20)), { 'Content-Encoding': 'gzip' }, small)).status).toBe(413);
    await small.close();
  });

  test('only POST is served', async () => {
    expect(await served.ask(PATH)).toMatchObject({ status: 405, headers: { allow: 'POST,OPTIONS' } });
  });

  const withSink = (result: SinkResult): Promise<Served> => {
    const sink: EventSink = { send: () => Promise.resolve(result) };
    return listen(createCapture({ sink, topics: TOPICS, clock: systemClock, random: systemRandom, sampleRatio: 0 }));
  };

  test('what could not be stored is to be sent again, what never can be is not', async () => {
    const away = await withSink({ type: 'unavailable', missing: new Map(), error: new Error('away') });
    const answer = await ask(batch(event(1), event(2, { event: '' })), {}, away);
    expect([answer.status, answer.headers['retry-after'], said(answer)]).toEqual([
      200,
      '1',
      { results: { [uuid(1)]: { result: 'retry', details: 'not_persisted' }, [uuid(2)]: { result: 'drop', details: 'no_event_name' } } },
    ]);
    await away.close();
  });

  test('what Kafka finds too large is a 413 in JSON, since nobody knows which event it was', async () => {
    const narrow = await withSink({ type: 'too-large', detail: 'by 1 byte' });
    expect(await ask(batch(event(1), event(2)), {}, narrow)).toMatchObject({ status: 413 });
    await narrow.close();
  });
});
