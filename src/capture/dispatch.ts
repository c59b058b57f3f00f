import { DRAINING, NOT_FOUND, text } from './answers.ts';
import { eventsHandler, recordingsHandler } from './events.ts';
import type { Handler } from './exchange.ts';
import { NO_GUARDS } from './guards/guards.ts';
import { createSignatureCheck } from './guards/signature.ts';
import { traced } from './layers/traced.ts';
import { limitsOf, type CaptureLimits } from './limits.ts';
import type { PayloadOptions } from './payload.ts';
import { createErrorLines } from './putmessage/error-lines.ts';
import { putmessageHandler } from './putmessage/handler.ts';
import { sdkHandler } from './sdk-handler.ts';
import { v1Handler } from './v1/handler.ts';
import type { ChainOptions } from './options.ts';
import { wayOfEvents, wayOfRecordings } from './ways.ts';

/** From a route to its handler. */
export function dispatch(options: ChainOptions): Handler {
  const { clock, random, isDraining, lasting } = options;
  const limits = limitsOf(options.limits);
  const { inflate } = lasting;
  const { signing } = options.guards ?? NO_GUARDS;
  /** Of questions: neither signed nor stored. */
  const asked: PayloadOptions = { ...limits, limits, clock, budget: lasting.bodies };
  const check = signing === undefined ? undefined : createSignatureCheck(signing);
  const payload: PayloadOptions = { ...asked, check, roomBytes: options.sink.roomBytes };

  const span = traced(options);
  const take = wayOfEvents(options, limits);
  const events = span(eventsHandler({ payload, inflate, take }));
  const { v1WireBytes, v1DecodedBytes } = limits;
  const v1 = span(v1Handler({ payload: { ...payload, limits: { wireBytes: v1WireBytes, decodedBytes: v1DecodedBytes } }, inflate, take }));
  const { recordingBytes: wireBytes } = limits;
  const recordings = recordingsHandler({
    payload: { ...payload, limits: { wireBytes, decodedBytes: wireBytes } },
    inflate,
    take: wayOfRecordings(options, limits),
  });
  const blackHole = eventsHandler({ payload, inflate, take: () => Promise.resolve({ type: 'taken' }) });

  const putmessage = putmessageOf(options, limits, payload);
  const { sdk: settings = { recordings: false }, files = new Map() } = options;
  const questions = sdkHandler({ payload: asked, inflate, random, settings, files });

  return (exchange) => {
    const { route } = exchange;
    switch (route.type) {
      case 'events':
        return events(exchange);
      case 'events-v1':
        return v1(exchange);
      case 'recordings':
        return recordings(exchange);
      case 'putmessage':
        return putmessage(exchange);
      case 'black-hole':
        return blackHole(exchange);
      case 'root':
        return Promise.resolve(text('capture'));
      case 'liveness':
        return Promise.resolve(text('ok'));
      case 'readiness':
        return Promise.resolve(isDraining() ? DRAINING : text(''));
      case 'not-found':
        throw new Error('a path without a route passed the layer that turns it away');
      default:
        return questions(exchange);
    }
  };
}

function putmessageOf(
  { sink, clock, putmessage: settings, lasting }: ChainOptions,
  limits: CaptureLimits,
  payload: PayloadOptions,
): Handler {
  if (settings === undefined || settings.topics.length === 0) return () => Promise.resolve(NOT_FOUND);
  const errorLines = createErrorLines({ clock, withMessages: settings.logMessages });
  const { unacknowledged } = lasting;
  return putmessageHandler({ ...limits, sink, clock, settings, payload, errorLines, unacknowledged });
}
