import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags, type Context, type SpanContext, type Tracer } from '@opentelemetry/api';
import { observe, type Facts } from '../observe/facts.ts';
import { conventional } from './semconv.ts';

/**
 * Spans, made afterwards: a stage that ended is one fact with its times and ids, and here it becomes a span that begins and
 * ends at once. So nothing on the hot path holds a span, and no context has to follow messages through mailboxes.
 *
 * I1  A span has the trace id of its fact, and its own id where the fact gives one: later stages have already named it as their parent.
 * I2  Every stage is recorded: who states a `stage-ended` has decided to sample. A sampler here would decide a second time.
 */
type Stage = Facts['stage-ended'];

/** Hands prepared ids to the SDK, which asks for them while it starts a span; random ones otherwise. */
export interface PreparedIds {
  generateTraceId(): string;
  generateSpanId(): string;
  /** The ids of the next span. Both are asked for, or left, within the same synchronous call. */
  prepare(ids: { readonly traceId: string; readonly spanId: string | undefined }): void;
}

export function createPreparedIds(randomHex: (bytesCount: number) => string): PreparedIds {
  let prepared: { readonly traceId: string; readonly spanId: string | undefined } | undefined;
  return {
    generateTraceId: () => prepared?.traceId ?? randomHex(16),
    generateSpanId: () => prepared?.spanId ?? randomHex(8),
    prepare(ids) {
      prepared = ids;
    },
  };
}

const KINDS: Readonly<Record<NonNullable<Stage['kind']>, SpanKind>> = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Links beyond this many are left out: a block of 20,000 rows may hold hundreds of sampled events (the SDK's own limit is 128). */
const LINK_LIMIT = 128;

/** Makes a span of every `stage-ended`. Returns the function that stops it. */
export function mapStagesToSpans(tracer: Tracer, ids: PreparedIds): () => void {
  return observe('stage-ended', (stage) => {
    ids.prepare({ traceId: stage.trace.traceId, spanId: stage.spanId });
    const span = tracer.startSpan(
      stage.name,
      {
        kind: KINDS[stage.kind ?? 'internal'],
        startTime: stage.startMs,
        attributes: conventional(stage.attributes ?? {}),
        links: (stage.links ?? []).slice(0, LINK_LIMIT).map((context) => ({ context: spanContext(context) })),
      },
      parentOf(stage),
    );
    if (stage.error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: stage.error });
    // Clocks of two machines: a record may seem to be read before it was written.
    span.end(Math.max(stage.startMs, stage.endMs));
  });
}

/** A stage whose parent id is empty, all zero or its own begins the trace. */
function parentOf({ trace: parent, spanId }: Stage): Context {
  if (/^0*$/.test(parent.spanId) || parent.spanId === spanId) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, spanContext(parent));
}

function spanContext({ traceId, spanId }: { readonly traceId: string; readonly spanId: string }): SpanContext {
  return { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true };
}
