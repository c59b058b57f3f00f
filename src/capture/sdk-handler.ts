import { uuidV7 } from '../domain/uuid.ts';
import type { Random } from '../runtime/clock.ts';
import { readPayload } from './events.ts';
import type { Handler } from './exchange.ts';
import type { Inflate } from './inflate.ts';
import type { PayloadOptions } from './payload.ts';
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
export function sdkHandler(options: SdkOptions): Handler {
  const { route, random } = options;
  return async (exchange) => {
    const payload = await readPayload(exchange, options);
    const requestId = uuidV7({ nowMs: exchange.receivedMs, random: randomBytes(random) });
    return sdkAnswer(route, exchange.query, tokenAsked(exchange.request.url ?? '/', payload.ok ? payload.value : undefined), requestId);
  };
}
