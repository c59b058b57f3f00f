import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { observe } from '../../src/observe/facts.ts';
import { createPostgresClient, type PostgresClient, type Statement } from '../../src/postgres/client.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { freePort } from '../services/ports.ts';
import { probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const sql = (name: string, text: string): Statement => ({ name: `test-${name}`, text });
const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));

describe.skipIf(!service.available)('the PostgreSQL client', () => {
  let server: TestPostgres;
  let client: PostgresClient;
  beforeAll(async () => {
    server = await startPostgres('embedded');
    client = server.client();
    await client.script('test-schema', 'CREATE TABLE pair (id int PRIMARY KEY, n int); INSERT INTO pair VALUES (1, 0), (2, 0)');
  });
  afterAll(() => server.stop());

  it('I1: a connection that the server ends while idle or at work costs an error of that call, never the process', async () => {
    const victim = server.client({ applicationName: 'victim' });
    await victim.run(sql('one', 'SELECT 1'), []);
    const lost: string[] = [];
    const stop = observe('postgres-connection-lost', ({ message }) => lost.push(message));
    const kill = sql('kill', `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'victim'`);
    await client.run(kill, []);
    await expect.poll(() => lost.length, { interval: 5 }).toBeGreaterThan(0);
    const asleep = victim.run(sql('sleep', 'SELECT pg_sleep(60)'), []);
    const rejected = expect(asleep).rejects.toMatchObject({ kind: 'unavailable' });
    const active = sql('active', `SELECT 1 FROM pg_stat_activity WHERE application_name = 'victim' AND wait_event = 'PgSleep'`);
    await expect.poll(async () => (await client.run(active, [])).length, { interval: 5 }).toBe(1);
    await client.run(kill, []);
    await rejected;
    expect(await victim.run(sql('two', 'SELECT 2 AS two'), [])).toEqual([{ two: 2 }]);
    stop();
  });

  it('I2: an answer that does not come in time is unavailable, and its connection is not used again', async () => {
    const hasty = server.client({ answerTimeoutMs: 100, connectionsCount: 1 });
    await expect(hasty.run(sql('slow', 'SELECT pg_sleep(5)'), [])).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await hasty.run(sql('quick', 'SELECT 1 AS one'), [])).toEqual([{ one: 1 }]);
  });

  it('I2: a server that accepts and then says nothing is unavailable after the connect limit', async () => {
    const mute = createServer(() => undefined);
    const port = await freePort();
    await new Promise<void>((resolve) => mute.listen(port, '127.0.0.1', resolve));
    const deaf = createPostgresClient({
      connectionString: `postgres://u@127.0.0.1:${port}/d`,
      connectTimeoutMs: 100,
      clock: systemClock,
      random: systemRandom,
    });
    await expect(deaf.run(sql('x', 'SELECT 1'), [])).rejects.toMatchObject({ kind: 'unavailable' });
    await deaf.close();
    mute.close();
  });

  it('a server that is not there is unavailable; a database or user that is not there needs a person', async () => {
    const to = (connectionString: string): PostgresClient => server.client({ connectionString });
    await expect(to(`postgres://u@127.0.0.1:${await freePort()}/d`).run(sql('x', 'SELECT 1'), [])).rejects.toMatchObject({
      kind: 'unavailable',
    });
    await expect(to('postgres://u@/d?host=/nonexistent').run(sql('x', 'SELECT 1'), [])).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(to(server.connectionString.replace('/postgres?', '/nowhere?')).run(sql('x', 'SELECT 1'), [])).rejects.toMatchObject({
      kind: 'misconfigured',
    });
    await expect(to(server.connectionString.replace('ingest@', 'nobody@')).run(sql('x', 'SELECT 1'), [])).rejects.toMatchObject({
      kind: 'misconfigured',
    });
  });

  it('I3: two transactions that wait for each other both commit', async () => {
    const retried: string[] = [];
    const stop = observe('postgres-transaction-retried', ({ statement }) => retried.push(statement));
    let arrived = 0;
    let open: () => void = () => undefined;
    const both = new Promise<void>((resolve) => (open = resolve));
    const cross = (first: number, second: number): Promise<void> =>
      client.transaction('test-cross', async (transaction) => {
        await transaction.run(sql('bump', 'UPDATE pair SET n = n + 1 WHERE id = $1'), [first]);
        if (++arrived === 2) open();
        await both;
        await transaction.run(sql('bump', 'UPDATE pair SET n = n + 1 WHERE id = $1'), [second]);
      });
    await Promise.all([cross(1, 2), cross(2, 1)]);
    expect(await client.run(sql('sum', 'SELECT sum(n)::int4 AS sum FROM pair'), [])).toEqual([{ sum: 4 }]);
    // One of them at least; on a busy machine the server may end both.
    expect(new Set(retried)).toEqual(new Set(['test-cross']));
    stop();
  });

  it('a transaction whose body throws leaves nothing behind, and the connection is sound', async () => {
    const single = server.client({ connectionsCount: 1 });
    const insert = sql('insert', 'INSERT INTO pair VALUES ($1, 0)');
    await expect(
      single.transaction('test-fails', async (transaction) => {
        await transaction.run(insert, [3]);
        await transaction.run(insert, [1]);
      }),
    ).rejects.toMatchObject({ kind: 'refused' });
    await expect(
      single.transaction('test-throws', async (transaction) => {
        await transaction.run(insert, [4]);
        throw new TypeError('a bug');
      }),
    ).rejects.toThrow('a bug');
    expect(await single.run(sql('extra', 'SELECT id FROM pair WHERE id > 2'), [])).toEqual([]);
  });

  it('without prepared statements it works as well', async () => {
    const plain = server.client({ isPrepared: false, connectionsCount: 1 });
    expect(await plain.run(sql('add', 'SELECT $1::int4 + 1 AS n'), [1])).toEqual([{ n: 2 }]);
    expect(await plain.run(sql('prepared', 'SELECT count(*)::int4 AS n FROM pg_prepared_statements'), [])).toEqual([{ n: 0 }]);
    expect(await client.run(sql('prepared', `SELECT name FROM pg_prepared_statements WHERE name = 'test-prepared'`), [])).toEqual([
      { name: 'test-prepared' },
    ]);
  });
});
