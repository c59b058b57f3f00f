import { NO_CONTENT, OK, oversize, TRY_AGAIN, type Answer } from './answers.ts';
import type { Take, Verdict } from './batch.ts';
import { clientIp } from './client-ip.ts';
import { decodePayload } from './decode.ts';
import type { Handler } from './exchange.ts';
import type { Inflate } from './inflate.ts';
import { withBody, type PayloadOptions } from './payload.ts';
import { parseRequest, type RawEvent } from './shapes.ts';
import { sentAtOf } from './timestamp.ts';
import { tokenOf } from './token.ts';

export interface EventsOptions {
  readonly payload: PayloadOptions;
  readonly inflate: Inflate;
  readonly take: Take<RawEvent>;
}

/** The v0 protocol: decode, parse, find the token, then the stages, then the answer (spec/capture.md 2 to 5). */
export function eventsHandler({ payload: options, inflate, take }: EventsOptions): Handler {
  return async (exchange) => {
    const { request, query, route, account } = exchange;
    const payload = await withBody(exchange, options, (body) => {
      const { 'content-type': contentType, 'content-encoding': contentEncoding } = request.headers;
      return decodePayload(body, { query, contentType, contentEncoding }, inflate, options.limits.decodedBytes);
    });
    if (!payload.ok) return payload.answer;
    const parsed = parseRequest(payload.value, route.type === 'events' && route.mayEngage);
    if (!parsed.ok) return parsed.answer;
    const events = parsed.value.events.filter(({ event }) => event !== '$performance_event');
    const success = query?.get('beacon') === '1' ? NO_CONTENT : OK;
    if (events.length === 0) return success;
    const token = tokenOf({ ...parsed.value, events });
    if (!token.ok) return token.answer;
    account.eventCount = events.length;
    const verdict = await take({
      exchange,
      token: token.value,
      events,
      historicalMigration: parsed.value.historicalMigration,
      sentAtMs: sentAtOf(parsed.value.sentAt, query),
      ip: clientIp(request),
      drops: [],
    });
    return answerOf(verdict, success);
  };
}

/** What v0 says of a verdict (4.4): one status for the whole request. */
export function answerOf(verdict: Verdict, success: Answer): Answer {
  switch (verdict.type) {
    case 'taken':
      return success;
    case 'refused':
      return verdict.answer;
    case 'too-large':
      return oversize(verdict.detail);
    case 'unavailable':
      return TRY_AGAIN;
  }
}
