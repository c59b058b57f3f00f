import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { registerServer, sweepLeftBehind } from '../../services/left-behind.ts';
import { freePort } from '../../services/ports.ts';
import { childrenOf } from '../cpu.ts';

/**
 * The collector that `/putmessage` stands in for: nginx with a Lua script in front of Kafka (nginx.conf, collector.lua), rebuilt from
 * spec/capture.md 16.2 to be measured and to be seen losing.
 *
 * Its Kafka client asks for version 0 of Produce, which Kafka 4 refuses, while the collector goes on saying 200: so everything that is
 * compared with it runs on {@link COLLECTOR_KAFKA}.
 */
export interface Collector {
  readonly port: number;
  /** Of the master; the work is done by its children. */
  readonly pid: number;
  /** What it could not send, as far as it wrote that down. */
  errorLog(): Promise<string>;
  stop(): Promise<void>;
}

export interface CollectorOptions {
  /** `host:port` of each. */
  readonly brokers: readonly string[];
  /** nginx's worker_processes. @defaultValue 'auto', as documented: one for each core */
  readonly workers?: number | 'auto';
  /** Messages that may wait in each worker. @defaultValue the library's 50,000 */
  readonly maxBufferingCount?: number;
}

/** Of the last line that takes what the collector's client sends. */
export const COLLECTOR_KAFKA = '3.9.1';

const run = promisify(execFile);
const PATH = `${process.env['PATH'] ?? ''}${delimiter}/usr/sbin`; // Debian keeps nginx out of a user's path
const START_MS = 10_000;
/** Where Debian's packages put Lua modules. */
const LUA_PATH = '/usr/share/lua/5.1/?.lua';
const LUA_CPATH_DIRS = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((machine) => `/usr/lib/${machine}/lua/5.1`);

interface Installed {
  readonly modules: string;
  readonly luaCpathDir: string;
}

/** Rejects with the names of the missing packages when the collector cannot run here. */
export async function probeCollector(): Promise<void> {
  await findInstalled();
}

async function findInstalled(): Promise<Installed> {
  const said = await run('nginx', ['-V'], { env: { PATH } }).catch(() => undefined);
  const modules = /--modules-path=(\S+)/.exec(said?.stderr ?? '')?.[1] ?? '/usr/lib/nginx/modules';
  const luaCpathDir = await firstWith(LUA_CPATH_DIRS, 'cjson.so');
  const missing = [
    said === undefined && 'nginx',
    !(await exists(join(modules, 'ngx_http_lua_module.so'))) && 'libnginx-mod-http-lua',
    !(await exists('/usr/share/lua/5.1/nginx/kafka/producer.lua')) && 'lua-nginx-kafka',
    luaCpathDir === undefined && 'lua-cjson',
  ].filter((name) => name !== false);
  if (missing.length > 0 || luaCpathDir === undefined) {
    throw new Error(`The nginx + Lua collector needs ${missing.join(', ')} (Debian: apt-get install ${missing.join(' ')}).`);
  }
  return { modules, luaCpathDir };
}

const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false); // prettier-ignore

async function firstWith(dirs: readonly string[], file: string): Promise<string | undefined> {
  for (const dir of dirs) if (await exists(join(dir, file))) return dir;
  return undefined;
}

/** Starts it on a free port of 127.0.0.1. @throws Error with what nginx said when it does not listen. */
export async function startCollector({ brokers, workers = 'auto', maxBufferingCount = 50_000 }: CollectorOptions): Promise<Collector> {
  sweepLeftBehind();
  const { modules, luaCpathDir } = await findInstalled();
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'troupe-collector-'));
  const settings: Readonly<Record<string, string>> = {
    modules,
    dir,
    here: import.meta.dirname,
    user: userInfo().username,
    workers: String(workers),
    luaPath: LUA_PATH,
    luaCpath: join(luaCpathDir, '?.so'),
    brokers: brokers.map((broker) => `{ host = "${broker.split(':')[0]}", port = ${broker.split(':')[1]} }`).join(', '),
    maxBuffering: String(maxBufferingCount),
    port: String(port),
  };
  const template = await readFile(join(import.meta.dirname, 'nginx.conf'), 'utf8');
  const filled = template.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = settings[name];
    if (value === undefined) throw new Error(`nginx.conf asks for '${name}', which nobody sets`);
    return value;
  });
  await writeFile(join(dir, 'nginx.conf'), filled);

  const child = spawn('nginx', ['-p', dir, '-c', join(dir, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH } });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const endWithTest = (): void => void child.kill('SIGTERM');
  process.once('exit', endWithTest);
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const strikeOut: (() => void)[] = [];

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    await exited;
    process.off('exit', endWithTest);
    for (const strike of strikeOut) strike();
    await rm(dir, { recursive: true, force: true });
  }
  try {
    await listening(child, port);
  } catch (cause) {
    await stop();
    throw new Error(`nginx does not listen: ${said}`, { cause });
  }
  const pid = child.pid ?? 0;
  // Workers outlive a master that is killed: each is swept by its own entry.
  for (const server of [pid, ...childrenOf(pid)]) strikeOut.push(registerServer('collector', server, dir));
  return { port, pid, errorLog: () => readFile(join(dir, 'error.log'), 'utf8'), stop };
}

async function listening(child: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + START_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
    if (performance.now() > deadline) throw new Error(`it did not listen within ${START_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
