import { PostgresError } from './port.ts';

type Kind = PostgresError['kind'];

/**
 * SQLSTATE to kind: the first entry that the code starts with decides, so exceptions stand before their class.
 * 'unavailable' is what passes by itself (the server restarts, is full, fails over); 'refused' is the data's own fault;
 * 'misconfigured' needs a person: schema, rights, password.
 */
const KIND_BY_SQLSTATE: readonly (readonly [prefix: string, kind: Kind])[] = [
  ['08', 'unavailable'], // connection
  ['53', 'unavailable'], // disk full, out of memory, too many connections
  ['57', 'unavailable'], // shutdown, starting up, cancelled
  ['58', 'unavailable'], // I/O of the server
  ['55', 'unavailable'], // lock not available, object in use
  ['40', 'unavailable'], // serialization failure, deadlock: after our own retries
  ['25', 'unavailable'], // read-only after a failover; idle in transaction
  ['XX', 'unavailable'], // internal error
  ['0A000', 'unavailable'], // "cached plan must not change result type": a new connection plans anew
  ['22', 'refused'], // data exception
  ['23', 'refused'], // constraint
  ['54', 'refused'], // nested too deep, value too large
  ['21', 'refused'], // cardinality
  ['42', 'misconfigured'], // no such table or column, no right, ambiguous
  ['28', 'misconfigured'], // authorization
  ['3', 'misconfigured'], // no such database, schema
  ['26', 'misconfigured'], // no such prepared statement: a PgBouncer without max_prepared_statements
];

/** The deadlock and the serialization failure: the same transaction, run again, passes. */
const RETRY_AT_ONCE = new Set(['40001', '40P01']);

const UNAVAILABLE_ERRNO = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'],
  ...['EAI_AGAIN', 'ENOTFOUND', 'ENOENT' /* the unix socket of a server that is not up */, 'EMFILE', 'ENFILE', 'EADDRNOTAVAIL'],
]);

/** Parts of messages that come without a code: of poolers and proxies (spec/ingestion.md 5.0), then of pg itself. */
const UNAVAILABLE_MESSAGES = [
  ...['connection to server at', 'could not translate host', 'server conn crashed', 'no more connections allowed'],
  ...[
    'server closed the connection unexpectedly',
    'getaddrinfo EAI_AGAIN',
    'Connection terminated',
    'ECONNREFUSED',
    'ETIMEDOUT',
    'query_wait_timeout',
  ],
  ...[
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'connection error and is not queryable',
    'Client was closed',
  ],
  ...['socket disconnected before secure TLS connection'],
];
const MISCONFIGURED_MESSAGES = ['does not support SSL', 'SASL', 'password must be a string'];
const TLS_CODE = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/;

/** Gives every error of pg, of the network and of the server its kind. Total: what nobody foresaw is 'misconfigured', for a person to read. */
export function classify(error: unknown, statement: string): PostgresError {
  if (error instanceof PostgresError) return error;
  const { code, message } = describe(error);
  const kind = isOfData(error, code) ? 'refused' : kindOf(code, message);
  const hint =
    kind === 'misconfigured' && code.startsWith('26') ? ' (behind PgBouncer in transaction mode, set max_prepared_statements above 0)' : '';
  return new PostgresError(kind, `${statement}: ${code === '' ? '' : `[${code}] `}${message}${hint}`, { cause: error });
}

/** Whether the same call, run again at once, is likely to pass. */
export function isTransient(error: unknown): boolean {
  return RETRY_AT_ONCE.has(describe(error).code);
}

/**
 * A rule of ours, run inside of a transaction, that cannot bear what the event holds. It is a bug; but it costs the event whose data
 * it is, with its bytes kept, and not the pipeline of everybody.
 */
function isOfData(error: unknown, code: string): boolean {
  const isOurs = error instanceof TypeError || error instanceof RangeError;
  return isOurs && code === '' && !MISCONFIGURED_MESSAGES.some((part) => error.message.includes(part));
}

function kindOf(code: string, message: string): Kind {
  // Also of an AggregateError: every address of a host refused.
  if (UNAVAILABLE_ERRNO.has(code)) return 'unavailable';
  if (TLS_CODE.test(code)) return 'misconfigured';
  if (/^[0-9A-Z]{5}$/.test(code)) {
    const found = KIND_BY_SQLSTATE.find(([prefix]) => code.startsWith(prefix));
    if (found !== undefined) return found[1];
  }
  if (MISCONFIGURED_MESSAGES.some((part) => message.includes(part))) return 'misconfigured';
  return UNAVAILABLE_MESSAGES.some((part) => message.includes(part)) ? 'unavailable' : 'misconfigured';
}

function describe(error: unknown): { readonly code: string; readonly message: string } {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  const { code } = error as { code?: unknown };
  const inner: unknown = error instanceof AggregateError ? error.errors[0] : undefined;
  const message = error.message !== '' ? error.message : inner instanceof Error ? inner.message : error.name;
  return { code: typeof code === 'string' ? code : '', message };
}
