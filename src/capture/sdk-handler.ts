import { uuidV7 } from '../domain/uuid.ts';
import type { Random } from '../runtime/clock.ts';
import { NOT_FOUND, script, type Answer } from './answers.ts';
import { readPayload } from './events.ts';
import type { Handler } from './exchange.ts';
import type { Inflate } from './inflate.ts';
import type { PayloadOptions } from './payload.ts';
import { randomBytes } from './random-bytes.ts';
import { isSdkRoute } from './routes.ts';
import { sdkAnswer, tokenAsked, type SdkSettings } from './sdk.ts';
import type { StaticFiles } from './static-files.ts';

export interface SdkOptions {
  readonly payload: PayloadOptions;
  readonly inflate: Inflate;
  readonly random: Random;
  readonly settings: SdkSettings;
  readonly files: StaticFiles;
}

/** Answers what SDKs ask besides sending events. A body that nobody can read is no reason to refuse: the token is only echoed. */
export function sdkHandler(options: SdkOptions): Handler {
  const { random, settings, files } = options;
  return async (exchange) => {
    const { route, query, request } = exchange;
    if (route.type === 'static') return fileAnswer(files.get(route.file));
    if (!isSdkRoute(route)) throw new Error(`no question of SDKs: ${route.type}`);
    const payload = await readPayload(exchange, options);
    const requestId = uuidV7({ nowMs: exchange.receivedMs, random: randomBytes(random) });
    const token = tokenAsked(request.url ?? '/', payload.ok ? payload.value : undefined);
    return sdkAnswer(route.type, { query, token, requestId }, settings);
  };
}

/** Versions of the same script have different paths or queries, so browsers may keep one for a day. */
function fileAnswer(text: string | undefined): Answer {
  return text === undefined ? NOT_FOUND : { ...script(text), headers: { 'Cache-Control': 'public, max-age=86400' } };
}
