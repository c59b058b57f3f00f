import { describe, expect, test } from 'vitest';
import { createHurried } from '../../../src/capture/hurried.ts';
import { isSampled } from '../../../src/capture/stages/tailored.ts';
import { createTokenRegistry } from '../../../src/capture/tokens/registry.ts';
import { NO_SETTINGS, readTokenSettings } from '../../../src/capture/tokens/settings.ts';
import { StateStoreError } from '../../../src/redis/port.ts';
import { manualClock } from '../../kit/clock.ts';
import { facts, fakeProducer, serving, settled, v1Request, type Served } from './kit.ts';

/** spec/capture.md 5.4 and 16.1, rows 24, 29 and 30. */
const UUID = '018f0000-0000-7000-8000-000000000001';
const SESSION = '018f0000-0000-7000-8000-0000000000aa';
const TOKEN = 'phc_a_token_of_a_team';
type Hashes = Record<string, Record<string, string>>;

function fakeRedis(hashes: Hashes) {
  const self = {
    hashes,
    isAway: false,
    asked: [] as string[],
    fields(key: string): Promise<ReadonlyMap<string, string>> {
      self.asked.push(key);
      return self.isAway ? Promise.reject(new StateStoreError('away')) : Promise.resolve(new Map(Object.entries(self.hashes[key] ?? {})));
    },
  };
  return self;
}

function registryOf(hashes: Hashes, { capacityCount = 10 } = {}) {
  const clock = manualClock();
  const store = fakeRedis(hashes);
  const hurried = createHurried({ clock, limitMs: 20 });
  const options = { store, hurried, keyPrefix: 'px', clock, topics: new Set(['main', 'aside']), refreshMs: 10_000, capacityCount };
  return { clock, store, registry: createTokenRegistry(options) };
}

describe('row 24: the hash of a token', () => {
  const read = (fields: Record<string, string>) => readTokenSettings(new Map(Object.entries(fields)), new Set(['aside']));

  test('all of its fields', () => {
    const fields = {
      enabled: 'FALSE',
      sampling: '0.25',
      sampling_by: 'uuid',
      topic: 'aside',
      allowed_types: 'events, exceptions',
      allowed_endpoints: '/batch,/s',
      rate_per_s: '2.5',
      rate_burst: '10',
      comment: 'of somebody else',
    };
    expect(read(fields)).toEqual({
      settings: {
        isEnabled: false,
        sampling: { share: 0.25, by: 'uuid' },
        topic: 'aside',
        types: new Set(['events', 'exceptions']),
        endpoints: new Set(['/batch', '/s']),
        rate: { perSecond: 2.5, burstCount: 10 },
      },
      faults: [],
    });
  });

  test('what is not there, or empty, is as if there were no hash', () => {
    expect(read({ topic: '', sampling: ' ', sampling_by: 'uuid' })).toEqual({ settings: NO_SETTINGS, faults: [] });
    expect(read({ sampling: '1' }).settings).toEqual(NO_SETTINGS);
    expect(read({ rate_per_s: '7' }).settings.rate).toEqual({ perSecond: 7, burstCount: 7 });
    expect(read({ rate_burst: '7' }).settings.rate).toBeUndefined();
  });

  test.for<[field: string, text: string]>([
    ['enabled', 'yes'],
    ['sampling', '1.1'],
    ['sampling', 'half'],
    ['sampling_by', 'session'],
    ['topic', 'elsewhere'],
    ['allowed_types', 'events,event'],
    ['allowed_endpoints', 'batch'],
    ['allowed_endpoints', '/batch,/bath'],
    ['allowed_endpoints', '/flags'],
    ['rate_per_s', '0'],
    ['rate_burst', '-1'],
  ])('%s = %j costs itself, and no other field', ([field, text]) => {
    const { settings, faults } = read({ allowed_types: 'surveys', rate_per_s: '9', [field]: text });
    expect(faults.map((fault) => fault.field)).toEqual([field]);
    expect(settings).toMatchObject({ isEnabled: true, sampling: undefined, topic: undefined, endpoints: undefined });
    if (field !== 'allowed_types') expect(settings.types).toEqual(new Set(['surveys']));
  });
});

