import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureClickHouseSchema, ensureDatabase } from '../../src/clickhouse/migrate.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { insertPrefix } from '../../src/domain/insert-id.ts';
import { startEmbeddedClickHouse } from '../../src/embedded/clickhouse.ts';
import { processInfo } from '../../src/embedded/postgres/process.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { eventRow, testSettlement } from '../kit/event-rows.ts';
import { requireService } from '../services/availability.ts';
import { probeClickHouse, startClickHouse, type TestClickHouse } from '../services/clickhouse.ts';
import { blockOf } from './clickhouse.ts';

const engine = await requireService('ClickHouse engine', probeClickHouse);

/** Waits until `condition` holds. @throws Error after `limitMs` */
async function until(what: string, condition: () => Promise<boolean> | boolean, limitMs = 15_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe.skipIf(!engine.available)('the embedded ClickHouse', () => {
  let server: TestClickHouse;
  let clickhouse: ClickHouse;
  beforeAll(async () => {
    server = await startClickHouse();
    clickhouse = server.client();
  });
  afterAll(() => server.stop());

  /** As curl would ask. */
  async function ask(
    params: Record<string, string>,
    body?: string | Buffer,
  ): Promise<{ status: number; text: string; code: string | null }> {
    const query = new URLSearchParams({ password: server.password, ...params });
    const answer = await fetch(`${server.url}/?${query.toString()}`, { method: 'POST', body: body ?? '' });
    return { status: answer.status, text: await answer.text(), code: answer.headers.get('x-clickhouse-exception-code') };
  }
  async function tables(): Promise<readonly string[]> {
    return (await clickhouse.query<{ name: string }>("SELECT name FROM system.tables WHERE database = 'default'")).map(({ name }) => name);
  }

  it('8: a database of any name is made where it is missing, and is used like the default one', async () => {
    const database = 'posthog-test of mine';
    await ensureDatabase(clickhouse, database);
    await ensureDatabase(clickhouse, database);
    const other = server.client({ database });
    await ensureClickHouseSchema(other, { database, migrate: true });
    const settlement = testSettlement('database');
    await other.insert(blockOf(other, [eventRow(settlement, 1)]));
    expect(await other.storedOffsets(settlement, 0)).toEqual([{ from: 1, to: 2 }]);
    expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([]);
  });

  describe('never runs data as SQL, although chdb ends data at a blank line and runs the rest (the injection trap)', () => {
    const attack = '\n\nCREATE TABLE pwned (a Int8) ENGINE = Memory;\n\n';

    it('in the text of a RowBinary block', async () => {
      const settlement = testSettlement('injection');
      const rows = [eventRow(settlement, 1, { event: attack, distinctId: attack })];
      await clickhouse.insert(blockOf(clickhouse, rows));
      const [row] = await clickhouse.query<{ event: string }>("SELECT event FROM events WHERE _topic = 'injection'");
      expect(row?.event).toBe(attack);
      expect(await tables()).not.toContain('pwned');
    });

    it('in numbers and uuids that hold the bytes of a blank line', async () => {
      const settlement = testSettlement('injection-numbers');
      const offset = 0x0a0a0a0a;
      await clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, offset, { uuid: '0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a' })]));
      expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: offset, to: offset + 1 }]);
    });

    it('behind JSON lines, whether the statement is in the URL or in front of them', async () => {
      await clickhouse.command('CREATE TABLE IF NOT EXISTS lines (a String) ENGINE = MergeTree ORDER BY a');
      const lines = `{"a":"1"}${attack}`;
      const apart = await ask({ query: 'INSERT INTO lines FORMAT JSONEachRow' }, lines);
      const together = await ask({}, `INSERT INTO lines FORMAT JSONEachRow\n${lines}`);
      expect([apart.status, together.status]).toEqual([400, 400]); // CREATE is no JSON
      expect(await tables()).not.toContain('pwned');
      expect((await ask({}, 'INSERT INTO lines FORMAT JSONEachRow\n{"a":"x"}\n\n{"a":"y"}\n')).status).toBe(200);
      expect(await clickhouse.query('SELECT a FROM lines ORDER BY a')).toEqual([{ a: 'x' }, { a: 'y' }]);
    });

    it('and leaves no file of data behind', () => {
      expect(readdirSync(join(server.dataDir, 'bodies'))).toEqual([]);
    });
  });

  it('runs nothing for whoever does not know the password', async () => {
    expect(await ask({ password: 'guess', query: 'SELECT 1' })).toMatchObject({ status: 403, code: '516' });
    const stranger = server.client({ password: 'guess' });
    await expect(stranger.ping()).rejects.toMatchObject({ kind: 'misconfigured', code: 516 });
    await expect(stranger.insert(blockOf(stranger, [eventRow(testSettlement('x'), 1)]))).rejects.toMatchObject({ kind: 'misconfigured' });
  });

  it('keeps the settings and parameters of one request from the next', async () => {
    const settings = async (params: Record<string, string>): Promise<string> =>
      (await ask({ ...params, query: "SELECT getSetting('max_threads'), getSetting('insert_deduplication_token')" })).text;
    const before = await settings({});
    expect(await settings({ max_threads: '1', insert_deduplication_token: 'kept?' })).toBe('1\tkept?\n');
    expect(await settings({})).toBe(before);
    expect((await ask({ 'a b': '1', query: 'SELECT 1' })).code).toBe('115');
  });

  it('shows an insert under its name while it runs, and killInserts ends it', async () => {
    const name = `${insertPrefix({ topic: 'other', partition: 1 })}4|${insertPrefix({ topic: 'slow', partition: 3 })}4|nonce`;
    const slow = 'SELECT sleepEachRow(0.1) FROM numbers(300) SETTINGS max_block_size = 1';
    const answer = ask({ query: slow, query_id: name });
    const running = async (): Promise<number> => {
      const sql = "SELECT count() AS n FROM system.processes WHERE Settings['log_comment'] = {name:String}";
      return Number((await clickhouse.query<{ n: number }>(sql, { name }))[0]?.n);
    };
    await until('the query runs', async () => (await running()) === 1);
    await clickhouse.killInserts(insertPrefix({ topic: 'slow', partition: 33 })); // another partition's
    expect(await running()).toBe(1);
    await clickhouse.killInserts(insertPrefix({ topic: 'slow', partition: 3 }));
    expect(await running()).toBe(0);
    expect(await answer).toMatchObject({ code: '394' });
  });

  it('refuses a second process on the same data, and names the first', async () => {
    const second = startEmbeddedClickHouse({ dataDir: server.dataDir, clock: systemClock, lockWaitMs: 300 });
    await expect(second).rejects.toThrow(`is in use by process ${server.pid}`);
  });

  it('finds every answered row after kill -9, and can be started again at once', async () => {
    const settlement = testSettlement('killed');
    for (let offset = 0; offset < 5; offset++) await clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, offset)]));
    await server.kill();
    await expect(clickhouse.insert(blockOf(clickhouse, [eventRow(settlement, 5)]))).rejects.toMatchObject({ kind: 'unavailable' });
    await server.restart();
    expect(await clickhouse.storedOffsets(settlement, 0)).toEqual([{ from: 0, to: 5 }]);
  });

  it('dies with its owner, also when that is killed, and its data can be opened again', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'troupe-test-clickhouse-owner-'));
    const owner = spawn(process.execPath, [join(import.meta.dirname, 'clickhouse-embedded-owner.ts'), dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(owner.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString());
    expect(processInfo(pid)).toBeDefined();
    owner.kill('SIGKILL');
    const again = await startEmbeddedClickHouse({ dataDir, clock: systemClock });
    await until('the first engine is gone', () => processInfo(pid)?.isZombie ?? true);
    await again.stop();
    expect((await again.exited).code).toBe(0);
    expect(existsSync(join(dataDir, 'engine'))).toBe(true);
    rmSync(dataDir, { recursive: true, force: true });
  });
});
