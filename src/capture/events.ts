import { done, NO_CONTENT, OK, OVER_RECORDING_QUOTA, oversize, TRY_AGAIN, type Answer, type Attempt } from './answers.ts';
import type { Take, Verdict } from './batch.ts';
import { clientIp } from './client-ip.ts';
import { decodePayload } from './decode.ts';
import type { Exchange, Handler } from './exchange.ts';
import type { Inflate } from './inflate.ts';
import { withBody, type PayloadOptions } from './payload.ts';
import { parseRequest, parseSnapshots, type RawEvent, type RawRequest } from './shapes.ts';
import { sentAtOf } from './timestamp.ts';
import { tokenBeside, tokenOf, tokenOfFirst } from './token.ts';

export interface EventsOptions {
  readonly payload: PayloadOptions;
  readonly inflate: Inflate;
  readonly take: Take<RawEvent>;
}

/** Reads the payload of a request as v0 does. */
export function readPayload(exchange: Exchange, { payload: options, inflate }: Omit<EventsOptions, 'take'>): Promise<Attempt<string>> {
  const { request, query } = exchange;
  return withBody(exchange, options, (body) => {
    const { 'content-type': contentType, 'content-encoding': contentEncoding } = request.headers;
    return decodePayload(body, { query, contentType, contentEncoding }, inflate, options.limits.decodedBytes);
  });
}

/** 204 only to who asks for it: posthog-js takes it as a failure otherwise, and sends again. */
const successOf = (query: URLSearchParams | undefined): Answer => (query?.get('beacon') === '1' ? NO_CONTENT : OK);

/** In what the routes of v0 differ: which shapes a body has, and whose token counts. */
interface Reading {
  parse(text: string, exchange: Exchange): Attempt<RawRequest>;
  token(request: RawRequest, beside: string | undefined): Attempt<string>;
}

const EVENTS: Reading = {
  parse(text, { route }) {
    const parsed = parseRequest(text, route.type === 'events' && route.mayEngage);
    if (!parsed.ok) return parsed;
    return done({ ...parsed.value, events: parsed.value.events.filter(({ event }) => event !== '$performance_event') });
  },
  token: tokenOf,
};
/** Session recordings (6.7). */
const RECORDINGS: Reading = { parse: parseSnapshots, token: tokenOfFirst };

export const eventsHandler = (options: EventsOptions): Handler => v0Handler(options, EVENTS);
export const recordingsHandler = (options: EventsOptions): Handler => v0Handler(options, RECORDINGS);

/** The v0 protocol: decode, parse, find the token, then the stages, then the answer (spec/capture.md 2 to 5). */
function v0Handler(options: EventsOptions, reading: Reading): Handler {
  return async (exchange) => {
    const { request, query, account } = exchange;
    const payload = await readPayload(exchange, options);
    if (!payload.ok) return payload.answer;
    const parsed = reading.parse(payload.value, exchange);
    if (!parsed.ok) return parsed.answer;
    const { events, historicalMigration, sentAt } = parsed.value;
    const success = successOf(query);
    if (events.length === 0) return success;
    const token = reading.token(parsed.value, tokenBeside(exchange));
    if (!token.ok) return token.answer;
    account.token = token.value;
    account.eventCount = events.length;
    const verdict = await options.take({
      exchange,
      token: token.value,
      events,
      historicalMigration,
      sentAtMs: sentAtOf(sentAt, query),
      ip: clientIp(request),
      drops: [],
      oversize: 'refuse',
    });
    return answerOf(verdict, success);
  };
}

/** What v0 says of a verdict (4.4): one status for the whole request. */
export function answerOf(verdict: Verdict, success: Answer): Answer {
  switch (verdict.type) {
    case 'taken':
      return success;
    case 'over-quota':
      // Told of a quota of events, posthog-js would ask for no flags either; told of recordings, it stops only those (7.3).
      return verdict.resource === 'recordings' ? OVER_RECORDING_QUOTA : OK;
    case 'refused':
      return verdict.answer;
    case 'too-large':
      return oversize(verdict.detail);
    case 'unavailable':
      return TRY_AGAIN;
  }
}
