import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Layer } from '../exchange.ts';

/** States each request once, with its answer and by its route: never by its URL, which holds what strangers wrote. */
export function accessLog(clock: Clock): Layer {
  return (next) => async (exchange) => {
    const answer = await next(exchange);
    const { request, route, account, begunMs } = exchange;
    state('capture-request-answered', {
      method: request.method ?? 'GET',
      path: route.path,
      status: answer.status,
      events: account.eventCount,
      bytes: account.bytes,
      durationMs: clock.monotonic() - begunMs,
      reason: answer.reason,
      requestId: account.requestId,
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
