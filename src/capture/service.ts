import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock, Random } from '../runtime/clock.ts';
import { DRAINING, NOT_FOUND, text, write } from './answers.ts';
import { pipe, type Take } from './batch.ts';
import { countSockets } from './sockets.ts';
import type { CaptureTopics } from './classify.ts';
import { NO_GLOBAL_LIMIT, type GlobalLimit } from './global-limit.ts';
import { limitedGlobally } from './stages/limited-globally.ts';
import { eventsHandler, recordingsHandler } from './events.ts';
import { chain, type Exchange, type Handler, type Layer } from './exchange.ts';
import { NO_GUARDS, type CaptureGuards } from './guards/guards.ts';
import { createSignatureCheck } from './guards/signature.ts';
import { createLasting, type Lasting } from './lasting.ts';
import { accessLog, type AccessLog } from './layers/access-log.ts';
import { concurrency } from './layers/concurrency.ts';
import { cors } from './layers/cors.ts';
import { methods } from './layers/methods.ts';
import { recover } from './layers/recover.ts';
import { requestId } from './layers/request-id.ts';
import { traced } from './layers/traced.ts';
import { DEFAULT_LIMITS, type CaptureLimits } from './limits.ts';
import type { PayloadOptions } from './payload.ts';
import { authPlugins } from './plugins/auth.ts';
import { dataPlugins } from './plugins/data.ts';
import { NO_PLUGINS, type OpenedPlugins } from './plugins/open.ts';
import { createErrorLines } from './putmessage/error-lines.ts';
import { putmessageHandler, type PutmessageSettings } from './putmessage/handler.ts';
import { originForm, routeOf } from './routes.ts';
import { sdkHandler } from './sdk-handler.ts';
import type { SdkSettings } from './sdk.ts';
import type { RawEvent } from './shapes.ts';
import type { EventSink } from './sink.ts';
import type { StaticFiles } from './static-files.ts';
import { NO_RULES, type CaptureRules } from './rules.ts';
import { accounted } from './stages/accounted.ts';
import { clientAddress } from './stages/client-address.ts';
import { masking } from './stages/masking.ts';
import { quota } from './stages/quota.ts';
import { NO_QUOTAS, type Quotas } from './quotas.ts';
import { dedupe, type DedupeSettings } from './stages/dedupe.ts';
import { overflow } from './stages/overflow.ts';
import { NO_RESTRICTIONS, type Restrictions } from './restrictions/watch.ts';
import { RESTRICTING_EVENTS, RESTRICTING_RECORDINGS, restricted } from './stages/restricted.ts';
import { NO_REPLAY_OVERFLOW, type ReplayOverflow } from './replay-overflow.ts';
import { overflowRecordings } from './stages/replay-overflow.ts';
import { admitted, ADMITS_ALL, type AdmissionSettings } from './stages/admitted.ts';
import { COUNTING_EVENTS, COUNTING_RECORDINGS, spending, type SpendingSettings } from './stages/spending.ts';
import { tailored, TAILORING_EVENTS, TAILORING_RECORDINGS } from './stages/tailored.ts';
import { tokenDropper } from './stages/token-dropper.ts';
import { prepare } from './stages/prepare.ts';
import { produce } from './stages/produce.ts';
import { prepareRecording } from './stages/prepare-recording.ts';
import { produceRecording } from './stages/produce-recording.ts';
import { v1Handler } from './v1/handler.ts';

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

export interface CaptureOptions {
  readonly sink: EventSink;
  readonly topics: CaptureTopics;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<CaptureLimits>;
  /** Absent: there is no such path. */
  readonly putmessage?: PutmessageSettings & { readonly logMessages: boolean };
  /** What becomes of events besides being stored (spec/capture.md 6.5, 7). @defaultValue nothing */
  readonly rules?: CaptureRules;
  /** Where stored events are remembered. @defaultValue nowhere: duplicates are left to ClickHouse */
  readonly dedupe?: DedupeSettings | undefined;
  /** What tokens have used up. @defaultValue nothing */
  readonly quotas?: Quotas;
  /** What is asked of who sends, and taken out of what is sent. @defaultValue nothing */
  readonly guards?: CaptureGuards;
  /** The operator's own, of kind data and auth; those of kind storage are around the sink. @defaultValue none */
  readonly plugins?: OpenedPlugins;
  /** What is laid down for events while capture runs (7.4). @defaultValue nothing */
  readonly restrictions?: Restrictions;
  /** Whose events are taken, and what is laid down for each token (16.1, rows 24, 29, 30). @defaultValue everybody's */
  readonly tokens?: AdmissionSettings;
  /** What tokens may spend (16.1, rows 14 and 23). @defaultValue without end */
  readonly spending?: SpendingSettings;
  /** Keys that send too many over all processes (7.2). @defaultValue none */
  readonly globalLimit?: GlobalLimit;
  /** Sessions whose recordings go aside (7.2). @defaultValue none */
  readonly replayOverflow?: ReplayOverflow;
  /** What SDKs are told. @defaultValue nothing is recorded */
  readonly sdk?: SdkSettings;
  /** Scripts that posthog-js loads from here. @defaultValue none */
  readonly files?: StaticFiles;
  /** Requests that get a line in the log. @defaultValue 'off' */
  readonly accessLog?: AccessLog;
  /** Share of requests that are traced when they bring no sampled `traceparent`. */
  readonly sampleRatio: number;
}

