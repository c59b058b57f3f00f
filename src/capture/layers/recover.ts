import { state } from '../../observe/facts.ts';
import { INTERNAL } from '../answers.ts';
import type { Layer } from '../exchange.ts';

/** A bug ends its request with a 500 and a stack in the log, and nobody else's request. */
export const recover: Layer = (next) => async (exchange) => {
  try {
    return await next(exchange);
  } catch (error) {
    state('log-written', {
      level: 'error',
      message: 'A capture request failed in a way nobody thought of.',
      fields: {
        path: exchange.route.path,
        requestId: exchange.account.requestId,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      },
    });
    return INTERNAL;
  }
};
