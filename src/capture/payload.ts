import { state } from '../observe/facts.ts';
import type { Clock } from '../runtime/clock.ts';
import { ABORTED, closing, oversize, refuse, STALLED, TRY_AGAIN, type Attempt } from './answers.ts';
import { readBody, type Budget } from './body.ts';
import type { Exchange } from './exchange.ts';
import type { BodyCheck } from './guards/signature.ts';

/** What one route's bodies may cost. */
export interface PayloadLimits {
  /** Largest body as sent. */
  readonly wireBytes: number;
  /** Largest payload after decompression. */
  readonly decodedBytes: number;
}

export interface PayloadOptions {
  readonly limits: PayloadLimits;
  readonly bodyIdleMs: number;
  readonly requestMs: number;
  readonly drainMs: number;
  readonly clock: Clock;
  /** Shared by all requests of the process. */
  readonly budget: Budget;
  /** What the sink could keep now: a larger body is refused before it costs anything. @defaultValue no limit */
  readonly roomBytes?: (() => number) | undefined;
  /** What bodies must pass before they are looked into. @defaultValue nothing */
  readonly check?: BodyCheck | undefined;
}

/**
 * Reads a request's body and gives it to `decode`; its bytes are the budget's again when that has ended. A refusal that
 * leaves the rest of the upload unread ends the connection.
 */
export async function withBody<T>(
  exchange: Exchange,
  options: PayloadOptions,
  decode: (body: Buffer) => Attempt<T> | Promise<Attempt<T>>,
): Promise<Attempt<T>> {
  const { limits, bodyIdleMs, requestMs, drainMs, clock, budget } = options;
  const roomBytes = options.roomBytes?.() ?? Infinity;
  const bodyLimits = { wireBytes: limits.wireBytes, roomBytes, bodyIdleMs, lateAtMs: exchange.begunMs + requestMs, drainMs };
  const body = await readBody(exchange.request, bodyLimits, { clock, budget });
  switch (body.type) {
    case 'aborted':
      return refuse(ABORTED);
    case 'stalled':
      return refuse(closing(STALLED));
    case 'busy':
    case 'too-large': {
      const outcome = body.connectionUsable ? 'drained' : 'given-up';
      state('capture-body-drained', { path: exchange.route.path, outcome, reason: body.type });
      const answer = body.type === 'busy' ? TRY_AGAIN : oversize(`the request exceeds ${limits.wireBytes} bytes`);
      return refuse(body.connectionUsable ? answer : closing(answer));
    }
    case 'whole':
      try {
        exchange.account.bytes = body.bytes.length;
        return refusalOf(exchange, body.bytes, options) ?? (await decode(body.bytes));
      } finally {
        budget.give(body.bytes.length);
      }
  }
}

function refusalOf(exchange: Exchange, body: Buffer, { check }: PayloadOptions): Attempt<never> | undefined {
  const answer = check?.(exchange, body);
  return answer === undefined ? undefined : refuse(answer);
}
