import pg from 'pg';
import { state } from '../observe/facts.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import { classify, isTransient } from './errors.ts';
import { postgresAccess } from './tls.ts';

/** One SQL text with a name: prepared once per connection, and the name that errors and facts carry. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}
/** A parameter as pg sends it: Buffers go in binary (arrays.ts), the rest as text. */
export type Parameter = string | number | boolean | null | Buffer;
export type Row = Readonly<Record<string, unknown>>;

/** Runs statements in one transaction. */
export interface Transaction {
  run<R extends Row>(statement: Statement, parameters: readonly Parameter[]): Promise<readonly R[]>;
}

/**
 * A pool of connections to PostgreSQL that speaks in PostgresError.
 *
 * I1  No error of an idle or lost connection reaches the process: each is stated as a fact, the connection is replaced.
 * I2  Every wait has a limit: for a connection, for an answer. After the second the connection is thrown away, since
 *     its statement may still run; so every statement must be safe to repeat.
 * I3  Deadlocks and serialization failures are run again here, with jitter, a bounded number of times; nothing else is.
 * I4  Works behind PgBouncer in transaction mode: nothing is set on a session, and no startup parameter is sent that it refuses.
 */
export interface PostgresClient extends Transaction {
  /** Commits what `body` did, or nothing of it. `body` may run more than once (I3) and keeps no state between. */
  transaction<T>(name: string, body: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Statements without parameters, separated by semicolons, unprepared: for the schema. One transaction by itself. */
  script(name: string, text: string): Promise<void>;
  /** Waits for running statements, then closes all connections. Calls after it fail. */
  close(): Promise<void>;
}

export interface PostgresClientOptions {
  /** `postgres://user:password@host:5432/database`; a unix socket as `?host=/folder`; `sslmode` as tls.ts says. */
  readonly connectionString: string;
  /** Largest number of connections. Raising it: more parallel merges, more memory in the server. @defaultValue 10 */
  readonly connectionsCount?: number;
  /** For a free connection, a new one included. @defaultValue 5,000 ms */
  readonly connectTimeoutMs?: number;
  /** For one answer. Lowering it gives up sooner on a server that hangs; too low, big batches never pass. @defaultValue 30,000 ms */
  readonly answerTimeoutMs?: number;
  /** PEM text of the certificate authority, and whether certificates are verified; see tls.ts, which also reads `sslmode`. */
  readonly ca?: string | undefined;
  readonly isVerified?: boolean;
  /** Shown in pg_stat_activity. @defaultValue 'troupe' */
  readonly applicationName?: string;
  /** False for a PgBouncer in transaction mode older than 1.21. Costs a plan for each call. @defaultValue true */
  readonly isPrepared?: boolean;
  readonly clock: Clock;
  readonly random: Random;
}
const MAX_ATTEMPTS_COUNT = 6;
/** First wait before running again after a deadlock; doubles. */
const RETRY_BASE_MS = 10;

/** Makes the pool. Connects when first used, so that it can be made while the server is down. */
export function createPostgresClient(options: PostgresClientOptions): PostgresClient {
  const { answerTimeoutMs = 30_000, isPrepared = true } = options;
  const pool = new pg.Pool({
    ...postgresAccess(options.connectionString, options),
    max: options.connectionsCount ?? 10,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 5_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    application_name: options.applicationName ?? 'troupe',
    allowExitOnIdle: true,
  });
  // I1: without these listeners an 'error' event ends the process. While a connection is in use, its query rejects as well.
  // After `close` a connection that the server ends first, on its own way out, is no loss.
  let isClosing = false;
  const onLost = (error: Error): void => {
    if (!isClosing) state('postgres-connection-lost', { message: error.message });
  };
  pool.on('error', onLost);
  pool.on('connect', (connection) => connection.on('error', onLost));

  /** Takes a connection for `body`; gives it back only when the connection itself is sure to be sound. */
  async function withConnection<T>(name: string, body: (connection: pg.PoolClient) => Promise<T>): Promise<T> {
    const connection = await pool.connect().catch((error: unknown) => {
      throw classify(error, name);
    });
    let isSound = false;
    try {
      const result = await body(connection);
      isSound = true;
      return result;
    } catch (error) {
      // An answer with a severity came over a working connection; anything else (cut off, late) leaves it in doubt.
      isSound = error instanceof pg.DatabaseError && error.severity === 'ERROR' && error.code !== '0A000' && error.code !== '25006';
      throw error;
    } finally {
      connection.release(!isSound);
    }
  }

  async function send<R extends Row>(
    connection: pg.PoolClient,
    statement: Statement,
    parameters: readonly Parameter[],
  ): Promise<readonly R[]> {
    const query = { text: statement.text, values: [...parameters], query_timeout: answerTimeoutMs };
    return (await connection.query<R>(isPrepared ? { ...query, name: statement.name } : query)).rows;
  }

  async function control(connection: pg.PoolClient, text: string): Promise<void> {
    const query: pg.QueryConfig & { readonly query_timeout: number } = { text, query_timeout: answerTimeoutMs };
    await connection.query(query);
  }

  /** I3. */
  async function withRetries<T>(name: string, attempt: () => Promise<T>): Promise<T> {
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt();
      } catch (error) {
        if (!isTransient(error) || attempts === MAX_ATTEMPTS_COUNT) throw classify(error, name);
        state('postgres-transaction-retried', { statement: name, attempt: attempts });
        const delayMs = RETRY_BASE_MS * 2 ** (attempts - 1) * (0.5 + options.random.next());
        await new Promise<void>((resolve) => void options.clock.after(delayMs, resolve));
      }
    }
  }

  return {
    run: (statement, parameters) =>
      withRetries(statement.name, () => withConnection(statement.name, (connection) => send(connection, statement, parameters))),
    transaction: (name, body) =>
      withRetries(name, () =>
        withConnection(name, async (connection) => {
          // READ COMMITTED whatever the server's default is: each statement must see what others committed before it.
          await control(connection, 'BEGIN ISOLATION LEVEL READ COMMITTED');
          try {
            const result = await body({ run: (statement, parameters) => send(connection, statement, parameters) });
            await control(connection, 'COMMIT');
            return result;
          } catch (error) {
            // Otherwise the connection is in doubt and thrown away, and the server rolls back by itself.
            if (error instanceof pg.DatabaseError) await control(connection, 'ROLLBACK');
            throw error;
          }
        }),
      ),
    script: (name, text) => withRetries(name, () => withConnection(name, (connection) => control(connection, text))),
    close() {
      isClosing = true;
      return pool.end();
    },
  };
}