describe('the registry of tokens', () => {
  test('T1: a token is asked for once, then answered from memory; after its time it is read again beside the request', async () => {
    const { clock, store, registry } = registryOf({ [`pxconfig:${TOKEN}`]: { enabled: '0' } });
    const first = registry.of(TOKEN);
    expect(first).toBeInstanceOf(Promise);
    expect(await first).toMatchObject({ isEnabled: false });
    clock.advance(9_999);
    expect(registry.of(TOKEN)).toMatchObject({ isEnabled: false });
    expect(store.asked).toEqual([`pxconfig:${TOKEN}`]);
    store.hashes = {};
    clock.advance(1);
    expect(registry.of(TOKEN)).toMatchObject({ isEnabled: false });
    await settled();
    expect(registry.of(TOKEN)).toBe('none');
    expect(store.asked).toHaveLength(2);
  });

  test('T2: Redis away: what was known stays; of others nothing is known, and that is not remembered', async () => {
    const { clock, store, registry } = registryOf({ [`pxconfig:${TOKEN}`]: { topic: 'aside' } });
    await registry.of(TOKEN);
    store.isAway = true;
    clock.advance(60_000);
    expect(registry.of(TOKEN)).toMatchObject({ topic: 'aside' });
    await settled();
    expect(registry.of(TOKEN)).toMatchObject({ topic: 'aside' });
    expect(await registry.of('new')).toBe('unanswered');
    store.isAway = false;
    clock.advance(1_000);
    expect(await registry.of('new')).toBe('none');
  });

  test('T3: no more are remembered than there is room for; who was asked for lately stays', async () => {
    const { store, registry } = registryOf({}, { capacityCount: 3 });
    for (const token of ['a', 'b', 'c', 'a', 'd']) await registry.of(token);
    store.asked.length = 0;
    for (const token of ['a', 'c', 'd', 'b']) await registry.of(token);
    expect(store.asked).toEqual(['pxconfig:b']);
  });

  test('T4: requests at the same time ask once', async () => {
    const { store, registry } = registryOf({});
    expect(await Promise.all([registry.of(TOKEN), registry.of(TOKEN)])).toEqual(['none', 'none']);
    expect(store.asked).toHaveLength(1);
  });

  test('a field that cannot be read is named, with as much of the token as people need', async () => {
    const malformed = facts('capture-token-settings-malformed');
    const { registry } = registryOf({ [`pxconfig:${TOKEN}`]: { sampling: 'half' } });
    await registry.of(TOKEN);
    expect(malformed).toEqual([{ who: 'phc_***team', field: 'sampling', problem: 'no number from 0 to 1' }]);
  });
});

