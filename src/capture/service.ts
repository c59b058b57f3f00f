import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TraceContext } from '../domain/event.ts';
import { newSpanId, parseTraceparent } from '../domain/trace.ts';
import { uuidV7 } from '../domain/uuid.ts';
import { state } from '../observe/facts.ts';
import type { Clock, Random } from '../runtime/clock.ts';
import * as answers from './answers.ts';
import type { Answer, Attempt } from './answers.ts';
import { createBudget, readBody } from './body.ts';
import type { CaptureTopics } from './classify.ts';
import { clientIp } from './client-ip.ts';
import { createInflate, decodePayload } from './decode.ts';
import { recordsOf, type RecordsByTopic } from './records.ts';
import { routeOf, type Route } from './routes.ts';
import { sdkAnswer, tokenAsked } from './sdk.ts';
import { parseRequest } from './shapes.ts';
import type { EventSink } from './sink.ts';
import { tokenOf } from './token.ts';

/**
 * Role: PostHog's capture endpoints in front of a sink, which is Kafka.
 *
 *     serving ──beginDrain──▶ draining (requests are still served, and their connections closed; readiness says 503)
 *
 * I1 200 is said only after the sink acknowledged every record of the request. There is no queue of our own.
 * I2 A request that is refused for what it holds produced nothing: all its records are built before the first is sent.
 * I3 Records of one request go to the sink in the order of its events, in one call, so a key keeps its order.
 * I4 Memory is bounded: bodies of all requests by `inFlightBytes`, one body by `wireBytes` and, inflated, `decodedBytes`.
 * I5 Overload and outages are a 503 with Retry-After, never a 4xx: SDKs throw away what a 4xx answered.
 *
 * What it does not do: look tokens up, limit rates, enforce quotas, take session recordings, or keep events while Kafka
 * is away longer than the SDKs are patient (the embedded log has no such time).
 */
export interface Capture {
  /** For `http.createServer`. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** Readiness turns 503 and connections close after their request; call it before `server.close`. */
  beginDrain(): void;
  /** Requests that are not answered yet. */
  inFlightCount(): number;
}

export interface CaptureLimits {
  /** Largest request body. @defaultValue 20 MiB */
  readonly wireBytes: number;
  /** Largest payload after decompression. @defaultValue 100 MiB */
  readonly decodedBytes: number;
  /** Largest Kafka value of one event. @defaultValue 1,000,000 */
  readonly eventBytes: number;
  /** Bodies of all requests in work. Beyond it requests are asked to come again. @defaultValue 256 MiB */
  readonly inFlightBytes: number;
  /** A client that sends nothing for so long gets 408. @defaultValue 30,000 */
  readonly bodyIdleMs: number;
  /** How long the rest of a refused upload is read. @defaultValue 5,000 */
  readonly drainMs: number;
  /** How long the sink may take; posthog-node waits 10 s for the answer. @defaultValue 5,000 */
  readonly produceMs: number;
  /** Bodies inflated at a time, each up to `decodedBytes`. @defaultValue 4 */
  readonly inflateCount: number;
}

export const DEFAULT_LIMITS: CaptureLimits = {
  wireBytes: 20 << 20,
  decodedBytes: 100 << 20,
  eventBytes: 1_000_000,
  inFlightBytes: 256 << 20,
  bodyIdleMs: 30_000,
  drainMs: 5_000,
  produceMs: 5_000,
  inflateCount: 4,
};

export interface CaptureOptions {
  readonly sink: EventSink;
  readonly topics: CaptureTopics;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits?: Partial<CaptureLimits>;
  /** Share of requests that are traced when they bring no sampled `traceparent`. */
  readonly sampleRatio: number;
}

/** What the facts of a request say about it, filled in as it becomes known. */
interface Account {
  eventCount: number;
  bytes: number;
}

/** The parent of a span that has none. */
const NO_PARENT = '0000000000000000';

