import { newSpanId, parseTraceparent } from '../../domain/trace.ts';
import type { TraceContext } from '../../domain/event.ts';
import { state } from '../../observe/facts.ts';
import type { Clock, Random } from '../../runtime/clock.ts';
import type { Answer } from '../answers.ts';
import type { Exchange, Handler, Layer } from '../exchange.ts';

/** The parent of a span that has none. */
const NO_PARENT = '0000000000000000';

/**
 * Makes a span of a sampled request. Sampling is decided at the head: a caller that samples is followed, otherwise chance
 * decides, `sampleRatio` of the requests.
 */
export function traced({ clock, random, sampleRatio }: TraceOptions): Layer {
  return (next) => (exchange) => {
    const span = beginSpan(exchange, random, sampleRatio);
    return span === undefined ? next(exchange) : within(span, next, exchange);
  };

  async function within(span: Span, next: Handler, exchange: Exchange): Promise<Answer> {
    exchange.account.trace = { traceId: span.traceId, spanId: span.spanId };
    const answer = await next(exchange);
    state('stage-ended', {
      name: 'capture request',
      kind: 'server',
      trace: { traceId: span.traceId, spanId: span.parentSpanId },
      spanId: span.spanId,
      startMs: exchange.receivedMs,
      endMs: exchange.receivedMs + (clock.monotonic() - exchange.begunMs),
      attributes: { 'http.request.method': exchange.request.method ?? '', records: exchange.account.eventCount },
      ...(answer.status < 400 ? {} : { error: answer.body }),
    });
    return answer;
  }
}

export interface TraceOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly sampleRatio: number;
}

type Span = TraceContext & { readonly parentSpanId: string };

function beginSpan({ request }: Exchange, random: Random, sampleRatio: number): Span | undefined {
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
