import { describe, expect, test } from 'vitest';
import { NO_GUARDS } from '../../../../src/capture/guards/guards.ts';
import { storing } from '../../../../src/capture/plugins/storage.ts';
import type { AuthDecision, DataPlugin, PluginEvent, PluginRecord, StoragePlugin } from '../../../../src/capture/plugins/plugin.ts';
import type { RecordsByTopic } from '../../../../src/capture/records.ts';
import type { EventSink, SinkResult } from '../../../../src/capture/sink.ts';
import { systemClock } from '../../../../src/runtime/clock.ts';
import { manualClock } from '../../../kit/clock.ts';
import { facts, fakeProducer, serving, v1Request } from '../kit.ts';
import { never, opened, type Given } from './kit.ts';

/** spec/capture.md 16.1, row 36. */
async function capture(given: readonly Given[], guards = NO_GUARDS) {
  const producer = fakeProducer();
  return { producer, ...(await serving(producer, { plugins: await opened(given), guards })) };
}
const data = (process: DataPlugin['process']): DataPlugin => ({ kind: 'data', process });
const batch = (...events: readonly object[]): { readonly body: string } => ({
  body: JSON.stringify({ api_key: 'phc_x', batch: events.map((event) => ({ event: 'a', distinct_id: 'u1', ...event })) }),
});
const SNAPSHOT = JSON.stringify({
  event: '$snapshot',
  properties: { token: 'phc_x', distinct_id: 'u1', $session_id: 's-1', $snapshot_data: [{ type: 2 }] },
});