export function createCapture(options: CaptureOptions): Capture {
  const { sink, topics, clock, random, sampleRatio } = options;
  const limits: CaptureLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const budget = createBudget(limits.inFlightBytes);
  const inflate = createInflate(limits.inflateCount);
  let draining = false;
  let inFlight = 0;

  /** Reads and unwraps the payload. Undefined when the client is gone. */
  async function payloadOf(
    request: IncomingMessage,
    query: URLSearchParams | undefined,
    account: Account,
  ): Promise<Attempt<string> | 'aborted'> {
    const body = await readBody(request, limits, { clock, budget });
    if (body.type === 'aborted') return 'aborted';
    if (body.type === 'stalled') return answers.refuse(closing(answers.STALLED));
    if (body.type !== 'whole') {
      const answer = body.type === 'busy' ? answers.TRY_AGAIN : answers.oversize(`the request exceeds ${limits.wireBytes} bytes`);
      return answers.refuse(body.connectionUsable ? answer : closing(answer));
    }
    try {
      account.bytes = body.bytes.length;
      const { 'content-type': contentType, 'content-encoding': contentEncoding } = request.headers;
      return await decodePayload(body.bytes, { query, contentType, contentEncoding }, inflate, limits.decodedBytes);
    } finally {
      budget.give(body.bytes.length);
    }
  }

  /** I1. Resolves to undefined when everything is acknowledged. */
  async function produce(records: RecordsByTopic): Promise<Answer | undefined> {
    const result = await sink.send(records, limits.produceMs);
    switch (result.type) {
      case 'acknowledged':
        return undefined;
      case 'too-large':
        return answers.oversize(result.detail);
      case 'unavailable':
        return answers.TRY_AGAIN;
    }
  }

  async function takeEvents(
    request: IncomingMessage,
    query: URLSearchParams | undefined,
    mayEngage: boolean,
    account: Account,
  ): Promise<Answer | 'aborted'> {
    const nowMs = clock.now();
    const begunMs = clock.monotonic();
    const payload = await payloadOf(request, query, account);
    if (payload === 'aborted') return payload;
    if (!payload.ok) return payload.answer;
    const parsed = parseRequest(payload.value, mayEngage);
    if (!parsed.ok) return parsed.answer;
    const events = parsed.value.events.filter(({ event }) => event !== '$performance_event');
    const success = query?.get('beacon') === '1' ? answers.NO_CONTENT : answers.OK;
    if (events.length === 0) return success;
    const token = tokenOf({ ...parsed.value, events });
    if (!token.ok) return token.answer;
    const span = beginSpan(request);
    const records = recordsOf(
      { ...parsed.value, events },
      {
        token: token.value,
        ip: clientIp(request),
        nowMs,
        sentAtQuery: query?.get('_') ?? query?.get('sent_at') ?? undefined,
        trace: span && { traceId: span.traceId, spanId: span.spanId },
      },
      { topics, eventBytes: limits.eventBytes, random },
    );
    if (!records.ok) return records.answer;
    account.eventCount = events.length;
    const failure = await produce(records.value);
    if (span !== undefined) {
      state('stage-ended', {
        name: 'capture request',
        kind: 'server',
        trace: { traceId: span.traceId, spanId: span.parentSpanId },
        spanId: span.spanId,
        startMs: nowMs,
        endMs: nowMs + (clock.monotonic() - begunMs),
        attributes: { 'http.request.method': request.method ?? '', records: events.length },
        ...(failure === undefined ? {} : { error: failure.body }),
      });
    }
    return failure ?? success;
  }

  /** Head sampling: a caller that samples is followed; otherwise chance decides. Undefined when the request is not traced. */
  function beginSpan(request: IncomingMessage): (TraceContext & { readonly parentSpanId: string }) | undefined {
    const { traceparent } = request.headers;
    const parent = typeof traceparent === 'string' ? parseTraceparent(traceparent) : undefined;
    if (parent?.sampled !== true && random.next() >= sampleRatio) return undefined;
    const next = (): number => random.next();
    return {
      traceId: parent?.traceId ?? newSpanId(next) + newSpanId(next),
      spanId: newSpanId(next),
      parentSpanId: parent?.spanId ?? NO_PARENT,
    };
  }

  async function answerTo(request: IncomingMessage, route: Route, account: Account): Promise<Answer | 'aborted'> {
    const { method = 'GET', url = '/' } = request;
    if (route.type === 'not-found') return answers.NOT_FOUND;
    const at = url.indexOf('?');
    const query = at < 0 ? undefined : new URLSearchParams(url.slice(at + 1));
    if (method !== 'GET' && method !== 'HEAD' && method !== 'POST') return answers.METHOD_NOT_ALLOWED;
    switch (route.type) {
      case 'events':
        return takeEvents(request, query, route.mayEngage, account);
      case 'root':
        return answers.text('capture');
      case 'liveness':
        return answers.text('ok');
      case 'readiness':
        return draining ? answers.DRAINING : answers.text('');
      default: {
        const payload = await payloadOf(request, query, account);
        if (payload === 'aborted') return payload;
        const requestId = uuidV7({ nowMs: clock.now(), random: Uint8Array.from({ length: 10 }, () => random.next() * 256) });
        return sdkAnswer(route, query, tokenAsked(url, payload.ok ? payload.value : undefined), requestId);
      }
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const begunMs = clock.monotonic();
    const route = routeOf(request.url ?? '/');
    if (draining) response.setHeader('Connection', 'close');
    if (request.method === 'OPTIONS') {
      answers.writePreflight(request, response);
      return;
    }
    const account: Account = { eventCount: 0, bytes: 0 };
    const answer = await answerTo(request, route, account).catch((error: unknown) => {
      state('log-written', {
        level: 'error',
        message: 'A capture request failed in a way nobody thought of.',
        fields: { path: route.path, error: error instanceof Error ? (error.stack ?? error.message) : String(error) },
      });
      return answers.INTERNAL;
    });
    if (answer === 'aborted') return;
    answers.write(request, response, answer);
    state('capture-request-answered', {
      path: route.path,
      status: answer.status,
      events: account.eventCount,
      bytes: account.bytes,
      durationMs: clock.monotonic() - begunMs,
      reason: answer.reason,
    });
  }

  return {
    handle(request, response) {
      inFlight++;
      void serve(request, response).finally(() => inFlight--);
    },
    beginDrain() {
      draining = true;
    },
    inFlightCount: () => inFlight,
  };
}

/** The same answer over a connection that ends with it: the rest of the upload was not read. */
function closing(answer: Answer): Answer {
  return { ...answer, headers: { ...answer.headers, Connection: 'close' } };
}
