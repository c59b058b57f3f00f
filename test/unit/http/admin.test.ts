import { createServer, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createDoor } from '../../../src/http/admin/door.ts';
import { createAdminHandler, type AdminRoutes, type Caller } from '../../../src/http/admin/handler.ts';
import { observe, type Facts } from '../../../src/observe/facts.ts';
import { manualClock } from '../../kit/clock.ts';

const RIGHT = 'a'.repeat(20);
const TOKENS = [
  { name: 'ann', secret: RIGHT },
  { name: 'bob', secret: 'b'.repeat(20) },
];

async function serving(routes: AdminRoutes = {}, tokens = () => TOKENS) {
  const clock = manualClock();
  const server = createServer(createAdminHandler({ door: createDoor({ tokens, clock }), routes }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const answered: Facts['admin-request-answered'][] = [];
  onTestFinished(observe('admin-request-answered', (fact) => answered.push(fact)));
  const ask = (path: string, { method = 'GET', token = RIGHT, body = undefined as string | undefined } = {}) =>
    new Promise<{ readonly status: number; readonly body: string; readonly headers: IncomingHttpHeaders }>((resolve, reject) => {
      const headers = token === '' ? {} : { Authorization: `Bearer ${token}` };
      const request = httpRequest({ port, path, method, headers }, (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => (text += chunk.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }));
      });
      request.on('error', reject).end(body);
    });
  return { ask, clock, port, answered };
}

const ECHO: AdminRoutes = {
  '/thing': {
    GET: ({ who }) => ({ status: 200, body: { who } }),
    PUT: ({ who }: Caller, body) => ({ status: 200, body: { who, body } }),
  },
};

it('row 32: without a token nobody gets in, and is told nothing', async () => {
  const { ask, answered } = await serving(ECHO);
  for (const token of ['', 'wrong', `${RIGHT}x`, RIGHT.slice(1)]) {
    const { status, body, headers } = await ask('/thing', { token });
    expect([status, headers['www-authenticate']]).toEqual([401, 'Bearer']);
    expect(body).not.toContain('/thing');
  }
  expect(new Set(answered.map(({ path, status, who }) => `${path} ${status} ${who}`))).toEqual(new Set(['other 401 undefined']));
});

it('row 32: the name of the token is the one who asks', async () => {
  const { ask } = await serving(ECHO);
  expect(JSON.parse((await ask('/thing')).body)).toEqual({ who: 'ann' });
  expect(JSON.parse((await ask('/thing', { method: 'PUT', token: 'b'.repeat(20), body: '{"a":1}' })).body)).toEqual({
    who: 'bob',
    body: { a: 1 },
  });
});

it('T2: after some wrong tokens each further one waits, a few at a time; a right one does not', async () => {
  const { ask, clock } = await serving(ECHO);
  const wrong = () => ask('/thing', { token: 'wrong' });
  for (let n = 0; n < 5; n++) expect((await wrong()).status).toBe(401);

  const slow = Array.from({ length: 12 }, wrong);
  const first = await Promise.race(slow);
  expect([first.status, first.headers['retry-after']]).toEqual([429, '10']); // the eleventh and twelfth
  expect((await ask('/thing')).status).toBe(200);
  clock.advance(1_000);
  const statuses = (await Promise.all(slow)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 401)).toHaveLength(10);
  expect(statuses.filter((status) => status === 429)).toHaveLength(2);
});

it('T3: a token has a rate, and another token has its own', async () => {
  const { ask, clock } = await serving(ECHO);
  const statuses: number[] = [];
  for (let n = 0; n < 31; n++) statuses.push((await ask('/thing')).status);
  expect(statuses.lastIndexOf(200)).toBe(29);
  expect(statuses.at(-1)).toBe(429);
  expect((await ask('/thing', { token: 'b'.repeat(20) })).status).toBe(200);
  clock.advance(500);
  expect((await ask('/thing')).status).toBe(200);
});

it('tokens may be replaced while it serves', async () => {
  let tokens = TOKENS;
  const { ask } = await serving(ECHO, () => tokens);
  tokens = [{ name: 'eve', secret: 'e'.repeat(20) }];
  expect((await ask('/thing')).status).toBe(401);
  expect(JSON.parse((await ask('/thing', { token: 'e'.repeat(20) })).body)).toEqual({ who: 'eve' });
});

it.each<[string, Parameters<Awaited<ReturnType<typeof serving>>['ask']>, number]>([
  ['a path that is none', ['/nothing'], 404],
  ['a name of Object.prototype', ['/__proto__'], 404],
  ['a method that is none', ['/thing', { method: 'DELETE' }], 405],
  ['a body that is no JSON', ['/thing', { method: 'PUT', body: '{' }], 400],
  ['a body that is too large', ['/thing', { method: 'PUT', body: JSON.stringify('x'.repeat(5_000)) }], 413],
  ['a query', ['/thing?token=x'], 200],
])('%s', async (_, asked, status) => {
  const { ask } = await serving(ECHO);
  const answer = await ask(...asked);
  expect(answer.status).toBe(status);
  expect(answer.headers['content-type']).toBe('application/json');
});

it('an upload that nobody reads does not hold the connection', async () => {
  const { port } = await serving(ECHO);
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise((resolve) => socket.on('end', resolve));
  socket.write('PUT /thing HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\nContent-Length: 1000000\r\n\r\n{');
  await ended;
  expect(text).toContain('401');
  socket.destroy();
});

it('an action that fails in a way nobody thought of is a 500, and the server goes on', async () => {
  const { ask } = await serving({ ...ECHO, '/bug': { GET: () => Promise.reject(new Error('secret detail')) } });
  const { status, body } = await ask('/bug');
  expect(status).toBe(500);
  expect(body).not.toContain('secret');
  expect((await ask('/thing')).status).toBe(200);
});
