import { uuidV7 } from '../domain/uuid.ts';
import type { Random } from '../runtime/clock.ts';
import { decodePayload } from './decode.ts';
import type { Handler } from './exchange.ts';
import type { Inflate } from './inflate.ts';
import { withBody, type PayloadOptions } from './payload.ts';
import { randomBytes } from './random-bytes.ts';
import type { SdkRoute } from './routes.ts';
import { sdkAnswer, tokenAsked } from './sdk.ts';

export interface SdkOptions {
  readonly route: SdkRoute;
  readonly payload: PayloadOptions;
  readonly inflate: Inflate;
  readonly random: Random;
}

/** Answers what SDKs ask besides sending events. A body that nobody can read is no reason to refuse: the token is only echoed. */
export function sdkHandler({ route, payload: options, inflate, random }: SdkOptions): Handler {
  return async (exchange) => {
    const { request, query } = exchange;
    const payload = await withBody(exchange, options, (body) => {
      const { 'content-type': contentType, 'content-encoding': contentEncoding } = request.headers;
      return decodePayload(body, { query, contentType, contentEncoding }, inflate, options.limits.decodedBytes);
    });
    const requestId = uuidV7({ nowMs: exchange.receivedMs, random: randomBytes(random) });
    return sdkAnswer(route, query, tokenAsked(request.url ?? '/', payload.ok ? payload.value : undefined), requestId);
  };
}
