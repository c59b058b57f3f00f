import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { watchRestrictions } from '../../../src/capture/restrictions/watch.ts';
import { StateStoreError } from '../../../src/redis/port.ts';
import { manualClock, type ManualClock } from '../../kit/clock.ts';
import { facts, fakeProducer, serving, settled, v1Request, type Served } from './kit.ts';

/** spec/capture.md 7.4. */
type Type =
  'drop_event_from_ingestion' | 'force_overflow_from_ingestion' | 'redirect_to_dlq' | 'redirect_to_topic' | 'skip_person_processing';
type Texts = Partial<Record<Type, string>>;

const UUID = '018f0000-0000-7000-8000-000000000001';
const SESSION = '018f0000-0000-7000-8000-0000000000aa';
const entry = (fields: object = {}): object => ({ version: 2, token: 'phc_x', pipelines: ['analytics'], ...fields });
const PREFIX = 'event_ingestion_restriction_dynamic_config:';

/** Redis with these texts; `isAway` makes it refuse, and so does what stands in `broken` for its type. */
function fakeRedis(texts: Texts) {
  const self = {
    texts,
    isAway: false,
    asked: 0,
    get(key: string): Promise<string | undefined> {
      self.asked++;
      expect(key.startsWith(PREFIX)).toBe(true);
      return self.isAway ? Promise.reject(new StateStoreError('away')) : Promise.resolve(self.texts[key.slice(PREFIX.length) as Type]);
    },
  };
  return self;
}

let clock: ManualClock;
beforeEach(() => {
  clock = manualClock();
});

async function watching(texts: Texts) {
  const store = fakeRedis(texts);
  const restrictions = watchRestrictions({ store, clock, topics: new Set(['main', 'aside']), intervalMs: 30_000, staleMs: 300_000 });
  await settled();
  return { store, restrictions };
}

