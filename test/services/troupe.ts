import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { registerServer, sweepLeftBehind } from './left-behind.ts';
import { freePorts } from './ports.ts';

export interface TroupeOptions {
  /** Addresses and settings; the ports and the data folder are chosen here unless given. */
  readonly env: Readonly<Record<string, string>>;
  /** Command line after `src/main.ts`. */
  readonly args?: readonly string[];
  /** Shared by the lives of one process; a folder of its own, removed at its end, when absent. */
  readonly dataDir?: string;
  /** Where its code is. @defaultValue the project */
  readonly cwd?: string;
  /** Flags of node. */
  readonly execArgv?: readonly string[];
  /** Who runs it; root alone may choose. @defaultValue who runs the test */
  readonly uid?: number | undefined;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `node src/main.ts` as a child process: the product, as an operator would run it. */
export interface TroupeProcess {
  readonly pid: number;
  readonly urls: { readonly capture: string; readonly inspector: string; readonly operations: string };
  /** Resolves when the process is gone; never rejects. */
  readonly exited: Promise<Ended>;
  /** What it wrote on both streams, the last 200 kB. */
  output(): string;
  /** Resolves when `/_ready` says yes. @throws Error with its output when it ends or does not get ready. */
  ready(limitMs?: number): Promise<void>;
  isReady(): Promise<boolean>;
  /** Value of a metric summed over all its series whose labels contain `labels`. NaN when there is none. */
  metric(name: string, labels?: string): Promise<number>;
  /** Resident memory of the process, without its children. */
  rssBytes(): number;
  /** An orderly end. */
  stop(): Promise<Ended>;
  /** kill -9. */
  kill(): Promise<Ended>;
}

const root = join(import.meta.dirname, '../..');
const OUTPUT_LENGTH = 200_000;
const POLL_MS = 50;

/** Starts Troupe, and does not wait. */
export async function spawnTroupe(options: TroupeOptions): Promise<TroupeProcess> {
  sweepLeftBehind();
  const [capture, inspector, operations] = await freePorts(3);
  const ownDir = options.dataDir === undefined ? mkdtempSync(join(tmpdir(), 'troupe-test-main-')) : undefined;
  const child = spawn(process.execPath, [...(options.execArgv ?? []), 'src/main.ts', ...(options.args ?? [])], {
    cwd: options.cwd ?? root,
    uid: options.uid,
    gid: options.uid,
    // Nothing of the test's own environment: a TROUPE_ or KAFKA_ variable of whoever runs the tests must not reach it.
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: process.env['HOME'] ?? '',
      TROUPE_DATA_DIR: options.dataDir ?? ownDir ?? '',
      TROUPE_CAPTURE_PORT: String(capture),
      TROUPE_CAPTURE_HOST: '127.0.0.1',
      TROUPE_INSPECT_PORT: String(inspector),
      HTTP_SERVER_PORT: String(operations),
      TROUPE_HTTP_HOST: '127.0.0.1',
      // No balancer has to hear of a stop; capture-drain.test.ts is about clients who have.
      TROUPE_SHUTDOWN_ANNOUNCE_MS: '0',
      TROUPE_SHUTDOWN_LINGER_MS: '0',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const strikeOut = child.pid === undefined ? undefined : registerServer('troupe', child.pid, ownDir);
  const endWithTest = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithTest);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-OUTPUT_LENGTH)));
  }
  let ended: Ended | undefined;
  const exited = new Promise<Ended>((resolve) => {
    const settle = (end: Ended): void => {
      ended = end;
      process.off('exit', endWithTest);
      strikeOut?.();
      if (ownDir !== undefined) rmSync(ownDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
      resolve(end);
    };
    child.once('close', (code, signal) => settle({ code, signal }));
    child.once('error', (error) => {
      said += error.message;
      settle({ code: null, signal: null });
    });
  });
  const urls = {
    capture: `http://127.0.0.1:${options.env['TROUPE_CAPTURE_PORT'] ?? capture}`,
    inspector: `http://127.0.0.1:${options.env['TROUPE_INSPECT_PORT'] ?? inspector}`,
    operations: `http://127.0.0.1:${options.env['HTTP_SERVER_PORT'] ?? operations}`,
  };

  async function isReady(): Promise<boolean> {
    try {
      return said.includes('send events to') && (await fetch(`${urls.operations}/_ready`)).status === 200;
    } catch {
      return false; // nobody listens yet, or not any more
    }
  }
  const end = (signal: NodeJS.Signals): Promise<Ended> => {
    child.kill(signal);
    return exited;
  };
  return {
    pid: child.pid ?? 0,
    urls,
    exited,
    output: () => said,
    isReady,
    async ready(limitMs = 60_000) {
      const deadline = performance.now() + limitMs;
      while (!(await isReady())) {
        if (ended !== undefined) throw new Error(`Troupe ended while it started (${ended.signal ?? ended.code}):\n${said.slice(-4_000)}`);
        if (performance.now() > deadline) throw new Error(`Troupe was not ready after ${limitMs} ms:\n${said.slice(-4_000)}`);
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    },
    async metric(name, labels = '') {
      const text = await (await fetch(`${urls.operations}/metrics`)).text();
      return sumOf(text, name, labels);
    },
    rssBytes() {
      const pages = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
      return Number(pages) * 1024;
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}

/** Sum of the series of a metric, in Prometheus text, whose labels contain a text. NaN when there is none. */
export function sumOf(text: string, name: string, labels = ''): number {
  let sum = Number.NaN;
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
    if (!line.includes(labels)) continue;
    sum = (Number.isNaN(sum) ? 0 : sum) + Number(line.slice(line.lastIndexOf(' ')));
  }
  return sum;
}

/** Starts Troupe and waits until it consumes. */
export async function startTroupe(options: TroupeOptions): Promise<TroupeProcess> {
  const troupe = await spawnTroupe(options);
  try {
    await troupe.ready();
  } catch (error) {
    await troupe.kill();
    throw error;
  }
  return troupe;
}
