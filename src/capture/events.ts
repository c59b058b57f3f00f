import { NO_CONTENT, OK, OVER_RECORDING_QUOTA, oversize, TRY_AGAIN, type Answer, type Attempt } from './answers.ts';
import type { Take, Verdict } from './batch.ts';
import { clientIp } from './client-ip.ts';
import { decodePayload } from './decode.ts';
import type { Exchange, Handler } from './exchange.ts';
import type { Inflate } from './inflate.ts';
import { withBody, type PayloadOptions } from './payload.ts';
import { parseRequest, parseSnapshots, type RawEvent } from './shapes.ts';
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

/** The v0 protocol: decode, parse, find the token, then the stages, then the answer (spec/capture.md 2 to 5). */
export function eventsHandler(options: EventsOptions): Handler {
  return async (exchange) => {
    const { request, query, route, account } = exchange;
    const payload = await readPayload(exchange, options);
    if (!payload.ok) return payload.answer;
    const parsed = parseRequest(payload.value, route.type === 'events' && route.mayEngage);
    if (!parsed.ok) return parsed.answer;
    const events = parsed.value.events.filter(({ event }) => event !== '$performance_event');
    const success = successOf(query);
    if (events.length === 0) return success;
    const token = tokenOf({ ...parsed.value, events }, tokenBeside(exchange));
    if (!token.ok) return token.answer;
    account.eventCount = events.length;
    const verdict = await options.take({
      exchange,
      token: token.value,
      events,
      historicalMigration: parsed.value.historicalMigration,
      sentAtMs: sentAtOf(parsed.value.sentAt, query),
      ip: clientIp(request),
      drops: [],
      oversize: 'refuse',
    });
    return answerOf(verdict, success);
  };
}

/** Session recordings (6.7): v0 all the way, but for the shapes of bodies and whose token counts. */
export function recordingsHandler(options: EventsOptions): Handler {
  return async (exchange) => {
    const { request, query, account } = exchange;
    const payload = await readPayload(exchange, options);
    if (!payload.ok) return payload.answer;
    const parsed = parseSnapshots(payload.value);
    if (!parsed.ok) return parsed.answer;
    const { events, historicalMigration, sentAt } = parsed.value;
    const token = tokenOfFirst(parsed.value, tokenBeside(exchange));
    if (!token.ok) return token.answer;
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
    return answerOf(verdict, successOf(query));
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
