import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Identity } from './certificates.ts';
import { registerServer, sweepLeftBehind } from './left-behind.ts';

/** Rejects with the reason when this machine has no redis-server. */
export async function probeRedis(): Promise<void> {
  await promisify(execFile)('redis-server', ['--version']).catch((error: unknown) => {
    throw new Error('redis-server is not installed (Debian: apt-get install redis-server)', { cause: error });
  });
}

/** A real redis-server of this test alone, on a unix socket in a temporary folder (or a TCP port), without persistence unless asked. */
export interface TestRedis {
  readonly url: string;
  /** kill -9. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  readonly appendOnly?: boolean;
  readonly port?: number;
  /** Speaks TLS on `port`, and nothing else there. */
  readonly tls?: Identity;
  readonly password?: string;
}

export async function startRedis(options: RedisServerOptions = {}): Promise<TestRedis> {
  sweepLeftBehind();
  const dir = await mkdtemp(join(tmpdir(), 'troupe-redis-'));
  const socket = join(dir, 'redis.sock');
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const args = [
      ...(options.tls === undefined ? ['--port', String(options.port ?? 0)] : tlsArguments(options.port ?? 0, options.tls)),
      ...(options.password === undefined ? [] : ['--requirepass', options.password]),
      '--bind',
      '127.0.0.1',
      '--unixsocket',
      socket,
      '--dir',
      dir,
      '--save',
      '',
      '--appendonly',
      options.appendOnly ? 'yes' : 'no',
    ];
    const started = spawn('redis-server', args, { stdio: 'ignore' });
    child = started;
    const endWithTest = (): void => void started.kill('SIGKILL');
    process.once('exit', endWithTest);
    const strikeOut = started.pid === undefined ? undefined : registerServer('redis', started.pid, dir);
    started.once('exit', () => {
      process.off('exit', endWithTest);
      strikeOut?.();
    });
    const deadline = Date.now() + 10_000;
    while (!(await answers(socket))) {
      if (Date.now() > deadline) throw new Error('redis-server did not come up within 10 s');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    await new Promise((resolve) => {
      ending.once('exit', resolve);
      ending.kill(signal);
    });
  }

  await start();
  return {
    url: options.port === undefined ? socket : `${options.tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${options.port}`,
    start,
    kill: () => end('SIGKILL'),
    async stop() {
      await end('SIGKILL');
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function tlsArguments(port: number, { certFile, keyFile }: Identity): string[] {
  const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile];
  return ['--port', '0', '--tls-port', String(port), ...files, '--tls-auth-clients', 'no'];
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
