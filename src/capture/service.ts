import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../runtime/clock.ts';
import { write } from './answers.ts';
import { countSockets } from './sockets.ts';
import { chain, type Exchange, type Handler, type Layer } from './exchange.ts';
import { createLasting } from './lasting.ts';
import { accessLog } from './layers/access-log.ts';
import { concurrency } from './layers/concurrency.ts';
import { cors } from './layers/cors.ts';
import { methods } from './layers/methods.ts';
import { recover } from './layers/recover.ts';
import { requestId } from './layers/request-id.ts';
import { limitsOf } from './limits.ts';
import { originForm, routeOf } from './routes.ts';
import { dispatch } from './dispatch.ts';
import type { CaptureOptions } from './options.ts';

/**
 * Role: PostHog's capture endpoints in front of a sink, which is Kafka with the spill behind it (docs/adr/0020). docs/adr/0019 says why it is a chain.
 *
 *     serving ──beginDrain──▶ draining (requests are still served; readiness says 503; src/http/connections.ts ends the connections)
 *
 * I1 200 is said only after the sink acknowledged every record of the request. There is no queue of our own.
 * I2 A request that is refused for what it holds produced nothing: all its records are built before the first is sent.
 * I3 Records of one request go to the sink in the order of its events, in one call, so a key keeps its order.
 * I4 Memory is bounded: bodies of all requests by `inFlightBytes`, one body by `wireBytes` and, inflated, `decodedBytes`.
 * I5 Overload and outages are a 503 with Retry-After, never a 4xx: SDKs throw away what a 4xx answered.
 * I6 A request meets one set of settings: it ends on the chain that it began with, whatever {@link Capture.prepare} brings meanwhile.
 */
export interface Capture {
  /** For `http.createServer`. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /**
   * Builds the chain of other settings (docs/adr/0023). The function that it returns puts it in the place of the one in force, from the next
   * request on. What bounds the process (bytes in work, inflating, token buckets of limits that stayed as they were) is one for both.
   */
  readonly prepare: (options: CaptureOptions) => () => void;
  /** Readiness turns 503; call it before the server's `drain`. */
  beginDrain(): void;
  /** Requests that are not answered yet. */
  inFlightCount(): number;
}

export function createCapture(options: CaptureOptions): Capture {
  let draining = false;
  let inFlight = 0;

  const sockets = countSockets();
  const lasting = createLasting(options.clock, options.limits);
  let handler = build(options);
  lasting.enforce(limitsOf(options.limits));

  function build(settings: CaptureOptions): Handler {
    const { clock, random } = settings;
    const { requestMs: waitMs, concurrentCount } = limitsOf(settings.limits);
    const queueing: readonly Layer[] = concurrentCount === 0 ? [] : [concurrency({ turnstile: lasting.turnstile, waitMs })];
    const layers: readonly Layer[] = [
      requestId(random),
      accessLog(clock, settings.accessLog ?? 'off'),
      recover,
      cors,
      methods,
      ...queueing,
    ];
    return chain(layers, dispatch({ ...settings, lasting, isDraining: () => draining }));
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = beginExchange(request, response, options.clock);
    write(response, await handler(exchange), request.method);
  }

  return {
    handle(request, response) {
      inFlight++;
      sockets(request.socket);
      void serve(request, response).finally(() => inFlight--);
    },
    prepare(settings) {
      const next = build(settings);
      return () => {
        lasting.enforce(limitsOf(settings.limits));
        handler = next;
      };
    },
    beginDrain() {
      draining = true;
    },
    inFlightCount: () => inFlight,
  };
}

function beginExchange(request: IncomingMessage, response: ServerResponse, clock: Clock): Exchange {
  const url = originForm(request.url ?? '/');
  const at = url.indexOf('?');
  return {
    request,
    response,
    route: routeOf(url),
    query: at < 0 ? undefined : new URLSearchParams(url.slice(at + 1)),
    receivedMs: clock.now(),
    begunMs: clock.monotonic(),
    account: { requestId: '', trace: undefined, token: undefined, eventId: undefined, eventCount: 0, bytes: 0 },
  };
}