describe('plugins of kind data', () => {
  test('change events in their order, one plugin after the other', async () => {
    const add =
      (name: string): DataPlugin['process'] =>
      (event) => ({
        ...event,
        event: event.event + name,
        properties: { ...event.properties, [name]: Object.keys(event.properties).length },
      });
    const { ask, producer } = await capture([
      { plugin: data(add('b')) },
      { plugin: data((event) => Promise.resolve(add('c')(event, undefined as never))) },
    ]);
    expect((await ask('/batch', batch({}, { event: 'x', distinct_id: 'u2', $set: { n: 1 } }))).status).toBe(200);
    expect(producer.produced.map(({ key, data: stored }) => [key, stored['event'], stored['properties'], stored['$set']])).toEqual([
      ['phc_x:u1', 'abc', { b: 0, c: 1 }, undefined],
      ['phc_x:u2', 'xbc', { b: 0, c: 1 }, { n: 1 }],
    ]);
  });

  test('give an event another distinct_id, and its record the key of it', async () => {
    const { ask, producer } = await capture([{ plugin: data((event) => ({ ...event, distinct_id: 'hashed' })) }]);
    await ask('/batch', batch({}));
    expect(producer.produced.map(({ key, envelope }) => [key, envelope['distinct_id']])).toEqual([['phc_x:hashed', 'hashed']]);
  });

  test('leave out events: 200, counted, and named to v1', async () => {
    const { ask, producer } = await capture([{ plugin: data((event) => (event.event === 'a' ? null : event)) }]);
    const drops = facts('capture-events-dropped');
    expect((await ask('/batch', batch({}, { event: 'b' }))).body).toBe('{"status":"Ok"}');
    expect(producer.produced.map(({ data: stored }) => stored['event'])).toEqual(['b']);
    const uuid = '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b7d';
    expect(JSON.parse((await ask('/i/v1/analytics/events', v1Request('phc_x', uuid))).body)).toEqual({
      results: { [uuid]: { result: 'drop', details: 'plugin' } },
    });
    expect(drops).toEqual([
      { cause: 'plugin', count: 1 },
      { cause: 'plugin', count: 1 },
    ]);
  });

  test.each<[string, DataPlugin['process']]>([
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    [
      'changes the event, and throws then',
      (event) => {
        event.properties['x'] = 2;
        event.event = 'z';
        throw new Error('no');
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
    ['gives back nothing', () => undefined as never],
    ['gives back a text', () => 'text' as never],
    ['takes the name away', (event) => ({ ...event, event: '' })],
    ['takes the properties away', (event) => ({ event: event.event }) as never],
    ['gives it properties that are none', (event) => ({ ...event, properties: [] as never })],
    ['gives it a $set that is none', (event) => ({ ...event, $set: 'x' as never })],
    ['gives it a timestamp that is none', (event) => ({ ...event, timestamp: new Date(0).getTime() as never })],
    ['gives it what no JSON can say', (event) => ({ ...event, properties: { n: 1n } })],
  ])('one that %s leaves its event as it was', async (_, process) => {
    const { ask, producer } = await capture([
      { plugin: data((event, about) => (event.properties['ok'] === true ? event : process(event, about))) },
    ]);
    const failed = facts('capture-plugin-failed');
    expect((await ask('/batch', batch({ properties: { x: 1 }, $set: { y: 1 } }, { properties: { ok: true } }))).status).toBe(200);
    expect(producer.produced.map(({ data: stored }) => [stored['event'], stored['properties'], stored['$set']])).toEqual([
      ['a', { x: 1 }, { y: 1 }],
      ['a', { ok: true }, undefined],
    ]);
    expect(failed).toMatchObject([{ plugin: 'p', why: 'error' }]);
  });

  test('onError: refuse asks the client to come again, v1 too, and nothing is stored', async () => {
    const plugin = data(() => Promise.reject(new Error('no')));
    const { ask, producer } = await capture([{ plugin, onError: 'refuse' }]);
    const answer = await ask('/batch', batch({}));
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    const uuid = '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b7e';
    expect((await ask('/i/v1/analytics/events', v1Request('phc_x', uuid))).body).toContain('"retry"');
    expect(producer.produced).toEqual([]);
  });

  test('one that hangs costs a request its time once, however many events it has', async () => {
    const { ask, producer } = await capture([{ plugin: data(never), timeoutMs: 50 }]);
    const startedAt = performance.now();
    expect((await ask('/batch', batch(...Array.from({ length: 40 }, () => ({}))))).status).toBe(200);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect(producer.produced).toHaveLength(40);
  });

  test('an event goes through with its long numbers, and cannot be changed afterwards', async () => {
    let kept: PluginEvent | undefined;
    const { ask, producer } = await capture([
      { plugin: data((event) => (kept = event)) },
      {
        plugin: data((event) => {
          if (kept !== undefined) kept.properties['late'] = true;
          return event;
        }),
      },
    ]);
    await ask('/e', { body: '{"api_key":"phc_x","event":"a","distinct_id":"u1","properties":{"n":123456789012345678901}}' });
    expect(producer.produced[0]?.envelope['data']).toContain('"properties":{"n":123456789012345678901}');
  });

  test('are told whose event it is, by which way it came, and from where', async () => {
    const seen: unknown[] = [];
    const plugin = data((event, { signal, receivedMs, ...about }) => {
      seen.push({ ...about, event, isRecent: Math.abs(Date.now() - receivedMs) < 60_000, aborted: signal.aborted });
      return event;
    });
    const { ask } = await capture([{ plugin }], { ...NO_GUARDS, addresses: 'anonymise' });
    const uuid = '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b7f';
    await ask('/batch/', { ...batch({ uuid, timestamp: '2026-01-01' }), headers: { 'X-Forwarded-For': '203.0.113.7' } });
    const event = { event: 'a', distinct_id: 'u1', properties: {}, timestamp: '2026-01-01', uuid };
    expect(seen).toEqual([{ token: 'phc_x', path: '/batch', ip: '203.0.113.0', event, isRecent: true, aborted: false }]);
  });

  test('what they add is masked; recordings are not theirs', async () => {
    const plugin = data((event) => ({ ...event, properties: { ...event.properties, secret: 1 } }));
    const masking = { remove: ['secret'], replace: [], detect: [] };
    const { ask, producer } = await capture([{ plugin }], { ...NO_GUARDS, masking });
    await ask('/batch', batch({}));
    await ask('/s', { body: SNAPSHOT });
    expect(producer.produced.map(({ data: stored }) => Object.keys(stored['properties'] as object))).toEqual([
      [],
      expect.not.arrayContaining(['secret']),
    ]);
  });
});

describe('plugins of kind auth', () => {
  const auth = (decision: AuthDecision | (() => Promise<AuthDecision>), more: Partial<Given> = {}): Given => ({
    ...more,
    plugin: { kind: 'auth', process: typeof decision === 'function' ? decision : () => decision },
  });

  const uuid = '0198f3c2-8c86-7d7c-a4ae-5f0d5fbc2b80';
  test.each([
    ['/batch', batch({})],
    ['/s', { body: SNAPSHOT }],
    ['/i/v1/analytics/events', v1Request('phc_x', uuid)],
  ])('%s: who is denied gets 401 and the reason, and nothing is stored', async (path, asked) => {
    const { ask, producer } = await capture([auth({ allow: true }), auth({ allow: false, reason: 'not on Sundays' })]);
    const answer = await ask(path, asked);
    expect([answer.status, answer.body]).toEqual([401, expect.stringContaining('request is not allowed: not on Sundays')]);
    expect(producer.produced).toEqual([]);
  });

  test('a token gets another name: in the record, in its key, in its headers and in the event', async () => {
    const seen: string[] = [];
    const { ask, producer } = await capture([
      auth({ allow: true, token: ' phc_new ' }),
      { plugin: { kind: 'auth', process: ({ token }) => (seen.push(token), { allow: true }) } },
    ]);
    await ask('/e', { body: JSON.stringify({ token: 'phc_x', event: 'a', distinct_id: 'u1', properties: { token: 'phc_x', a: 1 } }) });
    const [stored] = producer.produced;
    expect(seen).toEqual(['phc_new']);
    expect([stored?.key, stored?.headers['token'], stored?.envelope['token']]).toEqual(['phc_new:u1', 'phc_new', 'phc_new']);
    expect(JSON.stringify(stored)).not.toContain('phc_x');
  });

  test('what is laid down for tokens is that of the new name', async () => {
    const producer = fakeProducer();
    const plugins = await opened([
      { plugin: { kind: 'auth', process: ({ token }) => ({ allow: true, ...(token === 'phc_x' ? { token: 'phc_new' } : {}) }) } },
    ]);
    const { ask } = await serving(producer, { plugins, tokens: { listed: ['phc_new'], refusesUnknown: true, registry: undefined } });
    expect((await ask('/batch', batch({}))).status).toBe(200);
    expect((await ask('/s', { body: SNAPSHOT })).status).toBe(200);
    expect((await ask('/e', { body: JSON.stringify({ token: 'phc_other', event: 'a', distinct_id: 'u1' }) })).status).toBe(401);
    expect(producer.produced.map(({ headers: { token } }) => token)).toEqual(['phc_new', 'phc_new']);
  });

  test('it sees the headers and cannot change them', async () => {
    const failed = facts('capture-plugin-failed');
    const seen: unknown[] = [];
    const { ask } = await capture([
      {
        plugin: {
          kind: 'auth',
          process: ({ headers, path, ip }) => {
            seen.push(headers['x-key'], path, ip);
            (headers as Record<string, string>)['x-key'] = 'other';
            return { allow: true };
          },
        },
      },
    ]);
    expect((await ask('/batch', { ...batch({}), headers: { 'X-Key': 'k', 'X-Forwarded-For': '203.0.113.7' } })).status).toBe(503);
    expect(seen).toEqual(['k', '/batch', '203.0.113.7']);
    expect(failed).toMatchObject([{ message: expect.stringContaining('read only') as string }]);
  });

  test.each<[string, () => Promise<AuthDecision>]>([
    ['rejects', () => Promise.reject(new Error('no'))],
    ['gives back nothing', () => Promise.resolve(undefined as never)],
    ['gives back something true', () => Promise.resolve({ allow: 'yes' } as never)],
    ['gives the token a name that is none', () => Promise.resolve({ allow: true, token: 'phx_personal' })],
  ])('one that %s lets nobody in: 503, to come again; with onError: pass everybody', async (_, process) => {
    const closed = await capture([auth(process)]);
    expect((await closed.ask('/batch', batch({}))).status).toBe(503);
    expect(closed.producer.produced).toEqual([]);
    const open = await capture([auth(process, { onError: 'pass' })]);
    expect((await open.ask('/batch', batch({}))).status).toBe(200);
    expect(open.producer.produced.map(({ key }) => key)).toEqual(['phc_x:u1']);
  });
});

describe('plugins of kind storage', () => {
  const RECORDS: RecordsByTopic = new Map([
    ['main', [{ key: Buffer.from('k'), value: Buffer.from('1'), headers: { token: 't' } }]],
    ['other', [{ key: null, value: Buffer.from('2') }]],
  ]);
  const sink = (result: SinkResult, limits: number[] = []): EventSink => ({
    send: (_, limitMs) => (limits.push(limitMs), Promise.resolve(result)),
  });
  const storage = (role: StoragePlugin['role'], process: StoragePlugin['process']): Given => ({
    plugin: { kind: 'storage', role, process },
  });
  const valuesOf = (records: readonly PluginRecord[]): string[] => records.map(({ topic, value }) => `${topic}=${value.toString()}`);
  const OK: SinkResult = { type: 'acknowledged' };
  const missing: RecordsByTopic = new Map([...RECORDS].slice(1));
  const AWAY: SinkResult = { type: 'unavailable', missing, error: new Error('Kafka is away') };

  test('P1: a mirror gets what is durable, after the answer, and its failures change nothing', async () => {
    const got: string[][] = [];
    const { storage: plugins } = await opened([
      storage('mirror', never),
      storage('mirror', () => Promise.reject(new Error('no'))),
      storage('mirror', (records) => (got.push(valuesOf(records)), Promise.resolve())),
    ]);
    const stored = storing(sink(OK), plugins, systemClock);
    expect(await stored.send(RECORDS, 5_000)).toEqual(OK);
    expect(got).toEqual([['main=1', 'other=2']]);
  });

  test('P1: it gets nothing of what is not durable', async () => {
    const got: string[][] = [];
    const { storage: plugins } = await opened([storage('mirror', (records) => (got.push(valuesOf(records)), Promise.resolve()))]);
    expect(await storing(sink(AWAY), plugins, systemClock).send(RECORDS, 5_000)).toEqual(AWAY);
    expect(got).toEqual([]);
  });

  test('P1: mirrors that hang hold no more than their bytes; what they miss is counted, and settled ends with their time', async () => {
    const told = facts('capture-plugin-called');
    const clock = manualClock();
    const { storage: plugins } = await opened([storage('mirror', never)], { clock });
    const large: RecordsByTopic = new Map([['main', [{ key: null, value: Buffer.alloc(12 << 20) }]]]);
    const stored = storing(sink(OK), plugins, clock);
    for (let sends = 0; sends < 4; sends++) await stored.send(large, 5_000);
    expect(told.map(({ skipped }) => skipped)).toEqual([1, 1]);
    clock.advance(1_000);
    await stored.settled();
    expect(told).toHaveLength(4);
    await stored.send(large, 5_000); // there is room again
    expect(told).toHaveLength(4);
  });

  test('P2: the first fallback that takes it makes it durable, of what the sink has not; the others get nothing', async () => {
    const got: string[][] = [];
    const take = (name: string) => storage('fallback', (records) => (got.push([name, ...valuesOf(records)]), Promise.resolve()));
    const { storage: plugins } = await opened([storage('fallback', () => Promise.reject(new Error('full'))), take('b'), take('c')]);
    expect(await storing(sink(AWAY), plugins, systemClock).send(RECORDS, 5_000)).toEqual({
      type: 'acknowledged',
      spilled: { code: 'fallback', error: 'Kafka is away' },
    });
    expect(got).toEqual([['b', 'other=2']]);
  });

  test('P2: fallbacks get nothing while the sink takes all, and nothing of what is too large', async () => {
    const { storage: plugins } = await opened([
      storage('fallback', () => {
        throw new Error('it was called');
      }),
    ]);
    const failed = facts('capture-plugin-failed');
    const tooLarge: SinkResult = { type: 'too-large', detail: 'x' };
    expect(await storing(sink(OK), plugins, systemClock).send(RECORDS, 5_000)).toEqual(OK);
    expect(await storing(sink(tooLarge), plugins, systemClock).send(RECORDS, 5_000)).toEqual(tooLarge);
    expect(failed).toEqual([]);
  });

  test('P3: the sink leaves a tenth of the time, and fallbacks that hang end with the rest', async () => {
    const clock = manualClock();
    const { storage: plugins } = await opened([{ ...storage('fallback', never), timeoutMs: 60_000 }, storage('fallback', never)], {
      clock,
    });
    const limits: number[] = [];
    const slow: EventSink = {
      send: (_, limitMs) => new Promise((resolve) => void (limits.push(limitMs), clock.after(limitMs, () => resolve(AWAY)))),
    };
    let ended: SinkResult | undefined;
    void storing(slow, plugins, clock)
      .send(RECORDS, 5_000)
      .then((result) => (ended = result));
    for (let elapsedMs = 0; elapsedMs < 5_000; elapsedMs += 100) {
      expect(ended).toBeUndefined();
      clock.advance(100);
      await new Promise(setImmediate);
    }
    expect(limits).toEqual([4_500]);
    expect(ended).toEqual(AWAY);
  });

  test('in capture: what neither Kafka nor a disk takes is answered 200 when the fallback has it, and 503 when not', async () => {
    const got: string[] = [];
    let isAway = false;
    const { storage: plugins } = await opened([
      storage('fallback', (records) => {
        if (isAway) return Promise.reject(new Error('away'));
        got.push(...records.map(({ headers }) => String(headers['event'])));
        return Promise.resolve();
      }),
    ]);
    const away = sink({ type: 'unavailable', missing: new Map(), error: new Error('away') });
    const failing: EventSink = {
      send: async (records, limitMs) => ({ ...(await away.send(records, limitMs)), missing: records }) as SinkResult,
    };
    const { ask } = await serving(fakeProducer(), { sink: storing(failing, plugins, systemClock) } as object);
    expect((await ask('/batch', batch({}, { event: 'b' }))).status).toBe(200);
    expect(got).toEqual(['a', 'b']);
    isAway = true;
    expect((await ask('/batch', batch({}))).status).toBe(503);
  });
});
