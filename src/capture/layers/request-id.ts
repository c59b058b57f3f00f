import { newSpanId } from '../../domain/trace.ts';
import type { Random } from '../../runtime/clock.ts';
import type { Layer } from '../exchange.ts';

const GIVEN = /^[\w.:-]{1,128}$/;

/**
 * Names the request: by the `X-Request-Id` it brought when that is harmless in a log line and a header, else by a random
 * name of this chain and a number. The answer carries the name, so that what a client saw is found in the log.
 */
export function requestId(random: Random): Layer {
  const own = newSpanId(() => random.next());
  let count = 0;
  return (next) => (exchange) => {
    const given = exchange.request.headers['x-request-id'];
    const id = typeof given === 'string' && GIVEN.test(given) ? given : `${own}-${++count}`;
    exchange.account.requestId = id;
    exchange.response.setHeader('X-Request-Id', id);
    return next(exchange);
  };
}
