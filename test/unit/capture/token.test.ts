import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { tokenBeside } from '../../../src/capture/token.ts';
import { serveAll } from './kit.ts';

/** 16.1 row 29: sources of the token after the body. */
describe('a token beside the body', () => {
  const beside = (headers: Readonly<Record<string, string>>, query?: string): string | undefined =>
    tokenBeside({
      request: { headers } as unknown as IncomingMessage,
      query: query === undefined ? undefined : new URLSearchParams(query),
    });

  test.for<[name: string, found: string | undefined, expected: string | undefined]>([
    ['a bearer', beside({ authorization: 'Bearer phc_b', 'x-posthog-token': 'phc_h' }, 'token=phc_q'), 'phc_b'],
    ['a header', beside({ authorization: 'Basic abc', 'x-posthog-token': 'phc_h' }, 'token=phc_q'), 'phc_h'],
    ['the query', beside({}, 'token=phc_q&api_key=other'), 'phc_q'],
    ['the other name in the query', beside({}, 'api_key=phc_k'), 'phc_k'],
    ['nothing', beside({}), undefined],
  ])('%s', ([, found, expected]) => expect(found).toBe(expected));

  const { producer, ask } = serveAll();
  const EVENT = { event: 'a', distinct_id: 'u1' };
  const headers = { Authorization: 'Bearer phc_b' };

  test('is used where the body has none', async () => {
    expect((await ask('/e', { body: JSON.stringify(EVENT), headers })).status).toBe(200);
    const snapshot = { event: '$snapshot', distinct_id: 'u1', properties: { $session_id: 's', $snapshot_data: [] } };
    expect((await ask('/s?token=phc_q', { body: JSON.stringify(snapshot) })).status).toBe(200);
    expect(producer.produced.map(({ envelope }) => envelope['token'])).toEqual(['phc_b', 'phc_q']);
  });

  test("never goes before the body's, and has the same shape", async () => {
    await ask('/e', { body: JSON.stringify({ ...EVENT, api_key: 'phc_x' }), headers });
    expect(producer.produced.map(({ key }) => key)).toEqual(['phc_x:u1']);
    expect(await ask('/e?token=phx_1', { body: JSON.stringify(EVENT) })).toMatchObject({
      status: 401,
      body: 'API key is not valid: personal_api_key',
    });
    const two = [{ ...EVENT, token: 'a' }, { ...EVENT, token: 'b' }]; // prettier-ignore
    expect((await ask('/e', { body: JSON.stringify(two), headers })).status).toBe(401);
  });
});
