import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { shopPage, type ShopPageOptions, type ShopRow } from '../../../src/demo/shop-page.ts';

const CAPTURE = 'http://127.0.0.1:8010';
const UUID = '01a1ffb3-b56f-792b-97f7-efd1756fcaa5';

async function open(options: Partial<ShopPageOptions> = {}): Promise<(path: string, init?: RequestInit) => Promise<Response>> {
  const rowsOf = (): Promise<readonly ShopRow[]> => Promise.resolve([]);
  const server = createServer(shopPage({ captureUrl: CAPTURE, token: 'phc_demo', recordings: false, rowsOf, ...options }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init);
}

test('the shop is a page, a script, a style and the settings to start posthog-js with', async () => {
  const get = await open({ recordings: true });
  const types = await Promise.all(
    ['/', '/shop.js', '/shop.css', '/settings'].map(async (path) => (await get(path)).headers.get('content-type')),
  );
  expect(types.map((type) => type?.split(';')[0])).toEqual(['text/html', 'text/javascript', 'text/css', 'application/json']);
  expect(await (await get('/settings')).json()).toEqual({ captureUrl: CAPTURE, token: 'phc_demo', recordings: true });
});

test('its script runs, and finds every element that it looks for', async () => {
  const get = await open();
  const html = await (await get('/')).text();
  const js = await (await get('/shop.js')).text();
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- parsed, not run: a slip in a script that is text
  expect(() => new Function(js)).not.toThrow();
  const wanted = [...js.matchAll(/(?:byId|form)\('([\w-]+)'/g)].map(([, id]) => id);
  expect(wanted.length).toBeGreaterThan(5);
  for (const id of wanted) expect(html).toContain(`id="${id}"`);
  for (const [, action] of html.matchAll(/data-do="(\w+)"/g)) expect(js).toMatch(new RegExp(`^  ${action}[(:]`, 'm'));
});

test('a browser may run its own scripts and those of capture, and talk to nobody else', async () => {
  const get = await open();
  const policy = (await get('/')).headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain(`script-src 'self' ${CAPTURE};`);
  expect(policy).toContain(`connect-src 'self' ${CAPTURE}`);
});

test('rows are those that the store has of the uuids that were asked for', async () => {
  const asked: (readonly string[])[] = [];
  const row: ShopRow = {
    uuid: UUID,
    event: 'bought',
    timestamp: '2026-11-21 10:00:00',
    distinct_id: 'ann',
    person: UUID,
    properties: { a: '</script>' },
  };
  const get = await open({ rowsOf: (uuids) => (asked.push(uuids), Promise.resolve([row])) });
  const other = UUID.replace('01', '02');
  expect(await (await get(`/rows?uuid=${UUID}&uuid=${other}`)).json()).toEqual({ rows: [row] });
  expect(asked).toEqual([[UUID, other]]);
});

test('what is no question for rows is refused before the store is asked, and a store that fails is said to', async () => {
  let asked = 0;
  const get = await open({ rowsOf: () => (asked++, Promise.reject(new Error('ClickHouse is away'))) });
  const status = async (path: string, init?: RequestInit): Promise<number> => (await get(path, init)).status;
  expect(await status('/rows')).toBe(400);
  expect(await status("/rows?uuid=1') OR 1=1 --")).toBe(400);
  expect(await status(`/rows?${`uuid=${UUID}&`.repeat(101)}`)).toBe(400);
  expect(await status('/rows/etc')).toBe(404);
  expect(await status(`/rows?uuid=${UUID}`, { method: 'POST', body: 'x' })).toBe(405);
  expect(asked).toBe(0);
  const failed = await get(`/rows?uuid=${UUID}`);
  expect([failed.status, await failed.json()]).toEqual([500, { error: 'ClickHouse is away' }]);
});
