import { randomBytes } from '../random-bytes.ts';
import { uuidV7 } from '../../domain/uuid.ts';
import type { Random } from '../../runtime/clock.ts';
import type { Layer } from '../exchange.ts';

const GIVEN = /^[\w.:-]{1,128}$/;

/**
 * Names the request: by the `X-Request-Id` it brought when that is harmless in a log line and a header, else by a new
 * uuid. The answer carries the name, so that what a client saw is found in the log.
 */
export function requestId(random: Random): Layer {
  return (next) => (exchange) => {
    const given = exchange.request.headers['x-request-id'];
    const id = typeof given === 'string' && GIVEN.test(given) ? given : uuidV7({ nowMs: exchange.receivedMs, random: randomBytes(random) });
    exchange.account.requestId = id;
    exchange.response.setHeader('X-Request-Id', id);
    return next(exchange);
  };
}
