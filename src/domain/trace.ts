import type { TraceContext } from './event.ts';

/** W3C trace context, level 1: `00-<32 hex>-<16 hex>-<2 hex flags>`. */
const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const ALL_ZERO = /^0+$/;

/** Reads a `traceparent`. Undefined when it is malformed; `sampled` is bit 0 of the flags. */
export function parseTraceparent(text: string | undefined): (TraceContext & { readonly sampled: boolean }) | undefined {
  const match = text === undefined ? null : TRACEPARENT.exec(text);
  const [, traceId, spanId, flags] = match ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (ALL_ZERO.test(traceId) || ALL_ZERO.test(spanId)) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function formatTraceparent(trace: TraceContext): string {
  return `00-${trace.traceId}-${trace.spanId}-01`;
}

/**
 * Head sampling without a coin: the same event is sampled by every process that sees it. The trace id of an event that
 * came without one is its uuid's 32 digits, so that whoever knows the event finds the trace.
 */
export function sampleByUuid(uuid: string, ratio: number): string | undefined {
  if (ratio <= 0) return undefined;
  const digits = uuid.replaceAll('-', '').toLowerCase();
  if (digits.length !== 32) return undefined;
  // The last 32 bits of every uuid version are hash or chance; the first of v7 are the time.
  const chance = Number.parseInt(digits.slice(24), 16) / 0x1_0000_0000;
  return chance < ratio && !ALL_ZERO.test(digits) ? digits : undefined;
}

/** A span id from a number in [0, 1) twice; never all zero. */
export function newSpanId(next: () => number): string {
  const half = (): string =>
    Math.floor(next() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  const id = half() + half();
  return ALL_ZERO.test(id) ? '0000000000000001' : id;
}
