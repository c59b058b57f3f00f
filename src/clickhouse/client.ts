import { ClickHouseLogLevel, createClient } from '@clickhouse/client';
import https from 'node:https';
import type { TopicPartition } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import { createEventBlock, createSideBlocks } from './block-builder.ts';
import { toClickHouseError } from './errors.ts';
import { createInserter } from './insert.ts';
import { ClickHouseError, type ClickHouse, type OffsetRange } from './port.ts';
import {
  offsetsWithin,
  PARTITIONS_PER_QUERY,
  rangesOf,
  spanOf,
  storedRangesSql,
  type OffsetSpan,
  type StoredRangeRow,
} from './stored-offsets.ts';

export interface ClickHouseOptions {
  /** `http://host:8123` or `https://host:8443`. A user and password in it (the embedded engine's) go before those below. */
  readonly url: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly clock: Clock;
  /** Deadline of one insert. @defaultValue 15,000 ms */
  readonly insertTimeoutMs?: number;
  /** Deadline of anything else. @defaultValue 30,000 ms */
  readonly queryTimeoutMs?: number;
  /** How long `killInserts` waits for an insert to end. @defaultValue 60,000 ms */
  readonly killTimeoutMs?: number;
  /** PEM text of the certificate authority, for https. */
  readonly ca?: string | undefined;
  /** False accepts any certificate: encrypted, but to whom is not known. @defaultValue true */
  readonly isVerified?: boolean;
  /**
   * Name of the cluster whose replicas may hold parts that the one we talk to has not fetched yet: then all are asked for
   * stored offsets and for running inserts. Undefined for one server.
   */
  readonly cluster?: string | undefined;
  /** Tables to insert into where they are named otherwise, e.g. `{ events: 'writable_events' }` with PostHog's Distributed tables. */
  readonly insertTables?: Readonly<Record<string, string>>;
  /** The table that is asked for stored offsets. @defaultValue 'events' */
  readonly eventsTable?: string;
}

const IDLE_SOCKET_MS = 2_000; // as in insert.ts: below the server's own
const LOOK_EVERY_MS = 100;
/** Between the end of a connection and the moment its request shows in system.processes may be a gap: look again after it. */
const QUIET_LOOKS_COUNT = 2;
const LAST_OFFSET = Number.MAX_SAFE_INTEGER;

/** Finds inserts by name: theirs, or the one that an embedded engine can only keep as a comment. */
const NAMED_SO = `(startsWith(initial_query_id, {prefix:String}) OR position(initial_query_id, concat('|', {prefix:String})) > 0
  OR startsWith(Settings['log_comment'], {prefix:String}) OR position(Settings['log_comment'], concat('|', {prefix:String})) > 0)`;

