import type { ServerResponse } from 'node:http';

/**
 * What capture says, to the letter (spec/capture.md 4.4): SDKs and their tests match these texts. `reason` is the
 * metric label; it is a closed set, the text is not.
 */
export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType: string;
  readonly reason: Reason | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Reason =
  | 'req_decoding'
  | 'req_parsing'
  | 'req_hydration'
  | 'empty_batch'
  | 'empty_payload'
  | 'invalid_headers'
  | 'unsupported_media_type'
  | 'no_event_name'
  | 'no_distinct_id'
  | 'invalid_cookieless'
  | 'no_snapshot'
  | 'no_session_id'
  | 'invalid_session'
  | 'no_token'
  | 'multiple_tokens'
  | 'invalid_token'
  | 'invalid_signature'
  | 'denied'
  | 'body_read_timeout'
  | 'oversize_event'
  | 'retryable_sink'
  | 'rate_limited'
  | 'topic_missing'
  | 'topic_not_allowed'
  | 'not_found'
  | 'method_not_allowed'
  | 'client_gone'
  | 'internal';

/** A value, or the answer that ends the request. */
export type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly answer: Answer };

export const done = <T>(value: T): Attempt<T> => ({ ok: true, value });
export const refuse = (answer: Answer): { readonly ok: false; readonly answer: Answer } => ({ ok: false, answer });

const TEXT = 'text/plain; charset=utf-8';
const refusal = (status: number, reason: Reason, body: string): Answer => ({ status, body, contentType: TEXT, reason });

export const json = (body: string): Answer => ({ status: 200, body, contentType: 'application/json', reason: undefined });
export const text = (body: string): Answer => ({ status: 200, body, contentType: TEXT, reason: undefined });
export const script = (body: string): Answer => ({ status: 200, body, contentType: 'application/javascript', reason: undefined });

export const OK = json('{"status":"Ok"}');
export const OVER_RECORDING_QUOTA = json('{"status":"Ok","quota_limited":["recordings"]}');
/** Only for `beacon=1`: posthog-js takes a 204 to anything else as a failure and sends again. */
export const NO_CONTENT: Answer = { status: 204, body: '', contentType: '', reason: undefined };
export const DRAINING: Answer = { status: 503, body: '', contentType: TEXT, reason: undefined };

export const EMPTY_PAYLOAD = refusal(400, 'empty_payload', 'request missing data payload');
export const EMPTY_BATCH = refusal(400, 'empty_batch', 'request holds no event');
export const NO_EVENT_NAME = refusal(400, 'no_event_name', 'event submitted with an empty event name');
export const NO_DISTINCT_ID = refusal(400, 'no_distinct_id', 'event submitted without a distinct_id');
export const INVALID_COOKIELESS = refusal(400, 'invalid_cookieless', 'event submitted with invalid cookieless mode');
export const NO_SNAPSHOT = refusal(400, 'no_snapshot', 'replay event submitted without snapshot data');
export const NO_SESSION_ID = refusal(400, 'no_session_id', 'replay event submitted without session id');
export const INVALID_SESSION = refusal(400, 'invalid_session', 'replay event has invalid session id');
export const NO_TOKEN = refusal(401, 'no_token', 'event submitted without an api_key');
export const MULTIPLE_TOKENS = refusal(401, 'multiple_tokens', 'batch submitted with inconsistent api_key values');
/** Of `/putmessage`: the header `topic`. */
export const TOPIC_MISSING = refusal(400, 'topic_missing', 'request without the name of a topic in its header topic');
export const TOPIC_NOT_ALLOWED = refusal(403, 'topic_not_allowed', 'this topic is not open to putmessage');
export const STALLED = refusal(408, 'body_read_timeout', 'client stopped sending data');
/** v1 only. */
export const UNSUPPORTED_TYPE = refusal(415, 'unsupported_media_type', 'Content-Type must be application/json');
export const UNSUPPORTED_ENCODING = refusal(415, 'unsupported_media_type', 'Content-Encoding must be gzip, deflate, br, zstd or identity');
export const NOT_FOUND = refusal(404, 'not_found', 'not found');
export const INTERNAL = refusal(500, 'internal', 'internal error');
export const NOT_AN_EVENT = refusal(
  400,
  'req_hydration',
  'failed to hydrate events from request: non-engage request missing event name attribute',
);
export const NO_VARIANT = unparsable('data did not match any variant of untagged enum RawRequest');
/** 503 and not 429: posthog-js throws the events of a 429 away. */
export const TRY_AGAIN: Answer = { ...refusal(503, 'retryable_sink', 'transient error, please retry'), headers: { 'Retry-After': '1' } };
/** Only for who asks for it (TROUPE_CAPTURE_RATE_OVER=refuse): posthog-js throws the events of a 429 away. */
export function rateLimited(waitMs: number): Answer {
  return { ...refusal(429, 'rate_limited', 'rate limited'), headers: { 'Retry-After': String(Math.max(1, Math.ceil(waitMs / 1_000))) } };
}
/** Nobody is there to read it; as proxies name it in their logs. */
export const ABORTED = refusal(499, 'client_gone', '');

/** The same answer over a connection that ends with it: the rest of the upload was not read. */
export function closing(answer: Answer): Answer {
  return { ...answer, headers: { ...answer.headers, Connection: 'close' } };
}
export function methodNotAllowed(allowed: readonly string[]): Answer {
  return { ...refusal(405, 'method_not_allowed', 'method not allowed'), headers: { Allow: allowed.join(',') } };
}
export function undecodable(why: string): Answer {
  return refusal(400, 'req_decoding', `failed to decode request: ${why}`);
}
export function unparsable(why: string): Answer {
  return refusal(400, 'req_parsing', `failed to parse request: ${why}`);
}
/** v1 only. */
export function badHeaders(names: readonly string[]): Answer {
  return refusal(400, 'invalid_headers', `missing or invalid headers: ${names.join(', ')}`);
}
export function invalidToken(why: string): Answer {
  return refusal(401, 'invalid_token', `API key is not valid: ${why}`);
}
/** Of requests that are signed, or should be (row 31 of 16.1). */
export function invalidSignature(why: string): Answer {
  return refusal(401, 'invalid_signature', `request signature is not valid: ${why}`);
}
/** An auth plugin's word. */
export function denied(reason: string): Answer {
  return refusal(401, 'denied', `request is not allowed: ${reason}`);
}
export function oversize(detail: string): Answer {
  return refusal(413, 'oversize_event', `maximum event size exceeded: ${detail}`);
}

/** Writes the answer, unless the client is gone. HEAD gets everything but the body. */
export function write(response: ServerResponse, answer: Answer, method: string | undefined): void {
  if (response.writableEnded || response.destroyed) return;
  response.statusCode = answer.status;
  for (const name in answer.headers) response.setHeader(name, answer.headers[name] ?? '');
  if (answer.status === 204) {
    response.end();
    return;
  }
  response.setHeader('Content-Type', answer.contentType);
  response.setHeader('Content-Length', Buffer.byteLength(answer.body));
  response.end(method === 'HEAD' ? undefined : answer.body);
}
