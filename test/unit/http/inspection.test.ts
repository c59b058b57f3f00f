import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createInspectionHandler, type InspectionSource, type LedgerReport } from '../../../src/http/inspection.ts';
import type { Listening } from '../../../src/http/listen.ts';
import type { ActorSnapshot, TreeSnapshot } from '../../../src/runtime/inspect.ts';
import { ask, listenOn, type Answered } from './kit.ts';

const actor = (path: string, more: Partial<ActorSnapshot> = {}): ActorSnapshot => ({
  ...{
    path,
    kind: 'router',
    incarnation: 1,
    status: 'running' as ActorSnapshot['status'],
    mailboxDepth: 0,
    mailboxCapacity: 100,
    oldestAgeMs: 0,
  },
  ...{
    currentMessageType: undefined,
    currentForMs: undefined,
    restartsInWindow: 0,
    lastErrorCode: undefined,
    handledCount: 0,
    details: {},
  },
  ...more,
});
const ACTORS = [
  actor('/routers/events-0', { mailboxDepth: 3, oldestAgeMs: 5, handledCount: 9 }),
  actor('/people/Zk3+7', { kind: 'distinct-id', mailboxDepth: 50, oldestAgeMs: 2_000, restartsInWindow: 2 }),
  actor('/people/Ab1+1', { kind: 'distinct-id', mailboxDepth: 1, oldestAgeMs: 9_000 }),
];
const TREE: TreeSnapshot = { path: '/', actor: undefined, children: [], childCount: 2 };
const LEDGER = { topic: 'events', partition: 0, generation: 3, watermark: 90, highWatermark: 100, outcomes: [] } as unknown as LedgerReport;
const UUID = '018f0000-0000-7000-8000-000000000001';

const source: InspectionSource = {
  tree: () => TREE,
  actors: ({ kind, limitCount }) => ACTORS.filter((one) => kind === undefined || one.kind === kind).slice(0, limitCount),
  actor: (path) => ACTORS.find((one) => one.path === path),
  ledgers: () => Promise.resolve([LEDGER, { ...LEDGER, partition: 1, highWatermark: undefined }]),
  person: ({ teamId, distinctId }) => Promise.resolve(teamId === 2 && distinctId === 'a b' ? { uuid: 'p' } : undefined),
  event: (uuid) => (uuid === UUID ? Promise.resolve({ event: 'a' }) : Promise.reject(new Error('ClickHouse is away'))),
  deadLetters: () => Promise.resolve({ messages: { counts: { full: 1 }, recent: [] }, events: { counts: {}, recent: [] } }),
};

describe('the inspection server', () => {
  let server: Listening;
  beforeAll(async () => {
    server = await listenOn(createInspectionHandler({ source, allowedHosts: ['inspect.example'] }));
  });
  afterAll(() => server.close(0));
  const get = (path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answered> => ask(server.port, path, { headers });
  const read = async (path: string): Promise<unknown> => JSON.parse((await get(path)).body);

  test('actors are sorted by what is asked for, and cut', async () => {
    const paths = async (query: string): Promise<string[]> =>
      ((await read(`/inspect/actors?${query}`)) as ActorSnapshot[]).map(({ path }) => path);
    expect(await paths('sort=mailbox&limit=2')).toEqual(['/people/Zk3+7', '/routers/events-0']);
    expect(await paths('sort=age&kind=distinct-id')).toEqual(['/people/Ab1+1', '/people/Zk3+7']);
    expect(await paths('limit=1')).toEqual(['/routers/events-0']);
    expect((await get('/inspect/actors?sort=toString')).status).toBe(400);
    expect((await get('/inspect/actors?limit=0')).status).toBe(400);
  });

  test('one actor is found by its path, encoded or not', async () => {
    expect(await read('/inspect/actor/people/Zk3+7')).toMatchObject({ path: '/people/Zk3+7' });
    expect(await read('/inspect/actor/people/Zk3%2B7')).toMatchObject({ path: '/people/Zk3+7' });
    expect((await get('/inspect/actor/people/none')).status).toBe(404);
  });

  test('kinds are totals over their actors', async () => {
    expect(await read('/inspect/kinds')).toEqual([
      { kind: 'distinct-id', count: 2, mailboxDepth: 51, oldestAgeMs: 9_000, restarts: 2 },
      { kind: 'router', count: 1, mailboxDepth: 3, oldestAgeMs: 5, restarts: 0 },
    ]);
  });

  test('ledgers carry their lag once the end is known', async () => {
    expect(await read('/inspect/ledger')).toMatchObject([{ partition: 0, lag: 10 }, { partition: 1 }]);
    expect(await read('/inspect/tree')).toEqual(TREE);
    expect(await read('/inspect/dead-letters')).toMatchObject({ messages: { counts: { full: 1 } } });
  });

  test('persons and events are found; what is missing is 404, what makes no sense 400, what is broken 500', async () => {
    expect(await read('/inspect/person?team=2&distinct_id=a%20b')).toEqual({ uuid: 'p' });
    expect((await get('/inspect/person?team=2&distinct_id=other')).status).toBe(404);
    expect((await get('/inspect/person?team=x&distinct_id=a')).status).toBe(400);
    expect(await read(`/inspect/event/${UUID.toUpperCase()}`)).toEqual({ event: 'a' });
    expect((await get('/inspect/event/nope')).status).toBe(400);
    expect(await get(`/inspect/event/${UUID.replace('1', '2')}`)).toMatchObject({ status: 500, body: '{"error":"ClickHouse is away"}' });
    expect((await get('/inspect/%')).status).toBe(400);
    expect((await get('/other')).status).toBe(404);
  });

  test('it only reads, and only under names of its own: a foreign name that resolves here gets nothing', async () => {
    expect((await ask(server.port, '/inspect/tree', { method: 'POST' })).status).toBe(405);
    for (const host of ['evil.example', 'evil.example:80', 'localhost.evil.example'])
      expect((await get('/inspect/tree', { host })).status).toBe(403);
    for (const host of ['localhost:6739', '127.0.0.1', '[::1]:6739', 'Inspect.Example:80'])
      expect((await get('/inspect/tree', { host })).status).toBe(200);
  });

  test('the page is one file that loads nothing, and its policy lets only its own script run', async () => {
    const { body, headers } = await get('/');
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(body).not.toMatch(/(?:src|href)="(?!data:,)|https?:|@import|url\(/);
    const script = /<script>([\s\S]*)<\/script>/.exec(body)?.[1] ?? '';
    expect(() => new Script(script)).not.toThrow();
    expect(script).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/);
    for (const [, id] of script.matchAll(/byId\('([\w-]+)'\)/g)) expect(body).toContain(`id="${id}"`);
    expect(headers['content-security-policy']).toContain(`'sha256-${createHash('sha256').update(script).digest('base64')}'`);
  });
});