describe('event restrictions, asked by a request', () => {
  const producer = fakeProducer();
  afterEach(() => {
    producer.produced.length = 0;
  });
  const restricting = async (given: Partial<Record<Type, readonly object[]>>): Promise<Served> => {
    const texts = Object.fromEntries(Object.entries(given).map(([type, entries]) => [type, JSON.stringify(entries)])) as Texts;
    return serving(producer, { restrictions: (await watching(texts)).restrictions });
  };
  const send = async (served: Served, ...events: readonly object[]): Promise<void> => {
    const batch = events.map((event) => ({ event: 'a', distinct_id: 'u1', ...event }));
    expect(await served.ask('/batch', { body: JSON.stringify({ api_key: 'phc_x', batch }) })).toMatchObject({
      status: 200,
      body: '{"status":"Ok"}',
    });
  };
  const where = (): unknown[] => producer.produced.map(({ topic, key }) => [topic, key]);
  const names = (): unknown[] => producer.produced.map(({ envelope }) => envelope['event']);

  test.for<[what: string, filters: object, left: readonly string[]]>([
    ['no filter means all', {}, []],
    ['names, either of them', { event_names: ['a', 'b'] }, ['c']],
    ['an id', { distinct_ids: ['u1'] }, ['b']],
    ['a session', { session_ids: ['s1'] }, ['a', 'b']],
    ['a uuid, however it is written', { event_uuids: [UUID.toUpperCase()] }, ['a', 'c']],
    ['a name and an id: both', { event_names: ['a', 'b'], distinct_ids: ['u2'] }, ['a', 'c']],
    ['a name and a session that is another event’s', { event_names: ['a'], session_ids: ['s1'] }, ['a', 'b', 'c']],
    ['empty lists hold all', { event_names: [], distinct_ids: [], session_ids: null }, []],
    ['another token', { token: 'phc_y' }, ['a', 'b', 'c']],
    ['another pipeline', { pipelines: ['session_recordings'] }, ['a', 'b', 'c']],
    ['an older version', { version: 1 }, ['a', 'b', 'c']],
  ])('7.4 drop: %s', async ([, filters, left]) => {
    const served = await restricting({ drop_event_from_ingestion: [entry(filters)] });
    await send(served, {}, { event: 'b', distinct_id: 'u2', uuid: UUID }, { event: 'c', properties: { $session_id: 's1' } });
    expect(names()).toEqual(left);
  });

  test('7.4: what is dropped is counted, and a v1 client is told', async () => {
    const drops = facts('capture-events-dropped');
    const applied = facts('capture-restrictions-applied');
    const served = await restricting({ drop_event_from_ingestion: [entry()] });
    const answer = await served.ask('/i/v1/analytics/events', v1Request('phc_x', UUID));
    expect(JSON.parse(answer.body)).toEqual({ results: { [UUID]: { result: 'drop', details: 'event_restriction_drop' } } });
    expect(drops).toEqual([{ cause: 'event_restriction_drop', count: 1 }]);
    expect(applied).toEqual([{ type: 'drop_event_from_ingestion', pipeline: 'analytics', count: 1 }]);
  });

  test('7.4: the dead letters: key kept, and why they are there', async () => {
    const served = await restricting({ redirect_to_dlq: [entry()] });
    await send(served, {});
    expect(producer.produced).toMatchObject([{ topic: 'dead-letters', key: 'phc_x:u1', headers: { dlq_reason: 'event_restriction', dlq_step: 'capture' } }]); // prettier-ignore
    expect(producer.produced[0]?.headers['dlq_timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test.for<[what: string, types: readonly Type[], event: object, topic: string]>([
    ['overflow', ['force_overflow_from_ingestion'], {}, 'overflow'],
    ['a topic goes before overflow', ['force_overflow_from_ingestion', 'redirect_to_topic'], {}, 'aside'],
    ['dead letters go before all', ['force_overflow_from_ingestion', 'redirect_to_topic', 'redirect_to_dlq'], {}, 'dead-letters'],
    ['no overflow for exceptions', ['force_overflow_from_ingestion'], { event: '$exception' }, 'exceptions'],
    ['a topic for exceptions', ['redirect_to_topic'], { event: '$exception' }, 'aside'],
  ])('7.4 precedence: %s', async ([, types, event, topic]) => {
    const served = await restricting(Object.fromEntries(types.map((type) => [type, [entry({ args: { topic: 'aside' } })]])));
    await send(served, event);
    expect(where()).toEqual([[topic, 'phc_x:u1']]);
  });

  test('7.4 precedence: historical goes before overflow', async () => {
    const served = await restricting({ force_overflow_from_ingestion: [entry()] });
    const batch = [{ event: 'a', distinct_id: 'u1' }];
    await served.ask('/batch', { body: JSON.stringify({ api_key: 'phc_x', historical_migration: true, batch }) });
    expect(where()).toEqual([['historical', 'phc_x:u1']]);
  });

  test('7.4: no person: the header, and no key where keys are persons', async () => {
    const rerouted = facts('capture-events-rerouted');
    const served = await restricting({
      skip_person_processing: [entry()],
      force_overflow_from_ingestion: [entry({ event_names: ['much'] })],
      redirect_to_dlq: [entry({ event_names: ['bad'] })],
    });
    await send(served, {}, { event: 'much' }, { event: '$exception' }, { event: 'bad' });
    expect(where()).toEqual([
      ['main', undefined],
      ['overflow', undefined],
      ['exceptions', 'phc_x:u1'],
      ['dead-letters', 'phc_x:u1'],
    ]);
    for (const { headers } of producer.produced) expect(headers).toMatchObject({ force_disable_person_processing: 'true' });
    expect(rerouted).toEqual([
      { to: 'overflow', reason: 'event_restriction', count: 1 },
      { to: 'dead-letters', reason: 'event_restriction', count: 1 },
    ]);
  });

  test.for<[pipeline: string, left: readonly string[]]>([
    ['errortracking', ['a', '$ai_generation']],
    ['ai', ['a', '$exception']],
    ['analytics', []],
  ])('7.4: the pipeline %s', async ([pipeline, left]) => {
    const served = await restricting({ drop_event_from_ingestion: [entry({ pipelines: [pipeline] })] });
    await send(served, { event: 'a' }, { event: '$ai_generation' }, { event: '$exception' });
    expect(names().sort()).toEqual([...left].sort());
  });

  const snapshot = { event: '$snapshot', properties: { token: 'phc_x', distinct_id: 'u1', $session_id: SESSION, $snapshot_data: [{}] } };
  test.for<[type: Type, topic: string | undefined]>([
    ['drop_event_from_ingestion', undefined],
    ['force_overflow_from_ingestion', 'recordings-overflow'],
    ['redirect_to_dlq', 'dead-letters'],
    ['redirect_to_topic', 'aside'],
    ['skip_person_processing', 'recordings'],
  ])('7.4: recordings, %s: the key stays the session', async ([type, topic]) => {
    const ended = facts('capture-batch-ended');
    const given = entry({
      pipelines: ['session_recordings'],
      session_ids: [SESSION],
      event_names: ['$snapshot_items'],
      args: { topic: 'aside' },
    });
    const served = await restricting({ [type]: [given] });
    expect(await served.ask('/s', { body: JSON.stringify([snapshot, snapshot]) })).toMatchObject({ status: 200, body: '{"status":"Ok"}' });
    expect(where()).toEqual(topic === undefined ? [] : [[topic, SESSION]]);
    expect(ended).toMatchObject([{ events: 2, ingested: topic === undefined ? 0 : 2 }]);
  });
});

describe('event restrictions, read from Redis', () => {
  const dropped = (tokens: readonly string[]): Texts => ({
    drop_event_from_ingestion: JSON.stringify(tokens.map((token) => entry({ token }))),
  });

  test('R3: without keys nothing is restricted; what appears applies after the next reading', async () => {
    const { store, restrictions } = await watching({});
    expect(restrictions.of('phc_x')).toBeUndefined();
    store.texts = dropped(['phc_x']);
    clock.advance(29_999);
    await settled();
    expect(restrictions.of('phc_x')).toBeUndefined();
    clock.advance(1);
    await settled();
    expect(restrictions.of('phc_x')).toHaveLength(1);
  });

  test('R2: Redis away: the last restrictions apply for 300 s and no longer, and this is told', async () => {
    const stale = facts('capture-restrictions-stale');
    const { store, restrictions } = await watching(dropped(['phc_x']));
    store.isAway = true;
    for (let s = 0; s < 299; s++) {
      clock.advance(1_000);
      await settled();
    }
    expect(restrictions.of('phc_x')).toHaveLength(1);
    clock.advance(1_000);
    expect(restrictions.of('phc_x')).toBeUndefined();
    expect(stale).toHaveLength(5);
    await settled();
    store.isAway = false;
    clock.advance(30_000);
    await settled();
    expect(restrictions.of('phc_x')).toHaveLength(1);
  });

  test.for<[what: string, broken: unknown, problem: RegExp]>([
    ['no object', 7, /no object/],
    ['no token', entry({ token: '' }), /no token/],
    ['a filter that is no list', entry({ distinct_ids: 'u1' }), /distinct_ids is no list/],
    ['a filter with a number in it', entry({ event_names: [1] }), /event_names is no list/],
    ['pipelines that are no list', entry({ pipelines: 'analytics' }), /pipelines is no list/],
  ])('R4: %s costs the entry, not the others, and is named', async ([, broken, problem]) => {
    const malformed = facts('capture-restriction-malformed');
    const { restrictions } = await watching({ drop_event_from_ingestion: JSON.stringify([entry({ token: 'one' }), broken, entry()]) });
    expect([restrictions.of('one'), restrictions.of('phc_x')]).toMatchObject([[{ token: 'one' }], [{ token: 'phc_x' }]]);
    expect(malformed).toEqual([{ type: 'drop_event_from_ingestion', index: 1, problem: expect.stringMatching(problem) as unknown }]);
  });

  test.for<[what: string, args: unknown]>([
    ['without args', undefined],
    ['without a topic in them', { topic: '' }],
    ['to a topic that is not open', { topic: 'elsewhere' }],
  ])('R4: a redirection %s redirects nothing', async ([, args]) => {
    const malformed = facts('capture-restriction-malformed');
    const { restrictions } = await watching({ redirect_to_topic: JSON.stringify([entry({ args })]) });
    expect(restrictions.of('phc_x')).toBeUndefined();
    expect(malformed).toMatchObject([{ type: 'redirect_to_topic', index: 0 }]);
  });

  test('R2 R4: a text that is no list counts as not read, and holds up no other type', async () => {
    const fetched = facts('capture-restrictions-fetched');
    const { store, restrictions } = await watching(dropped(['phc_x']));
    store.texts = { drop_event_from_ingestion: '{', redirect_to_dlq: JSON.stringify([entry({ token: 'phc_d' })]) };
    fetched.length = 0;
    clock.advance(30_000);
    await settled();
    expect([restrictions.of('phc_x'), restrictions.of('phc_d')]).toMatchObject([[{ token: 'phc_x' }], [{ token: 'phc_d' }]]);
    expect(fetched.filter(({ result }) => result !== 'not_found')).toEqual([
      { type: 'drop_event_from_ingestion', result: 'parse_error' },
      { type: 'redirect_to_dlq', result: 'success' },
    ]);
  });

  test('R1: after close nothing is asked', async () => {
    const { store, restrictions } = await watching({});
    restrictions.close();
    const { asked } = store;
    clock.advance(90_000);
    await settled();
    expect(store.asked).toBe(asked);
    expect(clock.pendingCount).toBe(0);
  });
});
