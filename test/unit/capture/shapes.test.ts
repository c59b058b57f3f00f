import { describe, expect, test } from 'vitest';
import { fakeProducer, serveAll, serving, type Asked, type Produced } from './kit.ts';

const T = 'phc_x';
const EVENT = { event: 'a', distinct_id: 'u1' };
const KEYED = { api_key: T, ...EVENT };
const OK = [200, '{"status":"Ok"}'];
const NO_VARIANT = [400, 'failed to parse request: data did not match any variant of untagged enum RawRequest'];
const NOT_HYDRATED = [400, 'failed to hydrate events from request: non-engage request missing event name attribute'];
const json = (value: unknown): Asked => ({ body: JSON.stringify(value), headers: { 'Content-Type': 'application/json' } });

/** What the vectors of spec/capture.md 11 leave open of its sections 4 to 6. */
describe('shapes of bodies, and fields of events', () => {
  const { producer, ask } = serveAll();

  test.for<[name: string, path: string, body: unknown, expected: readonly unknown[], stored: number]>([
    // 4.1: engage has no required field, so it catches every object that is nothing else
    ['4.1: an empty object', '/e', {}, NOT_HYDRATED, 0],
    ['4.1: event null', '/e', { ...KEYED, event: null }, NOT_HYDRATED, 0],
    ['4.1: event a number', '/batch', { ...KEYED, event: 5 }, NOT_HYDRATED, 0],
    ['4.1: the same on /engage is an update', '/engage', { ...KEYED, event: 5 }, OK, 1],
    ['4.1: an empty object on /engage has no token', '/engage', {}, [401, 'event submitted without an api_key'], 0],
    ['4.1: a string', '/e', 'text', NO_VARIANT, 0],
    ['4.1: an array of null', '/e', [null], NO_VARIANT, 0],
    [
      '4.1: historical_migration and sent_at may be null',
      '/batch',
      { token: T, historical_migration: null, sent_at: null, batch: [EVENT] },
      OK,
      1,
    ],
    ['4.1: what else a batch has is ignored', '/batch', { token: T, batch: [EVENT], compression: 5, event: 'x' }, OK, 1],
    // 4.2
    [
      '4.2: a token null is none',
      '/e',
      [
        { ...EVENT, token: null },
        { ...EVENT, token: T },
      ],
      OK,
      2,
    ],
    ['4.2: a token that is a number', '/e', { ...EVENT, token: 5 }, NO_VARIANT, 0],
    ['4.2: $token', '/e', { ...EVENT, $token: T }, OK, 1],
    ['4.2, 15.9: two names for the token, the first counts', '/e', { ...EVENT, token: T, api_key: 'other' }, OK, 1],
    ['4.2: uuid null', '/e', { ...KEYED, uuid: null }, OK, 1],
    ['4.2: uuid a number', '/e', { ...KEYED, uuid: 5 }, NO_VARIANT, 0],
    ['4.2: properties that are an array', '/e', { ...KEYED, properties: [] }, NO_VARIANT, 0],
    ['4.2: timestamp null', '/e', { ...KEYED, timestamp: null }, OK, 1],
    ['4.2: a timestamp that nobody can read is no error', '/e', { ...KEYED, timestamp: 'soon' }, OK, 1],
    ['4.2: offset 5', '/e', { ...KEYED, offset: 5 }, OK, 1],
    ['4.2: offset 1.5', '/e', { ...KEYED, offset: 1.5 }, NO_VARIANT, 0],
    ['4.2: offset a string', '/e', { ...KEYED, offset: '5' }, NO_VARIANT, 0],
    ['4.2: $set a string', '/e', { ...KEYED, $set: 'x' }, NO_VARIANT, 0],
    ['4.2: $set_once null', '/e', { ...KEYED, $set_once: null }, OK, 1],
    // 4.3
    ['4.3, 15.11: only $performance_event goes before a bad token', '/e', { ...EVENT, event: '$performance_event', token: 'phx_1' }, OK, 0],
    // 5
    ['5.1: properties.api_key is no token', '/e', { ...EVENT, properties: { api_key: T } }, [401, 'event submitted without an api_key'], 0],
    [
      '5.1: a token in properties that is no string',
      '/e',
      { ...EVENT, properties: { token: 5 } },
      [401, 'event submitted without an api_key'],
      0,
    ],
    ['5.2: blanks around it are cut off', '/e', { ...EVENT, token: ` ${T}\n` }, OK, 1],
    ['5.2: only blanks', '/e', { ...EVENT, token: '  ' }, [401, 'API key is not valid: empty'], 0],
    ['5.2: a NUL', '/e', { ...EVENT, token: 'phc_\0' }, [401, 'API key is not valid: null_byte'], 0],
    ['5.2: length goes before letters', '/e', { ...EVENT, token: 'é'.repeat(40) }, [401, 'API key is not valid: too_long'], 0],
    ['5.2, 5.3: any other string, whether a team has it or not', '/e', { ...EVENT, token: 'my own' }, OK, 1],
  ])('%s', async ([, path, body, expected, stored]) => {
    const answer = await ask(path, json(body));
    expect([answer.status, answer.body]).toEqual(expected);
    expect(producer.produced).toHaveLength(stored);
  });

  const one = async (event: object): Promise<Produced | undefined> => {
    await ask('/e', json(event));
    return producer.produced[0];
  };

  test.for<[name: string, fields: object, distinctId: string]>([
    ['a NUL becomes U+FFFD', { distinct_id: 'a\0b' }, 'a\uFFFDb'],
    ['blanks around it stay', { distinct_id: ' u1 ' }, ' u1 '],
    ['true', { distinct_id: true }, 'true'],
    ['an object', { distinct_id: { a: [1, null] } }, '{"a":[1,null]}'],
    ['$distinct_id', { distinct_id: undefined, $distinct_id: 'd' }, 'd'],
    ['an empty one at the top is one, and stands before the properties', { distinct_id: 0, properties: { distinct_id: 'p' } }, '0'],
  ])('6.1: distinct_id: %s', async ([, fields, distinctId]) => {
    const record = await one({ ...KEYED, ...fields });
    expect([record?.envelope['distinct_id'], record?.key, record?.headers['distinct_id']]).toEqual([
      distinctId,
      `${T}:${distinctId}`,
      distinctId,
    ]);
  });

  test('6.2: a uuid of ours has the time of the event in it, and 1970 for what was before', async () => {
    const timeOf = ({ envelope }: Produced): number => Number.parseInt(String(envelope['uuid']).replaceAll('-', '').slice(0, 12), 16);
    const times = ['2026-11-20T10:00:00.123Z', '1960-01-01T00:00:00Z'];
    await ask('/batch', json({ token: T, batch: times.map((timestamp) => ({ ...EVENT, timestamp })) }));
    expect(producer.produced.map(timeOf)).toEqual([Date.parse('2026-11-20T10:00:00.123Z'), 0]);
  });

  test('6.5: an exception in a historical batch is an exception, and not historical', async () => {
    await ask('/batch', json({ token: T, historical_migration: true, batch: [{ ...EVENT, event: '$exception' }, EVENT] }));
    expect(producer.produced.map(({ topic, envelope }) => [topic, envelope['historical_migration']])).toEqual([
      ['exceptions', undefined],
      ['historical', true],
    ]);
  });

  test('6.5: $ai_ events are of the main lane', async () => {
    expect((await one({ ...KEYED, event: '$ai_generation' }))?.topic).toBe('main');
  });

  test('4.4, 15.2: success is 200 and JSON, whatever beacon says besides 1; errors are text', async () => {
    for (const beacon of ['0', 'true', 'x']) expect((await ask(`/e?beacon=${beacon}`, json(KEYED))).status).toBe(200);
    expect((await ask('/e', json(KEYED))).headers['content-type']).toBe('application/json');
    expect((await ask('/e', json(EVENT))).headers['content-type']).toBe('text/plain; charset=utf-8');
  });

  test('2: what a query has besides is ignored; _ and sent_at that are no numbers are too', async () => {
    for (const query of ['ip=1&ver=1.2.3&config=true&retry_count=2', '_=soon', '_=1&sent_at=2', 'compression=', 'data=']) {
      expect((await ask(`/e?${query}`, json(KEYED))).status).toBe(200);
    }
    expect(producer.produced.map(({ envelope }) => envelope['sent_at'])).toEqual(Array.from({ length: 5 }));
  });
});

test('6.7, 15.18: a snapshot is neither trimmed nor normalised', async () => {
  const producer = fakeProducer();
  const { ask } = await serving(producer);
  const item = { data: ' \u0000\u00ff\u001f e\u0301 \ufeff ' };
  await ask('/s', json({ event: '$snapshot', token: T, distinct_id: 'u1', properties: { $session_id: 's', $snapshot_data: [item] } }));
  expect(producer.produced[0]?.data['properties']).toMatchObject({ $snapshot_items: [item] });
});