describe('settings of a token, met by a request', () => {
  const producer = fakeProducer();
  const meeting = async (hashes: Hashes, tokens: { listed?: readonly string[]; refusesUnknown?: boolean } = {}): Promise<Served> => {
    producer.produced.length = 0;
    const prefixed = Object.fromEntries(Object.entries(hashes).map(([token, fields]) => [`pxconfig:${token}`, fields]));
    return serving(producer, { tokens: { listed: [], refusesUnknown: false, ...tokens, registry: registryOf(prefixed).registry } });
  };
  const ask = (served: Served, { token = TOKEN, path = '/batch', events = [{}] as readonly object[] } = {}) => {
    const batch = events.map((event) => ({ event: 'a', distinct_id: 'u1', ...event }));
    return served.ask(path, { body: JSON.stringify({ api_key: token, batch }) });
  };
  const produced = (): unknown[] => producer.produced.map(({ topic, envelope }) => [topic, envelope['event']]);

  test('row 24: a disabled token is refused with 401, in both protocols, and no other one', async () => {
    const served = await meeting({ [TOKEN]: { enabled: 'false' } });
    expect(await ask(served)).toMatchObject({ status: 401, body: 'API key is not valid: disabled' });
    const v1 = await served.ask('/i/v1/analytics/events', v1Request(TOKEN, UUID));
    expect([v1.status, JSON.parse(v1.body)]).toMatchObject([401, { error: 'invalid_token' }]);
    expect(await ask(served, { token: 'phc_other' })).toMatchObject({ status: 200 });
    expect(produced()).toEqual([['main', 'a']]);
  });

  test('row 30: only the endpoints it may use, with or without their slash', async () => {
    const served = await meeting({ [TOKEN]: { allowed_endpoints: '/batch,/capture' } });
    expect([(await ask(served)).status, (await ask(served, { path: '/batch/' })).status]).toEqual([200, 200]);
    expect(await ask(served, { path: '/e' })).toMatchObject({ status: 401, body: 'API key is not valid: endpoint_not_allowed' });
  });

  test('row 30: only the types it may send; the others are left out, and a v1 client is told', async () => {
    const drops = facts('capture-events-dropped');
    const served = await meeting({ [TOKEN]: { allowed_types: 'exceptions,surveys' } });
    await ask(served, { events: [{}, { event: '$exception' }, { event: 'survey sent' }, { event: '$ai_generation' }] });
    expect(produced()).toEqual([['exceptions', '$exception'], ['main', 'survey sent']]); // prettier-ignore
    expect(drops).toEqual([{ cause: 'type_not_allowed', count: 2 }]);
    const answer = await served.ask('/i/v1/analytics/events', v1Request(TOKEN, UUID));
    expect(JSON.parse(answer.body)).toEqual({ results: { [UUID]: { result: 'drop', details: 'type_not_allowed' } } });
  });

  test('row 24: its own topic, for plain events, also historical ones', async () => {
    const served = await meeting({ [TOKEN]: { topic: 'aside' } });
    await ask(served, { events: [{}, { event: '$exception' }] });
    await served.ask('/batch', {
      body: JSON.stringify({ api_key: TOKEN, historical_migration: true, batch: [{ event: 'h', distinct_id: 'u1' }] }),
    });
    expect(produced()).toEqual([['aside', 'a'], ['exceptions', '$exception'], ['aside', 'h']]); // prettier-ignore
  });

  test('row 24: a sample is of ids, whole, the same each time, and near its share', async () => {
    const served = await meeting({ [TOKEN]: { sampling: '0.25' } });
    const events = Array.from({ length: 1_000 }, (_, n) => ({ distinct_id: `u${n % 500}` }));
    await ask(served, { events });
    const counts = new Map<unknown, number>();
    for (const { envelope } of producer.produced) counts.set(envelope['distinct_id'], (counts.get(envelope['distinct_id']) ?? 0) + 1);
    expect(new Set(counts.values())).toEqual(new Set([2]));
    expect(counts.size / 500).toBeGreaterThan(0.2);
    expect(counts.size / 500).toBeLessThan(0.3);
    for (const id of counts.keys()) expect(isSampled(TOKEN, String(id), 0.25)).toBe(true);
  });

  test('row 24: a recording is sampled by its session, and is of the type recordings', async () => {
    const send = (served: Served, session: string) => {
      const properties = { token: TOKEN, distinct_id: 'u1', $session_id: session, $snapshot_data: [{}] };
      return served.ask('/s', { body: JSON.stringify({ event: '$snapshot', properties }) });
    };
    const sampled = await meeting({ [TOKEN]: { sampling: '0.5', topic: 'aside' } });
    const sessions = Array.from({ length: 40 }, (_, n) => `session-${n}`);
    for (const session of [...sessions, ...sessions]) expect((await send(sampled, session)).status).toBe(200);
    const expected = sessions.filter((session) => isSampled(TOKEN, session, 0.5));
    expect(expected.length).toBeGreaterThan(0);
    expect(producer.produced.map(({ topic, key }) => [topic, key])).toEqual(
      [...expected, ...expected].map((session) => ['recordings', session]),
    );
    const barred = await meeting({ [TOKEN]: { allowed_types: 'events' } });
    expect(await send(barred, SESSION)).toMatchObject({ status: 200, body: '{"status":"Ok"}' });
    expect(produced()).toEqual([]);
  });

  test('row 29: with a list, other tokens are 401, unless they have settings', async () => {
    const served = await meeting({ phc_known: { sampling: '1' } }, { listed: [TOKEN], refusesUnknown: true });
    expect(await ask(served, { token: 'phc_stranger' })).toMatchObject({ status: 401, body: 'API key is not valid: unknown' });
    for (const token of [TOKEN, 'phc_known']) expect((await ask(served, { token })).status).toBe(200);
  });

  test('row 29: a list alone needs no Redis', async () => {
    const served = await serving(producer, { tokens: { listed: [TOKEN], refusesUnknown: true, registry: undefined } });
    expect([(await ask(served)).status, (await ask(served, { token: 'phc_stranger' })).status]).toEqual([200, 401]);
  });

  test('T2: Redis away: every token is taken, as if it had no settings', async () => {
    const { store, registry } = registryOf({ [`pxconfig:${TOKEN}`]: { enabled: 'false' } });
    store.isAway = true;
    const served = await serving(producer, { tokens: { listed: ['phc_x'], refusesUnknown: true, registry } });
    expect(await ask(served)).toMatchObject({ status: 200 });
  });
});
