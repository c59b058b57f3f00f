import { fork, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Clock } from '../runtime/clock.ts';
import type { ServerMessage, ServerOptions, StopMessage } from './clickhouse/protocol.ts';

/**
 * ClickHouse for one machine and no setup: its engine in a child process, behind ClickHouse's own HTTP interface, so that
 * quick start, tests and production share one code path (`src/clickhouse/client.ts`).
 *
 * I1  The engine ends when this process ends, also by kill -9 (clickhouse-server.ts).
 * I2  Whatever was killed, the next start on the same data directory works and finds every row whose insert was answered.
 * I3  The death of the engine's process bounds all that it had in work: who sees `exited` needs to look for no zombie.
 *
 * Not promised: rows of the last seconds after a power cut, unless `fsync_after_insert` is set on the table.
 */
export interface EmbeddedClickHouse {
  /** `http://default:<secret>@127.0.0.1:<port>`; the password is new at each start unless given. */
  readonly url: string;
  readonly pid: number;
  /** Resolves when the engine's process has ended, for whatever reason. */
  readonly exited: Promise<ClickHouseExit>;
  /** Requests in work are answered first, for at most 10 s. Calling it twice is harmless. */
  stop(): Promise<void>;
}
export interface ClickHouseExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether `stop` was called. */
  readonly asked: boolean;
  /** The last that the engine wrote on its standard error. */
  readonly lastWords: string;
}

export interface EmbeddedClickHouseOptions {
  /** Made when absent; owned by one process at a time. */
  readonly dataDir: string;
  readonly clock: Clock;
  /** @defaultValue any free one, on loopback */
  readonly port?: number;
  /** What every request must bring. @defaultValue a new random one */
  readonly password?: string;
  /** @defaultValue 60,000 ms; a large table takes some seconds to open */
  readonly startTimeoutMs?: number;
  /** How long to wait for a data directory that another process still holds. @defaultValue 10,000 ms */
  readonly lockWaitMs?: number;
}

const LAST_WORDS_LENGTH = 4_000;
const STOP_LIMIT_MS = 15_000;
/** A query holds one of libuv's threads; the default of 4 would starve the files that inserts go through. */
const THREADS = '16';

/**
 * Starts the engine (0.3 s; more with much data).
 * @throws Error naming the reason: the directory is in use, the platform has no engine, it did not come up in time.
 */
export async function startEmbeddedClickHouse(options: EmbeddedClickHouseOptions): Promise<EmbeddedClickHouse> {
  const { clock } = options;
  const dataDir = resolve(options.dataDir);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const secret = options.password ?? randomBytes(18).toString('base64url');
  const serverOptions: ServerOptions = { dataDir, port: options.port ?? 0, secret, lockWaitMs: options.lockWaitMs ?? 10_000 };
  const child = fork(join(import.meta.dirname, 'clickhouse-server.ts'), [JSON.stringify(serverOptions)], {
    execArgv: [],
    env: { UV_THREADPOOL_SIZE: THREADS, TZ: 'UTC' },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'json',
  });
  let asked = false;
  let lastWords = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-LAST_WORDS_LENGTH);
  });
  const exited = new Promise<ClickHouseExit>((settle) => {
    child.once('error', (error) => {
      lastWords += error.message;
      settle({ code: null, signal: null, asked, lastWords });
    });
    child.once('close', (code, signal) => settle({ code, signal, asked, lastWords }));
  });

  const port = await listening(child, exited, clock, options.startTimeoutMs ?? 60_000);
  return {
    url: `http://default:${encodeURIComponent(secret)}@127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    exited,
    async stop() {
      asked = true;
      if (child.connected) child.send({ type: 'stop' } satisfies StopMessage);
      const limit = clock.after(STOP_LIMIT_MS, () => child.kill('SIGKILL'));
      await exited;
      limit.cancel();
    },
  };
}

function listening(child: ChildProcess, exited: Promise<ClickHouseExit>, clock: Clock, limitMs: number): Promise<number> {
  return new Promise((settle, reject) => {
    const limit = clock.after(limitMs, () => {
      child.kill('SIGKILL');
      reject(new Error(`the embedded ClickHouse did not come up within ${limitMs} ms`));
    });
    child.on('message', (message) => {
      const answer = message as ServerMessage;
      limit.cancel();
      if (answer.type === 'listening') settle(answer.port);
      else reject(new Error(answer.message));
    });
    void exited.then((exit) => {
      limit.cancel();
      reject(new Error(`the embedded ClickHouse ended while it started (${exit.signal ?? exit.code}): ${exit.lastWords.trim()}`));
    });
  });
}
