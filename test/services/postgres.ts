import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startEmbeddedPostgres, type EmbeddedPostgres } from '../../src/embedded/postgres.ts';
import { findBinaries, type PostgresBinaries } from '../../src/embedded/postgres/binaries.ts';
import { createPostgresClient, type PostgresClient, type PostgresClientOptions } from '../../src/postgres/client.ts';
import { systemClock, systemRandom } from '../../src/runtime/clock.ts';
import { registerServer, sweepLeftBehind } from './left-behind.ts';

/** The server of the npm package, or the one that Debian installs: two majors, both as real as any. */
export type PostgresKind = 'embedded' | 'debian';

export interface TestPostgres {
  readonly connectionString: string;
  /** Of the server that runs, or ran last. */
  readonly pid: number;
  /** A pool on it; closed by `stop`. */
  client(options?: Partial<PostgresClientOptions>): PostgresClient;
  /** kill -9 of the postmaster; resolves when it and its backends are gone. */
  kill(): Promise<void>;
  /** On the same data, after `kill`. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts a server with an empty database, of its own, on a unix socket in a temporary folder.
 * `settings` of the server go on top of `fsync=off`.
 * @throws Error when this machine does not have this kind; see `requireService`.
 */
export async function startPostgres(kind: PostgresKind, settings: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  sweepLeftBehind();
  const dataDir = mkdtempSync(join(tmpdir(), 'troupe-test-postgres-'));
  const binaries = kind === 'debian' ? { binaries: debianBinaries() } : {};
  const launch = (): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir, clock: systemClock, settings: { fsync: 'off', ...settings }, ...binaries });
  let server = await launch();
  let strikeOut = registerServer('postgres', server.pid, dataDir);
  const clients: PostgresClient[] = [];
  return {
    connectionString: server.connectionString,
    get pid() {
      return server.pid;
    },
    client(options) {
      const client = createPostgresClient({
        connectionString: server.connectionString,
        clock: systemClock,
        random: systemRandom,
        ...options,
      });
      clients.push(client);
      return client;
    },
    async kill() {
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      strikeOut();
    },
    async start() {
      server = await launch();
      strikeOut = registerServer('postgres', server.pid, dataDir);
    },
    async stop() {
      await Promise.all(clients.map((client) => client.close()));
      await server.stop();
      strikeOut();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Whether {@link startPostgres} can; resolves at once. @throws Error with the reason. */
export function probePostgres(kind: PostgresKind): Promise<void> {
  return Promise.resolve().then(() => {
    if (kind === 'debian') debianBinaries();
    else findBinaries({ copyDir: '/nonexistent', runsAsOther: false });
  });
}

function debianBinaries(): PostgresBinaries {
  const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql') : [];
  for (const version of versions.sort((a, b) => Number(b) - Number(a))) {
    const bin = join('/usr/lib/postgresql', version, 'bin');
    if (existsSync(join(bin, 'initdb'))) return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres') };
  }
  throw new Error('There is no /usr/lib/postgresql/<version>/bin/initdb: apt-get install postgresql.');
}
