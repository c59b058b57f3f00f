import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createClickHouse } from '../../src/clickhouse/client.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { eventRow, testSettlement } from '../kit/event-rows.ts';
import { freePort } from '../services/ports.ts';
import { blockOf } from './clickhouse.ts';

/** What a writer is told for each way in which an insert can end: over it decides between "again", "ask" and "halve". */
describe('the end of an insert', () => {
  const closers: (() => Promise<unknown> | void)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });

  async function clientOf(
    answer: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void,
    insertTimeoutMs = 5_000,
  ): Promise<ClickHouse> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => answer(request, response, Buffer.concat(chunks)));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    return client(`http://127.0.0.1:${port}`, insertTimeoutMs);
  }
  function client(url: string, insertTimeoutMs = 5_000): ClickHouse {
    const made = createClickHouse({ url, database: 'analytics', user: 'u', password: 'p w', clock: systemClock, insertTimeoutMs });
    closers.push(() => made.close());
    return made;
  }
  const store = (clickhouse: ClickHouse): Promise<void> => clickhouse.insert(blockOf(clickhouse, [eventRow(testSettlement(), 1)], 'token'));

  it('a clean 200: it went out as one body of known length, not to be batched by the server, with its name and token', async () => {
    let seen: { url: URL; headers: IncomingMessage['headers']; bytes: number } | undefined;
    const clickhouse = await clientOf((request, response, body) => {
      seen = { url: new URL(request.url ?? '', 'http://x'), headers: request.headers, bytes: body.length };
      response.end();
    });
    await expect(store(clickhouse)).resolves.toBeUndefined();
    expect(seen?.headers['content-length']).toBe(String(seen?.bytes));
    expect(seen?.headers['transfer-encoding']).toBeUndefined();
    expect(seen?.headers).toMatchObject({ 'x-clickhouse-user': 'u', 'x-clickhouse-key': 'p w' });
    const params = Object.fromEntries(seen?.url.searchParams ?? []);
    expect(params).toMatchObject({ database: 'analytics', async_insert: '0', insert_deduplication_token: 'token' });
    expect(params['query']).toMatch(/^INSERT INTO `events` \(`uuid`, .*`_offset`\) FORMAT RowBinary$/);
    expect(params['query_id']).toMatch(/^troupe:events:0:1\|/);
  });

  it.each([
    ['nobody listens', 'unavailable'],
    ['a name that does not resolve', 'unavailable'],
  ] as const)('%s: %s, since nothing was sent', async (what, kind) => {
    const url = what === 'nobody listens' ? `http://127.0.0.1:${await freePort()}` : 'http://no-such-host.invalid:8123';
    await expect(store(client(url))).rejects.toMatchObject({ name: 'ClickHouseError', kind, code: undefined });
  });

  it('TLS that fails before anything is sent: unavailable', async () => {
    const plain = createServer();
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    closers.push(() => void plain.close());
    const url = `https://127.0.0.1:${(plain.address() as AddressInfo).port}`;
    await expect(store(client(url))).rejects.toMatchObject({ kind: 'unavailable' });
  });

  it('no answer within the deadline: unknown', async () => {
    const clickhouse = await clientOf(() => undefined, 100);
    await expect(store(clickhouse)).rejects.toMatchObject({ kind: 'unknown', code: undefined });
  });

  it('a connection cut before the answer, or in the middle of it: unknown', async () => {
    const before = await clientOf((request) => request.socket.destroy());
    await expect(store(before)).rejects.toMatchObject({ kind: 'unknown' });
    const within = await clientOf((request, response) => {
      response.writeHead(200, { 'content-length': '10' });
      response.write('x', () => request.socket.destroy());
    });
    await expect(store(within)).rejects.toMatchObject({ kind: 'unknown' });
  });

  it.each([
    [500, 241, 'unavailable'],
    [500, 252, 'unavailable'],
    [400, 27, 'bad-row'],
    [500, 159, 'unknown'],
    [500, 394, 'unknown'],
    [404, 60, 'misconfigured'],
    [500, 9_999, 'unknown'],
  ] as const)('HTTP %i with code %i: %s', async (status, code, kind) => {
    const clickhouse = await clientOf((_request, response) => {
      response.writeHead(status, { 'x-clickhouse-exception-code': String(code) });
      response.end(`Code: ${code}. DB::Exception: as it says`);
    });
    await expect(store(clickhouse)).rejects.toMatchObject({ kind, code });
  });

  it('a 200 that carries an exception, in a header or only in its text: that exception', async () => {
    const header = await clientOf((_request, response) => response.writeHead(200, { 'x-clickhouse-exception-code': '241' }).end());
    await expect(store(header)).rejects.toMatchObject({ kind: 'unavailable', code: 241 });
    const text = await clientOf((_request, response) => response.end('Code: 394. DB::Exception: cancelled'));
    await expect(store(text)).rejects.toMatchObject({ kind: 'unknown', code: 394 });
  });

  it('an answer of a proxy: unknown', async () => {
    const clickhouse = await clientOf((_request, response) => response.writeHead(502).end('<html>bad gateway</html>'));
    await expect(store(clickhouse)).rejects.toMatchObject({ kind: 'unknown', code: undefined });
  });
});
