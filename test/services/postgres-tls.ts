import { chmodSync, chownSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Identity } from './certificates.ts';
import { freePort } from './ports.ts';
import { startPostgres, type PostgresKind, type TestPostgres } from './postgres.ts';

export interface TlsPostgresOptions {
  readonly identity: Identity;
  /** Authority of client certificates. */
  readonly clientCaFile: string;
  /** May log in with this password, over TLS alone. */
  readonly user: string;
  readonly password: string;
  /** May log in with a client certificate of this common name, over TLS alone. */
  readonly certificateUser: string;
}

/** A server that takes TCP connections over TLS only. */
export interface TlsPostgres {
  readonly port: number;
  stop(): Promise<void>;
}

/** The embedded server runs as nobody when we are root (places.ts), and its files must be its own. */
const NOBODY = 65_534;

export async function startTlsPostgres(kind: PostgresKind, options: TlsPostgresOptions): Promise<TlsPostgres> {
  const dir = mkdtempSync(join(tmpdir(), 'troupe-test-postgres-tls-'));
  chmodSync(dir, 0o755);
  const own = (name: string, mode: number, from?: string, text = ''): string => {
    const path = join(dir, name);
    if (from === undefined) writeFileSync(path, text);
    else copyFileSync(from, path);
    chmodSync(path, mode);
    if (process.getuid?.() === 0) chownSync(path, NOBODY, NOBODY);
    return path;
  };
  const port = await freePort();
  const hba = [
    'local all all trust',
    `hostssl all ${options.user} 127.0.0.1/32 scram-sha-256`,
    `hostssl all ${options.certificateUser} 127.0.0.1/32 cert`,
  ];
  let server: TestPostgres | undefined;
  try {
    server = await startPostgres(kind, {
      listen_addresses: '127.0.0.1',
      port: String(port),
      ssl: 'on',
      ssl_cert_file: own('server.pem', 0o644, options.identity.certFile),
      ssl_key_file: own('server.key', 0o600, options.identity.keyFile),
      ssl_ca_file: own('clients.pem', 0o644, options.clientCaFile),
      hba_file: own('hba.conf', 0o644, undefined, `${hba.join('\n')}\n`),
    });
    const owner = server.client({ connectionString: `${server.connectionString}&port=${port}` });
    await owner.script('test-users', `CREATE ROLE ${options.user} SUPERUSER LOGIN PASSWORD '${options.password}'`);
    await owner.script('test-users', `CREATE ROLE ${options.certificateUser} SUPERUSER LOGIN`);
  } catch (error) {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  const started = server;
  return {
    port,
    async stop() {
      await started.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
