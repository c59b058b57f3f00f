import { describe, expect, test } from 'vitest';
import type { EventSink } from '../../../src/capture/sink.ts';
import { createCapture } from '../../../src/capture/service.ts';
import { systemClock, systemRandom } from '../../../src/runtime/clock.ts';
import { v1Request, TOPICS, endingWithTest, facts, fakeProducer, listen, serving } from './kit.ts';

const EVENT = JSON.stringify({ api_key: 'phc_x', event: 'a', distinct_id: 'u1' });

describe('the layers of capture', () => {
  test.for<[path: string, allowed: string]>([
    ['/e', 'GET,POST,OPTIONS'],
    ['/flags/', 'GET,POST,OPTIONS'],
    ['/i/v0/ai/batch/', 'POST,OPTIONS'],
    ['/', 'GET,OPTIONS'],
    ['/_readiness', 'GET,OPTIONS'],
    ['/array/phc_x/config.js', 'GET,OPTIONS'],
  ])('%s answers another method with 405 and Allow: %s', async ([path, allowed]) => {
    const served = await serving(fakeProducer());
    for (const method of [
      'PUT',
      'DELETE',
      'PATCH',
      ...(allowed.startsWith('GET,P') ? [] : allowed.startsWith('GET') ? ['POST'] : ['GET', 'HEAD']),
    ]) {
      expect(await served.ask(path, { method, body: '' })).toMatchObject({ status: 405, headers: { allow: allowed } });
    }
  });

  test('HEAD is answered as GET is, without the body', async () => {
    const served = await serving(fakeProducer());
    expect(await served.ask('/e', { method: 'HEAD' })).toMatchObject({ status: 400, body: '', headers: { 'content-length': '28' } });
    expect(await served.ask('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  });

  test('OPTIONS is answered on every path, errors carry the origin, and the preflight may be kept', async () => {
    const served = await serving(fakeProducer());
    const headers = { Origin: 'https://shop.example' };
    expect(await served.ask('/anything', { method: 'OPTIONS', headers })).toMatchObject({
      status: 200,
      headers: { 'access-control-allow-origin': 'https://shop.example', 'access-control-max-age': '7200' },
    });
    for (const [path, status] of [
      ['/anything', 404],
      ['/flags', 200],
      ['/array/phc_x/config.js', 200],
      ['/_liveness', 200],
    ] as const) {
      expect(await served.ask(path, { headers })).toMatchObject({
        status,
        headers: {
          'access-control-allow-origin': 'https://shop.example',
          'access-control-allow-credentials': 'true',
          'access-control-expose-headers': 'Retry-After',
          vary: 'origin, access-control-request-method, access-control-request-headers',
        },
      });
    }
  });

  test('a request keeps the name it brought, and gets one otherwise; the access log has it', async () => {
    const served = await serving(fakeProducer());
    const answered = facts('capture-request-answered');
    const ask = async (headers: Record<string, string>): Promise<unknown> => (await served.ask('/', { headers })).headers['x-request-id'];
    expect(await ask({ 'X-Request-Id': 'lb-7:42' })).toBe('lb-7:42');
    const names = [await ask({ 'X-Request-Id': 'no spaces, please' }), await ask({})];
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{16}-\d+$/);
    expect(new Set(names).size).toBe(2);
    expect(answered.map(({ requestId }) => requestId)).toEqual(['lb-7:42', ...names]);
  });

  test('row 28: the access log knows the token, and of a single event its uuid', async () => {
    const served = await serving(fakeProducer());
    const answered = facts('capture-request-answered');
    const [uuid, other] = ['0198a1b2-0000-7000-8000-000000000001', '0198a1b2-0000-7000-8000-000000000002'];
    const event = (id: string) => ({ event: 'a', uuid: id, token: 't0', distinct_id: 'u1' });
    await served.ask('/e', { body: JSON.stringify(event(uuid)) });
    await served.ask('/e', { body: JSON.stringify([event(uuid), event(other)]) });
    await served.ask('/i/v1/analytics/events', v1Request('t1', uuid));
    await served.ask('/');
    expect(answered.map(({ token, eventId }) => [token, eventId])).toEqual([
      ['t0', uuid],
      ['t0', undefined],
      ['t1', uuid],
      [undefined, undefined],
    ]);
  });

  test('the access log says who asked', async () => {
    const served = await serving(fakeProducer());
    const answered = facts('capture-request-answered');
    const headers = { 'X-Forwarded-For': '1.2.3.4, 5.6.7.8', 'User-Agent': 'ua', Referer: 'https://shop.example/' };
    await served.ask('/e/', { headers, body: EVENT });
    expect(answered).toMatchObject([
      {
        method: 'POST',
        path: '/e',
        client: { address: '127.0.0.1', forwardedFor: '1.2.3.4, 5.6.7.8', userAgent: 'ua', referer: 'https://shop.example/' },
      },
    ]);
  });

  test.for([
    ['off', []],
    ['errors', ['/nope']],
    ['all', ['/e', '/nope', '/']],
  ] as const)('16.2 row 15: TROUPE_CAPTURE_ACCESS_LOG=%s has a line for %j, with the bytes both ways', async ([lines, logged]) => {
    const served = await serving(fakeProducer(), { accessLog: lines });
    const answered = facts('capture-request-answered');
    await served.ask('/e/', { body: EVENT });
    await served.ask('/nope', { body: EVENT });
    await served.ask('/', { method: 'HEAD' });
    const asked = ['/e', '/nope', '/'];
    expect(answered.flatMap(({ isLogged }, at) => (isLogged ? asked[at] : []))).toEqual(logged);
    expect(answered[0]).toMatchObject({ bytes: EVENT.length, sentBytes: '{"status":"Ok"}'.length });
    expect(answered[2]?.sentBytes).toBe(0);
  });

  test('a bug is a 500 of its request, with the stack in the log, and the next request is served', async () => {
    const log = facts('log-written');
    const answered = facts('capture-request-answered');
    let calls = 0;
    const sink: EventSink = {
      send: () => (++calls === 1 ? Promise.reject(new TypeError('planted')) : Promise.resolve({ type: 'acknowledged' })),
    };
    const served = endingWithTest(
      await listen(createCapture({ sink, topics: TOPICS, clock: systemClock, random: systemRandom, sampleRatio: 0 })),
    );
    const headers = { Origin: 'https://shop.example' };
    expect(await served.ask('/e', { body: EVENT, headers })).toMatchObject({
      status: 500,
      body: 'internal error',
      headers: { 'access-control-allow-origin': 'https://shop.example' },
    });
    expect((await served.ask('/e', { body: EVENT })).status).toBe(200);
    expect(log).toMatchObject([
      { level: 'error', fields: { path: '/e', error: expect.stringContaining('TypeError: planted') as unknown } },
    ]);
    expect(answered.map(({ status, reason }) => [status, reason])).toEqual([[500, 'internal'], [200, undefined]]); // prettier-ignore
  });

  test('what goes into the black hole is checked and answered, and goes nowhere', async () => {
    const producer = fakeProducer();
    const served = await serving(producer);
    expect(await served.ask('/test/black_hole', { body: EVENT })).toMatchObject({ status: 200, body: '{"status":"Ok"}' });
    expect(await served.ask('/test/black_hole', { body: '[]' })).toMatchObject({ status: 400 });
    expect(producer.produced).toEqual([]);
  });
});
