import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { serveAll, type Asked } from './kit.ts';

/** spec/capture.md 6.7 and vectors 36 to 38. */
const SESSION = '018f0000-0000-7000-8000-0000000000aa';
const snapshot = (properties: Readonly<Record<string, unknown>> = {}, fields: Readonly<Record<string, unknown>> = {}): unknown => ({
  event: '$snapshot',
  properties: { token: 'phc_x', distinct_id: 'u1', $session_id: SESSION, $snapshot_data: [{ type: 3 }], ...properties },
  ...fields,
});
const json = (value: unknown, headers: Readonly<Record<string, string>> = {}): Asked => ({ body: JSON.stringify(value), headers });

describe('session recordings', () => {
  const { producer, ask } = serveAll({ limits: { recordingBytes: 2 << 20 } });
  const refusal = async (asked: Asked): Promise<[number, string]> => {
    const { status, body } = await ask('/s/', asked);
    expect(producer.produced).toEqual([]);
    return [status, body];
  };

  test('36: the snapshots of a request are one record under the session, with all items in order', async () => {
    const first = snapshot(
      { $snapshot_data: [{ n: 1 }, { n: 2 }] },
      { uuid: SESSION, timestamp: '2026-11-21T10:00:00Z', sent_at: '2026-11-21T10:00:05Z' },
    );
    const second = snapshot({ $snapshot_data: [{ n: 3 }, { n: 4 }, { n: 5 }], $window_id: 'other', custom: 'gone' });
    expect(await ask('/s/', json([first, second], { 'X-Forwarded-For': '1.2.3.4' }))).toMatchObject({
      status: 200,
      body: '{"status":"Ok"}',
    });
    expect(producer.produced).toEqual([
      {
        topic: 'recordings',
        key: SESSION,
        envelope: {
          uuid: SESSION,
          distinct_id: 'u1',
          ip: '1.2.3.4',
          data: expect.any(String) as unknown,
          now: expect.stringMatching(/Z$/) as unknown,
          sent_at: '2026-11-21T10:00:05.000Z',
          token: 'phc_x',
          event: '$snapshot_items',
        },
        data: {
          event: '$snapshot_items',
          properties: {
            distinct_id: 'u1',
            $session_id: SESSION,
            $window_id: SESSION,
            $snapshot_source: 'web',
            $snapshot_items: [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }, { n: 5 }],
            $lib: 'web',
          },
        },
        headers: {
          token: 'phc_x',
          distinct_id: 'u1',
          session_id: SESSION,
          timestamp: expect.stringMatching(/^\d{13}$/) as unknown,
          event: '$snapshot_items',
          uuid: SESSION,
          now: expect.any(String) as unknown,
        },
      },
    ]);
  });

  test('38: window, source and lib are what the snapshot says, and have defaults', async () => {
    await ask('/s', json(snapshot({ $window_id: 'w', $snapshot_source: 'mobile', $lib: 'posthog-ios' })));
    await ask('/s', json(snapshot({}), { 'User-Agent': 'Mozilla/5.0' }));
    await ask('/s', json(snapshot({ $snapshot_data: { one: true } }), { 'User-Agent': 'posthog-android/3.1' }));
    const said = producer.produced.map(({ data }) => data['properties']);
    expect(said).toMatchObject([
      { $window_id: 'w', $snapshot_source: 'mobile', $lib: 'posthog-ios' },
      { $window_id: SESSION, $snapshot_source: 'web', $lib: 'web' },
      { $window_id: SESSION, $snapshot_source: 'web', $lib: 'posthog-android', $snapshot_items: [{ one: true }] },
    ]);
  });

  test.for<[name: string, properties: Readonly<Record<string, unknown>>, body: string]>([
    ['no session id', { $session_id: undefined }, 'replay event submitted without session id'],
    ['a session id of null', { $session_id: null }, 'replay event submitted without session id'],
    ['a session id with a space', { $session_id: 'a b' }, 'replay event has invalid session id'],
    ['a session id of 71 characters', { $session_id: 'a'.repeat(71) }, 'replay event has invalid session id'],
    ['a session id that is a number', { $session_id: 7 }, 'replay event has invalid session id'],
    ['no snapshot data', { $snapshot_data: undefined }, 'replay event submitted without snapshot data'],
    ['snapshot data that is a string', { $snapshot_data: 'x' }, 'replay event submitted without snapshot data'],
    ['no distinct_id, which is asked first', { distinct_id: undefined, $session_id: undefined }, 'event submitted without a distinct_id'],
  ])('37: %s is a 400', async ([, properties, body]) => {
    expect(await refusal(json(snapshot(properties)))).toEqual([400, body]);
  });

  test('37: a number that no double holds is no snapshot data either', async () => {
    const body = JSON.stringify(snapshot({ $snapshot_data: 'DIGITS' })).replace('"DIGITS"', '123456789012345678901');
    expect(await refusal({ body })).toEqual([400, 'replay event submitted without snapshot data']);
  });

  test('37: one snapshot without data refuses its siblings', async () => {
    expect(await refusal(json([snapshot(), snapshot({ $snapshot_data: null })]))).toEqual([
      400,
      'replay event submitted without snapshot data',
    ]);
  });

  test('an empty array is no event, a batch is no recording', async () => {
    expect(await refusal(json([]))).toEqual([400, 'request holds no event']);
    expect((await refusal(json({ api_key: 'phc_x', batch: [snapshot()] })))[0]).toBe(400);
  });

  test('5.1: the first token counts, whatever the others are', async () => {
    await ask('/s', json([snapshot({}, { api_key: 'phc_first' }), snapshot({ token: 'phc_other' })]));
    expect(producer.produced[0]?.envelope['token']).toBe('phc_first');
    producer.produced.length = 0;
    expect((await refusal(json([snapshot({ token: undefined }), snapshot()])))[0]).toBe(401);
  });

  test('a cookieless recording says so, and keeps the session as its key', async () => {
    await ask('/s', json(snapshot({ $cookieless_mode: true })));
    expect(producer.produced).toMatchObject([{ key: SESSION, envelope: { is_cookieless_mode: true } }]);
    producer.produced.length = 0;
    expect((await refusal(json(snapshot({ $cookieless_mode: 'yes' }))))[0]).toBe(400);
  });

  test('the bytes that posthog-js puts in strings arrive code point by code point, gzipped and plain', async () => {
    const binary = gzipSync(JSON.stringify({ html: 'x'.repeat(500) })).toString('latin1');
    const every = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
    const items = [{ type: 2, cv: '2024-10', data: binary }, { data: every }, { data: 'é 中 😀 \u2028' }];
    for (const body of [
      JSON.stringify([snapshot({ $snapshot_data: items })]),
      gzipSync(JSON.stringify([snapshot({ $snapshot_data: items })])),
    ]) {
      expect((await ask('/s/', { body })).status).toBe(200);
    }
    for (const { data } of producer.produced) expect(data['properties']).toMatchObject({ $snapshot_items: items });
    expect(producer.produced).toHaveLength(2);
  });

  test('3: a recording above the limit of one record, or of the body, is a 413', async () => {
    expect(await refusal(json(snapshot({ $snapshot_data: ['x'.repeat(1_000_000)] })))).toEqual([
      413,
      expect.stringMatching(/^maximum event size exceeded: the recording has/),
    ]);
    expect((await refusal({ body: gzipSync(Buffer.alloc(3 << 20, 0x20)) }))[0]).toBe(413);
  });

  test('39: beacon=1 is a 204', async () => {
    expect(await ask('/s/?beacon=1', json(snapshot()))).toMatchObject({ status: 204, body: '' });
  });
});
