import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Layer } from '../exchange.ts';

/** Which requests an operator wants a line for: none, those from status 400 on, all. */
export const ACCESS_LOGS = ['off', 'errors', 'all'] as const;
export type AccessLog = (typeof ACCESS_LOGS)[number];

/** States each request once, with its answer and by its route: never by its URL, which holds what strangers wrote. */
export function accessLog(clock: Clock, lines: AccessLog): Layer {
  return (next) => async (exchange) => {
    const answer = await next(exchange);
    const { request, route, account, begunMs } = exchange;
    state('capture-request-answered', {
      method: request.method ?? 'GET',
      path: route.path,
      status: answer.status,
      events: account.eventCount,
      bytes: account.bytes,
      sentBytes: request.method === 'HEAD' ? 0 : Buffer.byteLength(answer.body),
      durationMs: clock.monotonic() - begunMs,
      reason: answer.reason,
      isLogged: lines === 'all' || (lines === 'errors' && answer.status >= 400),
      requestId: account.requestId,
      token: account.token,
      eventId: account.eventId,
      client: {
        address: request.socket.remoteAddress,
        forwardedFor: first(request.headers['x-forwarded-for']),
        userAgent: request.headers['user-agent'],
        referer: request.headers.referer,
      },
    });
    return answer;
  };
}

const first = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header.join(', ') : header);
