import { ABORTED, TRY_AGAIN } from '../answers.ts';
import type { Exchange, Layer } from '../exchange.ts';
import type { Route } from '../routes.ts';
import type { Turnstile } from '../turnstile.ts';

/** What probes ask must be answered while everybody else waits (spec/capture.md 9). */
const OUTSIDE: ReadonlySet<Route['type']> = new Set(['root', 'readiness', 'liveness']);

/**
 * Requests in work at a time. Those that find no room wait, and are asked to come again when `waitMs` after they came there is still none:
 * 503, because it is we who are slow.
 */
export function concurrency({ turnstile, waitMs }: { readonly turnstile: Turnstile; readonly waitMs: number }): Layer {
  return (next) => async (exchange) => {
    if (OUTSIDE.has(exchange.route.type)) return next(exchange);
    const isIn = await turnstile.enter(waitMs, whenGone(exchange));
    if (!isIn) return exchange.response.destroyed ? ABORTED : TRY_AGAIN;
    try {
      return await next(exchange);
    } finally {
      turnstile.leave();
    }
  };
}

function whenGone({ response }: Exchange): (gone: () => void) => void {
  return (gone) => void response.once('close', gone);
}
