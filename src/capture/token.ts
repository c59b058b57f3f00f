import { isAscii } from 'node:buffer';
import { own } from '../domain/json.ts';
import { done, invalidToken, MULTIPLE_TOKENS, NO_TOKEN, refuse, type Attempt } from './answers.ts';
import type { Exchange } from './exchange.ts';
import type { RawEvent, RawRequest } from './shapes.ts';

const MAX_TOKEN_BYTES = 64;

/**
 * The one token of a request (spec/capture.md 5): the batch's own wins; otherwise that of the events, of which those
 * without one are covered by the others; last, what stands `beside` the body. Whether a team has this token is not asked here: ingestion knows.
 */
export function tokenOf({ token, events }: RawRequest, beside?: string): Attempt<string> {
  if (token.from === 'batch') return checkToken(token.value);
  let found: string | undefined;
  for (const event of events) {
    const own = tokenOfEvent(event);
    if (own === undefined) continue;
    if (found !== undefined && found !== own) return refuse(MULTIPLE_TOKENS);
    found = own;
  }
  return checkFound(found ?? beside);
}

/** The token of a recording: its first snapshot's, whatever the others have (5.1). */
export function tokenOfFirst({ events: [first] }: RawRequest, beside?: string): Attempt<string> {
  return checkFound((first === undefined ? undefined : tokenOfEvent(first)) ?? beside);
}

/**
 * The token that a request has beside its body, for one that has none in it: a bearer's, `X-PostHog-Token`, the query's `token` or
 * `api_key`. PostHog's capture looks at none of them; SDKs send none.
 */
export function tokenBeside({ request, query }: Pick<Exchange, 'request' | 'query'>): string | undefined {
  const { authorization = '', 'x-posthog-token': header } = request.headers;
  const bearer = /^bearer +(.+)$/i.exec(authorization)?.[1];
  return bearer ?? (typeof header === 'string' ? header : undefined) ?? query?.get('token') ?? query?.get('api_key') ?? undefined;
}

function checkFound(token: string | undefined): Attempt<string> {
  return token === undefined ? refuse(NO_TOKEN) : checkToken(token);
}

function tokenOfEvent(event: RawEvent): string | undefined {
  if (event.token !== undefined) return event.token;
  const inProperties = own(event.properties, 'token');
  return typeof inProperties === 'string' ? inProperties : undefined;
}

/** The rules of shape (5.2), in their order. */
export function checkToken(raw: string): Attempt<string> {
  const token = raw.trim();
  if (token === '') return refuse(invalidToken('empty'));
  const bytes = Buffer.from(token);
  if (bytes.length > MAX_TOKEN_BYTES) return refuse(invalidToken('too_long'));
  if (!isAscii(bytes)) return refuse(invalidToken('not_ascii'));
  if (token.startsWith('phx_')) return refuse(invalidToken('personal_api_key'));
  if (token.includes('\0')) return refuse(invalidToken('null_byte'));
  return done(token);
}

/** Enough of a token to tell it from others by, for people; not enough to send with. */
export function maskedToken(token: string): string {
  return token.length < 16 ? '***' : `${token.slice(0, 4)}***${token.slice(-4)}`;
}
