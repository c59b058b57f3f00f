import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ClickHouseOutput, Output } from '../../supervisors/output.ts';
import { createClickHouse } from '../clickhouse/client.ts';
import { ensureClickHouseSchema, ensureDatabase } from '../clickhouse/migrate.ts';
import type { ClickHouse } from '../clickhouse/port.ts';
import { isVerified } from '../config/rules.ts';
import { pemOf } from '../config/pem.ts';
import { clickHouseTarget, postgresTarget } from './contact/targets.ts';
import { contact, explained } from './contact/contact.ts';
import { startEmbeddedClickHouse } from '../embedded/clickhouse.ts';
import { keepEmbeddedPostgres } from '../embedded/postgres-kept.ts';
import { createPostgresClient, type PostgresClient } from '../postgres/client.ts';
import { ensureSchema } from '../postgres/migrate.ts';
import type { AssembleDeps } from './assemble-deps.ts';
import { endOffsetFrom } from './end-offset.ts';
import { openKafkaOutput } from './open-kafka-output.ts';
import { openLog, type Log } from './open-log.ts';
import { openStateStore } from './open-state-store.ts';
import type { StateStore } from '../redis/port.ts';
import { requireVersion } from './server-versions.ts';

/**
 * The outside systems, each real where an address is configured and embedded where not. Every part that is opened pushes its
 * closer, so that a failure half-way closes what is open.
 */
export interface Parts {
  readonly log: Log;
  readonly stores: Stores;
}

export interface Stores {
  readonly postgres: PostgresClient;
  /** Undefined with output kafka: it is not contacted at all. */
  readonly clickhouse: ClickHouse | undefined;
  readonly output: Output;
  readonly stateStore: StateStore;
}

/** Everything. A process that only captures takes `openLog` alone. */
export async function assemble(deps: AssembleDeps): Promise<Parts> {
  const log = await openLog(deps);
  return { log, stores: await openStores(deps, log) };
}

export async function openStores(deps: AssembleDeps, log: Log): Promise<Stores> {
  mkdirSync(resolve(deps.config.server.dataDir), { recursive: true });
  const postgres = await openPostgres(deps);
  const output = deps.config.output.kind === 'kafka' ? await openKafkaOutput(deps, log.admin) : await openClickHouse(deps, log);
  const stateStore = await openStateStore(deps);
  return { postgres, output, clickhouse: output.type === 'clickhouse' ? output.clickhouse : undefined, stateStore };
}

// ── PostgreSQL ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const MIGRATION_ANSWER_MS = 24 * 60 * 60 * 1000;

async function openPostgres(deps: AssembleDeps): Promise<PostgresClient> {
  const { config, clock, random, closers } = deps;
  let connectionString = config.postgres.url;
  const target = postgresTarget(connectionString);
  if (connectionString === undefined) {
    const dataDir = join(resolve(config.server.dataDir), 'postgres');
    const server = await keepEmbeddedPostgres({ dataDir, clock });
    closers.push('the embedded PostgreSQL', () => server.stop());
    connectionString = server.connectionString;
    deps.say(`PostgreSQL  embedded, ${dataDir}`);
  } else {
    deps.say(target.what.replace(' ', '  '));
  }
  const options = {
    connectionString,
    connectionsCount: config.postgres.poolCount,
    // An index over a large table takes as long as it takes.
    ...(deps.migrate ? { answerTimeoutMs: MIGRATION_ANSWER_MS } : {}),
    ca: pemOf(config.postgres.ca),
    isVerified: isVerified(config, 'postgres'),
    clock,
    random,
  };
  // It reads `sslmode` and the files that the address names: what is wrong there is told like the rest.
  const client = await explained(target, () => new Promise<PostgresClient>((made) => made(createPostgresClient(options))));
  closers.push('the PostgreSQL pool', () => client.close());
  await contact(target, { clock, limitMs: config.server.contactTimeoutMs }, async () => {
    const [server] = await client.run<{ version: string }>(
      { name: 'version', text: `SELECT current_setting('server_version') AS version` },
      [],
    );
    requireVersion('PostgreSQL', server?.version ?? '');
  });
  await explained(target, async () => {
    // The embedded database is nobody else's: a newer Troupe adds to it what it needs.
    for (const line of await ensureSchema(client, { migrate: deps.migrate || config.postgres.url === undefined })) deps.say(line);
  });
  return client;
}

// ── ClickHouse ─────────────────────────────────────────────────────────────────────────────────────────────────────────

async function openClickHouse(deps: AssembleDeps, log: Log): Promise<ClickHouseOutput> {
  const { config, clock, closers } = deps;
  const { clickhouse: settings } = config;
  let url: string;
  let { user, password = '' } = settings;
  if (settings.host === undefined) {
    const dataDir = join(resolve(config.server.dataDir), 'clickhouse');
    const server = await startEmbeddedClickHouse({ dataDir, clock });
    closers.push('the embedded ClickHouse', () => server.stop());
    void server.exited.then((exit) => {
      if (!exit.asked) deps.onLost('the embedded ClickHouse', exit.lastWords);
    });
    const address = new URL(server.url);
    user = address.username;
    password = address.password;
    url = address.origin;
    deps.say(`ClickHouse  embedded, ${dataDir}`);
  } else {
    url = clickHouseUrl(settings.host, settings.secure);
    deps.say(`ClickHouse  at ${url}`);
  }
  const options = {
    url,
    user,
    password,
    clock,
    insertTimeoutMs: settings.insertTimeoutMs,
    ca: pemOf(settings.ca),
    isVerified: isVerified(config, 'clickhouse'),
  };
  if (settings.host === undefined) {
    const anywhere = createClickHouse({ ...options, database: 'default' });
    await ensureDatabase(anywhere, settings.database).finally(() => anywhere.close());
  }
  const client = createClickHouse({ ...options, database: settings.database });
  closers.push('the ClickHouse client', () => client.close());
  const target = clickHouseTarget({ url, user, database: settings.database });
  await contact(target, { clock, limitMs: config.server.contactTimeoutMs }, async () => {
    const [server] = await client.query<{ version: string }>('SELECT version() AS version');
    requireVersion('ClickHouse', server?.version ?? '');
  });
  // The embedded database is nobody else's: a newer Troupe adds to it what it needs.
  const migrate = deps.migrate || settings.host === undefined;
  for (const line of await explained(target, () => ensureClickHouseSchema(client, { database: settings.database, migrate })))
    deps.say(line);
  return { type: 'clickhouse', clickhouse: client, endOffset: endOffsetFrom(log.admin) };
}

/** `host`, `host:port` or a whole address. */
function clickHouseUrl(host: string, secure: boolean): string {
  if (/^https?:\/\//.test(host)) return host;
  const scheme = secure ? 'https' : 'http';
  return /:\d+$/.test(host) ? `${scheme}://${host}` : `${scheme}://${host}:${secure ? 8443 : 8123}`;
}
