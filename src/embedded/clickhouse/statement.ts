/**
 * Just enough understanding of SQL to know how chdb must be given a request. Pure.
 *
 * The injection trap: chdb ends data that stands behind a statement at the first blank line (bytes 0A 0A) and RUNS THE
 * REST AS SQL. Event names and distinct ids come from strangers and may hold anything. So data never stands behind a
 * statement here: it goes through a file, whatever its format.
 */
export interface Statement {
  readonly sql: string;
  readonly kind: 'insert-data' | 'other';
  /** Format of the answer; undefined when the statement names none. */
  readonly answerFormat: string | undefined;
  /** What to insert; undefined unless kind is 'insert-data'. */
  readonly data: { readonly format: string; readonly body: Buffer } | undefined;
}

const COMMENTS = String.raw`(?:\/\*[\s\S]*?\*\/|--[^\n]*\n|\s)*`;
const INSERT = new RegExp(`^${COMMENTS}insert\\s+into\\b`, 'i');
const TRAILING_FORMAT = /\bformat\s+(\w+)\s*$/i;
const TRAILING_VALUES = /\bvalues\s*$/i;
/** Data behind its INSERT, in one text. A SELECT in between means that there is none. */
const INLINE_DATA = /^((?:(?!\bselect\b)[\s\S])*?)\bformat\s+(\w+)(?:[ \t]*\n|[ \t]+(?=\S))/i;

/**
 * @param query the `query` parameter of the URL, '' when it has none
 * @param body what was posted: the data of an INSERT, or the statement itself
 * @throws Error with ClickHouse's code 62 for an INSERT with data in a format that is not named
 */
export function readStatement(query: string, body: Buffer): Statement {
  const fromBody = query.trim() === '';
  const sql = (fromBody ? body.toString('utf8') : query).trim().replace(/;\s*$/, '');
  if (!INSERT.test(sql)) {
    // A SELECT may be split over both; ClickHouse joins them.
    const whole = fromBody || body.length === 0 ? sql : `${sql}\n${body.toString('utf8')}`;
    return { sql: whole, kind: 'other', answerFormat: TRAILING_FORMAT.exec(whole)?.[1], data: undefined };
  }
  if (fromBody) return inlineInsert(sql, body);
  if (body.length === 0) return { sql, kind: 'other', answerFormat: undefined, data: undefined };
  const named = TRAILING_FORMAT.exec(sql);
  if (named?.[1] !== undefined) return insertData(sql.slice(0, named.index), named[1], body);
  if (TRAILING_VALUES.test(sql)) return insertData(sql.replace(TRAILING_VALUES, ''), 'Values', body);
  throw new Error('Code: 62. DB::Exception: an INSERT with data must end with FORMAT and a name. (SYNTAX_ERROR)');
}

function inlineInsert(sql: string, body: Buffer): Statement {
  const inline = INLINE_DATA.exec(sql);
  const [head = '', prefix = '', format = ''] = inline ?? [];
  if (head === '') return { sql, kind: 'other', answerFormat: undefined, data: undefined };
  // From the bytes, since the text of a binary body is not what was sent.
  const start = body.indexOf(Buffer.from(head, 'utf8'));
  return insertData(prefix, format, body.subarray(start + Buffer.byteLength(head)));
}

function insertData(into: string, format: string, body: Buffer): Statement {
  return { sql: into.trimEnd(), kind: 'insert-data', answerFormat: undefined, data: { format, body } };
}

/** Parameters that are ClickHouse's HTTP interface's own and no settings of a query. */
const OF_THE_INTERFACE =
  /^(query|database|default_format|session_id|session_timeout|session_check|query_id|user|password|role|wait_end_of_query|enable_http_compression|http_.*|buffer_size|compress|decompress|quota_key|stacktrace|send_progress_in_http_headers|cancel_http_readonly_queries_on_client_close)$/;
const SETTING_NAME = /^[a-z][a-z0-9_]*$/i;

/**
 * The settings and parameters of one request as one SET statement; undefined when there are none. The engine knows no
 * query ids of ours, so the id becomes the comment under which system.processes shows the query.
 * @throws Error with ClickHouse's code 115 for a name that cannot be a setting
 */
export function settingsStatement(params: URLSearchParams, queryId: string): string | undefined {
  const assignments: string[] = params.has('log_comment') ? [] : [`log_comment = ${literal(queryId)}`];
  for (const [name, value] of params) {
    if (OF_THE_INTERFACE.test(name)) continue;
    if (!SETTING_NAME.test(name)) throw new Error(`Code: 115. DB::Exception: no setting can be named ${name}. (UNKNOWN_SETTING)`);
    assignments.push(`${name} = ${literal(value)}`);
  }
  return assignments.length === 0 ? undefined : `SET ${assignments.join(', ')}`;
}

/** A text in SQL. */
export function literal(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
