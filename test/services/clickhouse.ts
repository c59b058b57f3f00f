import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClickHouse, type ClickHouseOptions } from '../../src/clickhouse/client.ts';
import { ensureClickHouseSchema } from '../../src/clickhouse/migrate.ts';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { startEmbeddedClickHouse, type EmbeddedClickHouse } from '../../src/embedded/clickhouse.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { freePort } from './ports.ts';
import { registerServer, sweepLeftBehind } from './left-behind.ts';

export interface TestClickHouse {
  /** The same after a restart, as are user and password. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly pid: number;
  readonly dataDir: string;
  /** A client of the server as it is now; closed by `stop`. */
  client(options?: Partial<ClickHouseOptions>): ClickHouse;
  /** Ends the engine without any notice. Resolves when it has ended. */
  kill(): Promise<void>;
  /** Resolves when the engine that runs now has ended, whoever ended it. */
  ended(): Promise<void>;
  /** Starts the engine again on the same data and port after `kill`. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the engine with an empty data directory of its own, and with the tables unless `tables` is false. */
export async function startClickHouse(options: { readonly tables?: boolean } = {}): Promise<TestClickHouse> {
  sweepLeftBehind();
  const dataDir = mkdtempSync(join(tmpdir(), 'troupe-test-clickhouse-'));
  const clients: ClickHouse[] = [];
  const access = { user: 'default', password: 'for tests' };
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  let server: EmbeddedClickHouse;
  let strikeOut: () => void;

  async function start(): Promise<void> {
    server = await startEmbeddedClickHouse({ dataDir, clock: systemClock, port, password: access.password });
    strikeOut = registerServer('clickhouse', server.pid, dataDir);
  }
  const test: TestClickHouse = {
    url,
    ...access,
    get pid() {
      return server.pid;
    },
    dataDir,
    client(more) {
      const client = createClickHouse({ url, ...access, database: 'default', clock: systemClock, ...more });
      clients.push(client);
      return client;
    },
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      strikeOut();
    },
    ended: () =>
      server.exited.then(() => {
        strikeOut();
      }),
    restart: start,
    async stop() {
      await Promise.all(clients.map((client) => client.close()));
      await server.stop();
      strikeOut();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  await start();
  if (options.tables !== false) await ensureClickHouseSchema(test.client(), { database: 'default', migrate: false });
  return test;
}

/** Whether {@link startClickHouse} can. @throws Error with the reason: chdb has no engine for this platform. */
export function probeClickHouse(): Promise<void> {
  return Promise.resolve().then(() => {
    const engines: Partial<Record<string, string>> = {
      'linux-x64': '@chdb/lib-linux-x64-gnu',
      'linux-arm64': '@chdb/lib-linux-arm64-gnu',
      'darwin-x64': '@chdb/lib-darwin-x64',
      'darwin-arm64': '@chdb/lib-darwin-arm64',
    };
    const name = engines[`${process.platform}-${process.arch}`];
    if (name === undefined) throw new Error(`chdb has no engine for ${process.platform}-${process.arch}`);
    createRequire(import.meta.url).resolve(`${name}/package.json`);
  });
}
