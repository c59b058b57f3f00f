import { ClickHouseError, type ClickHouseErrorKind } from './port.ts';

/**
 * What each answer of ClickHouse means to a writer. The table need not be complete: what is not in it is 'unknown',
 * which costs a question but never a row.
 */
const KIND_OF_CODE = new Map<number, ClickHouseErrorKind>();
function are(kind: ClickHouseErrorKind, codes: readonly number[]): void {
  for (const code of codes) KIND_OF_CODE.set(code, kind);
}

/** The data itself: parsing, ranges, sizes, constraints. */
are('bad-row', [
  6, // CANNOT_PARSE_TEXT
  26, // CANNOT_PARSE_QUOTED_STRING
  27, // CANNOT_PARSE_INPUT_ASSERTION_FAILED
  32, // ATTEMPT_TO_READ_AFTER_EOF
  33, // CANNOT_READ_ALL_DATA
  38, // CANNOT_PARSE_DATE
  41, // CANNOT_PARSE_DATETIME
  53, // TYPE_MISMATCH
  69, // ARGUMENT_OUT_OF_BOUND
  70, // CANNOT_CONVERT_TYPE
  72, // CANNOT_PARSE_NUMBER
  117, // INCORRECT_DATA
  128, // TOO_LARGE_ARRAY_SIZE
  131, // TOO_LARGE_STRING_SIZE
  321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
  349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
  376, // CANNOT_PARSE_UUID
  407, // DECIMAL_OVERFLOW
  469, // VIOLATED_CONSTRAINT
  691, // UNKNOWN_ELEMENT_OF_ENUM
]);
/** No room for the query at this moment. */
are('unavailable', [
  173, // CANNOT_ALLOCATE_MEMORY
  201, // QUOTA_EXCEEDED
  202, // TOO_MANY_SIMULTANEOUS_QUERIES
  203, // NO_FREE_CONNECTION
  241, // MEMORY_LIMIT_EXCEEDED
  242, // TABLE_IS_READ_ONLY
  252, // TOO_MANY_PARTS
  285, // TOO_FEW_LIVE_REPLICAS
  439, // CANNOT_SCHEDULE_TASK
]);
/** Only an operator can help. */
are('misconfigured', [
  16, // NO_SUCH_COLUMN_IN_TABLE
  36, // BAD_ARGUMENTS
  46, // UNKNOWN_FUNCTION
  47, // UNKNOWN_IDENTIFIER
  57, // TABLE_ALREADY_EXISTS
  60, // UNKNOWN_TABLE
  62, // SYNTAX_ERROR
  73, // UNKNOWN_FORMAT
  80, // INCORRECT_QUERY
  81, // UNKNOWN_DATABASE
  115, // UNKNOWN_SETTING
  164, // READONLY
  192, // UNKNOWN_USER
  193, // WRONG_PASSWORD
  194, // REQUIRED_PASSWORD
  195, // IP_ADDRESS_NOT_ALLOWED
  344, // SUPPORT_IS_DISABLED
  452, // SETTING_CONSTRAINT_VIOLATION
  497, // ACCESS_DENIED
  516, // AUTHENTICATION_FAILED
  701, // CLUSTER_DOESNT_EXIST
]);

/** One code, two meanings: too many parts to merge (wait), or too many table partitions in this block (split it). */
const TOO_MANY_PARTS = 252;
const TOO_MANY_PARTITIONS = /too many partitions/i;

/** The kind of an answer that carries one of ClickHouse's codes. Total: a code nobody foresaw is 'unknown'. */
export function kindOfCode(code: number, message: string): ClickHouseErrorKind {
  if (code === TOO_MANY_PARTS && TOO_MANY_PARTITIONS.test(message)) return 'bad-row';
  return KIND_OF_CODE.get(code) ?? 'unknown';
}

/** Failures of the network that come before a byte of the request has left. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ENOENT']);

/** How much of ClickHouse's message is kept: it may quote the data that it refused. */
const MESSAGE_LENGTH = 1_000;

/** Reads "Code: 27. DB::Exception: …" out of an answer's text; undefined when it holds none. */
export function codeIn(text: string): number | undefined {
  const match = /Code: (\d+)\./.exec(text);
  return match === null ? undefined : Number(match[1]);
}

/** An answer that is an error. `code` is undefined when a proxy answered instead of ClickHouse. */
export function answeredError(code: number | undefined, message: string): ClickHouseError {
  const text = message.trim().slice(0, MESSAGE_LENGTH);
  return code === undefined ? new ClickHouseError('unknown', text) : new ClickHouseError(kindOfCode(code, text), text, code);
}

/** Anything that a client or a socket threw. Total, and idempotent. */
export function toClickHouseError(error: unknown): ClickHouseError {
  if (error instanceof ClickHouseError) return error;
  if (!(error instanceof Error)) return new ClickHouseError('unknown', String(error), undefined, { cause: error });
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && NEVER_SENT.has(code)) {
    return new ClickHouseError('unavailable', `ClickHouse cannot be reached: ${messageOf(error)}`, undefined, { cause: error });
  }
  const answered = typeof code === 'string' && /^\d+$/.test(code) ? Number(code) : codeIn(error.message);
  const text = messageOf(error).slice(0, MESSAGE_LENGTH);
  if (answered === undefined) return new ClickHouseError('unknown', text, undefined, { cause: error });
  return new ClickHouseError(kindOfCode(answered, text), text, answered, { cause: error });
}

/** Node reports a name that resolves to several addresses as an AggregateError without a message. */
function messageOf(error: Error): string {
  if (error.message !== '') return error.message;
  return error instanceof AggregateError ? error.errors.map(String).join('; ') : error.name;
}