/** ClickHouse over its HTTP interface, whether a cluster or the embedded engine answers. */
export function createClickHouse(options: ClickHouseOptions): ClickHouse {
  const { clock, cluster, database } = options;
  const { url, user, password } = accessOf(options);
  const tls =
    new URL(url).protocol === 'https:'
      ? { ...(options.ca === undefined ? {} : { ca: options.ca }), rejectUnauthorized: options.isVerified ?? true }
      : undefined;
  const killTimeoutMs = options.killTimeoutMs ?? 60_000;
  const client = createClient({
    url,
    database,
    username: user,
    password,
    request_timeout: options.queryTimeoutMs ?? 30_000,
    keep_alive: { enabled: true, idle_socket_ttl: IDLE_SOCKET_MS, eagerly_destroy_stale_sockets: true },
    application: 'troupe',
    log: { level: ClickHouseLogLevel.OFF }, // errors reach the caller; the client's own lines would quote data
    // An agent of our own is the client's one way to say how certificates are verified.
    ...(tls === undefined ? {} : { http_agent: new https.Agent({ ...tls, keepAlive: true, timeout: IDLE_SOCKET_MS }) }),
  });
  const inserter = createInserter({
    url,
    database,
    user,
    password,
    clock,
    insertTimeoutMs: options.insertTimeoutMs ?? 15_000,
    tls,
    tableOf: (table) => quoted(options.insertTables?.[table] ?? table),
  });
  const events = quoted(options.eventsTable ?? 'events');
  const eventsOnAllReplicas = cluster === undefined ? events : `clusterAllReplicas(${text(cluster)}, ${quoted(database)}.${events})`;
  const processes = cluster === undefined ? 'system.processes' : `clusterAllReplicas(${text(cluster)}, system.processes)`;

  async function query<Row>(sql: string, params: Readonly<Record<string, unknown>> = {}): Promise<Row[]> {
    try {
      const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow' });
      return await result.json<Row>();
    } catch (error) {
      throw toClickHouseError(error);
    }
  }

  async function command(sql: string, params: Readonly<Record<string, unknown>> = {}): Promise<void> {
    try {
      await client.command({ query: sql, query_params: { ...params } });
    } catch (error) {
      throw toClickHouseError(error);
    }
  }

  async function rangesOfSpans(spans: readonly OffsetSpan[]): Promise<readonly StoredRangeRow[]> {
    const rows: StoredRangeRow[] = [];
    for (let i = 0; i < spans.length; i += PARTITIONS_PER_QUERY) {
      const { sql, params } = storedRangesSql(eventsOnAllReplicas, spans.slice(i, i + PARTITIONS_PER_QUERY));
      rows.push(...(await query<StoredRangeRow>(sql, params)));
    }
    return rows;
  }

  return {
    eventBlock: createEventBlock,
    sideBlocks: createSideBlocks,
    query,
    command,
    insert: (block) => inserter.insert(block),

    async ping() {
      await query('SELECT 1'); // and not /ping, which answers without looking at the password
    },

    async storedOffsets(partition: TopicPartition, from: number): Promise<readonly OffsetRange[]> {
      const rows = await rangesOfSpans([{ topic: partition.topic, partition: partition.partition, first: from, last: LAST_OFFSET }]);
      return rangesOf(rows, partition);
    },

    async storedAmong(offsets) {
      const rows = await rangesOfSpans(offsets.filter((asked) => asked.offsets.length > 0).map(spanOf));
      return offsets.map((asked) => ({
        topic: asked.topic,
        partition: asked.partition,
        offsets: offsetsWithin(asked.offsets, rangesOf(rows, asked)),
      }));
    },

    async killInserts(prefix) {
      const deadline = clock.monotonic() + killTimeoutMs;
      for (let quietLooks = 0; quietLooks < QUIET_LOOKS_COUNT;) {
        const [row] = await query<{ running: number | string }>(`SELECT count() AS running FROM ${processes} WHERE ${NAMED_SO}`, {
          prefix,
        });
        if (Number(row?.running ?? 0) === 0) quietLooks++;
        else {
          quietLooks = 0;
          if (clock.monotonic() > deadline) {
            throw new ClickHouseError('unavailable', `an insert named ${prefix}… still runs ${killTimeoutMs} ms after it was told to end`);
          }
          // ASYNC, and looked for again: SYNC waits on the server without a limit of ours.
          await command(`KILL QUERY${cluster === undefined ? '' : ` ON CLUSTER ${text(cluster)}`} WHERE ${NAMED_SO} ASYNC`, { prefix });
        }
        if (quietLooks < QUIET_LOOKS_COUNT) await pause(clock, LOOK_EVERY_MS);
      }
    },

    async close() {
      inserter.close();
      await client.close();
    },
  };
}

function accessOf(options: ClickHouseOptions): { readonly url: string; readonly user: string; readonly password: string } {
  const url = new URL(options.url);
  if (url.username === '') return options;
  const access = { user: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  url.username = '';
  url.password = '';
  return { url: url.href, ...access };
}

function pause(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}

/** A name in SQL. */
function quoted(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

/** A text in SQL. */
function text(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
