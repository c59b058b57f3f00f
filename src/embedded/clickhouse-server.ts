/**
 * Entry of the child process that holds the engine of the embedded ClickHouse. An engine that aborts, or fills every
 * thread, can then not hurt the runtime, and its death is the bound of every insert it had in work (delivery.md 3).
 *
 * I1  It dies when its parent dies, however that died: the channel between them closes, and it kills itself at once.
 * I2  It takes no signal from the terminal: its parent drains first and then says `stop`.
 * I3  Of two processes on one data directory, the second one fails and names the first.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../domain/strings.ts';
import type { ServerMessage, ServerOptions } from './clickhouse/protocol.ts';
import { openEngine, type Engine } from './clickhouse/engine.ts';
import { createHttpServer } from './clickhouse/http.ts';
import { processInfo } from './postgres/process.ts';

const LOCK_RETRY_MS = 100;
const STOP_WAIT_MS = 10_000;

const options = JSON.parse(process.argv[2] ?? '') as ServerOptions;

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL')); // I1
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined); // I2

try {
  const engine = await openWhenUnlocked();
  const ownerFile = join(options.dataDir, 'engine-owner.json');
  writeFileSync(ownerFile, JSON.stringify({ pid: process.pid, startedAt: processInfo(process.pid)?.startedAt }));
  const server = createHttpServer(engine, options.secret);
  server.listen(options.port, '127.0.0.1', () => {
    report({ type: 'listening', port: (server.address() as AddressInfo).port });
  });
  server.on('error', (error) => fail(error.message));
  process.on('message', () => {
    const end = (): void => {
      engine.close();
      process.exit(0);
    };
    server.close(end);
    server.closeIdleConnections();
    setTimeout(end, STOP_WAIT_MS).unref();
  });
} catch (error) {
  fail(messageOf(error));
}

/** A process that was killed holds its lock until the system has cleared it away, some seconds with much memory. */
async function openWhenUnlocked(): Promise<Engine> {
  const deadline = performance.now() + options.lockWaitMs;
  for (;;) {
    try {
      return openEngine(options.dataDir);
    } catch (error) {
      if (performance.now() > deadline) throw inUse() ?? error;
      await sleep(LOCK_RETRY_MS);
    }
  }
}

/** I3: undefined when the owner is gone, and the reason must be another one. */
function inUse(): Error | undefined {
  try {
    const owner = JSON.parse(readFileSync(join(options.dataDir, 'engine-owner.json'), 'utf8')) as { pid: number; startedAt: string };
    if (processInfo(owner.pid)?.startedAt !== owner.startedAt) return undefined;
    return new Error(
      `The embedded ClickHouse in ${options.dataDir} is in use by process ${owner.pid}: stop that one, or give this one another data directory.`,
    );
  } catch {
    return undefined; // nobody has ever opened it, or was killed while writing the file
  }
}

function report(message: ServerMessage): void {
  process.send?.(message);
}

function fail(message: string): void {
  process.send?.({ type: 'failed', message } satisfies ServerMessage, () => process.exit(1));
}