export function createCapture(options: CaptureOptions): Capture {
  let draining = false;
  let inFlight = 0;

  const sockets = countSockets();
  const lasting = createLasting(options.clock, options.limits);
  let handler = build(options);
  lasting.enforce({ ...DEFAULT_LIMITS, ...options.limits });

  function build(settings: CaptureOptions): Handler {
    const { clock, random } = settings;
    const { requestMs: waitMs, concurrentCount } = { ...DEFAULT_LIMITS, ...settings.limits };
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
        lasting.enforce({ ...DEFAULT_LIMITS, ...settings.limits });
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

interface DispatchOptions extends CaptureOptions {
  readonly isDraining: () => boolean;
  readonly lasting: Lasting;
}

/** From a route to its handler. */
function dispatch(options: DispatchOptions): Handler {
  const { clock, random, isDraining, lasting } = options;
  const limits: CaptureLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const { inflate } = lasting;
  const { signing } = options.guards ?? NO_GUARDS;
  const unsigned: PayloadOptions = { ...limits, limits, clock, budget: lasting.bodies };
  const payload: PayloadOptions = signing === undefined ? unsigned : { ...unsigned, check: createSignatureCheck(signing) };

  const span = traced(options);
  const take = analytics(options, limits);
  const events = span(eventsHandler({ payload, inflate, take }));
  const { v1WireBytes, v1DecodedBytes } = limits;
  const v1 = span(v1Handler({ payload: { ...payload, limits: { wireBytes: v1WireBytes, decodedBytes: v1DecodedBytes } }, inflate, take }));
  const { recordingBytes: wireBytes } = limits;
  const recordings = recordingsHandler({
    payload: { ...payload, limits: { wireBytes, decodedBytes: wireBytes } },
    inflate,
    take: recorded(options, limits),
  });
  const blackHole = eventsHandler({ payload, inflate, take: () => Promise.resolve({ type: 'taken' }) });

  const putmessage = putmessageOf(options, limits, payload);
  const { sdk: settings = { recordings: false }, files = new Map() } = options;
  const questions = sdkHandler({ payload: unsigned, inflate, random, settings, files });

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

/** The way of session recordings. */
function recorded(
  {
    sink,
    topics,
    random,
    quotas = NO_QUOTAS,
    restrictions = NO_RESTRICTIONS,
    replayOverflow = NO_REPLAY_OVERFLOW,
    tokens = ADMITS_ALL,
    spending: spendable,
    rules = NO_RULES,
    guards = NO_GUARDS,
    plugins = NO_PLUGINS,
  }: CaptureOptions,
  limits: CaptureLimits,
): Take<RawEvent> {
  const stages = [
    ...(tokens.registry === undefined ? [] : [tailored(TAILORING_RECORDINGS)]),
    restricted(restrictions, RESTRICTING_RECORDINGS),
    overflowRecordings(replayOverflow, rules.replayOverflowForced),
    spending(spendable, COUNTING_RECORDINGS, true),
  ];
  return pipe(
    [accounted, authPlugins(plugins.auth), admitted(tokens), quota(quotas, 'recordings'), clientAddress(guards.addresses)],
    prepareRecording(random, pipe(stages, produceRecording({ sink, topics, ...limits }))),
  );
}

function putmessageOf(
  { sink, clock, putmessage: settings, lasting }: DispatchOptions,
  limits: CaptureLimits,
  payload: PayloadOptions,
): Handler {
  if (settings === undefined || settings.topics.length === 0) return () => Promise.resolve(NOT_FOUND);
  const errorLines = createErrorLines({ clock, withMessages: settings.logMessages });
  const { unacknowledged } = lasting;
  return putmessageHandler({ ...limits, sink, clock, settings, payload, errorLines, unacknowledged });
}

/** The way of analytics events, whichever protocol they came by: spec/capture.md 7 has the order. */
function analytics(
  {
    sink,
    topics,
    random,
    rules = NO_RULES,
    quotas = NO_QUOTAS,
    restrictions = NO_RESTRICTIONS,
    dedupe: remembered,
    tokens = ADMITS_ALL,
    spending: spendable,
    globalLimit = NO_GLOBAL_LIMIT,
    guards = NO_GUARDS,
    plugins = NO_PLUGINS,
    lasting,
  }: DispatchOptions,
  limits: CaptureLimits,
): Take<RawEvent> {
  const stages = [
    tokenDropper(rules.dropped),
    ...(tokens.registry === undefined ? [] : [tailored(TAILORING_EVENTS)]),
    restricted(restrictions, RESTRICTING_EVENTS),
    ...(remembered === undefined ? [] : [dedupe(remembered)]),
    spending(spendable, COUNTING_EVENTS, rules.overflow.keepsKeys),
    limitedGlobally(globalLimit, rules.isGlobalDryRun),
    overflow(rules.overflow, lasting.overflowLimiter),
    masking(guards.masking),
  ];
  const { historicalAfterMs } = rules;
  return pipe(
    [
      accounted,
      authPlugins(plugins.auth),
      admitted(tokens),
      quota(quotas, 'events'),
      clientAddress(guards.addresses),
      dataPlugins(plugins.data),
    ],
    prepare({ random, historicalAfterMs }, pipe(stages, produce({ sink, topics, ...limits }))),
  );
}
