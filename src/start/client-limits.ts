import type { CaptureLimits } from '../capture/limits.ts';
import type { Config } from '../config/schema.ts';
import type { WireLimits } from '../http/wire.ts';

/** What the settings allow a request of capture. */
export function bodyLimitsOf({ capture, limits }: Pick<Config, 'capture' | 'limits'>): Partial<CaptureLimits> {
  const { inFlightBytes, bodyIdleMs, requestS, concurrentCount } = limits;
  return {
    wireBytes: capture.bodyBytes,
    decodedBytes: capture.bodyBytes * 5,
    inFlightBytes,
    bodyIdleMs,
    requestMs: requestS * 1_000,
    concurrentCount,
  };
}

/** Capture answers who is late (408, 503) itself; the server ends, this much later, what a handler does not read or a client does not take. */
const ROOM_MS = 5_000;

/** What the settings allow a connection of capture. */
export function wireLimitsOf({ limits }: Pick<Config, 'limits'>): Partial<WireLimits> {
  const { headersMs, requestS, headerBytes, headerCount, connectionCount } = limits;
  return { headersMs, requestMs: requestS * 1_000 + ROOM_MS, headerBytes, headerCount, connectionCount };
}
