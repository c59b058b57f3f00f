export interface CaptureLimits {
  /** Largest request body. @defaultValue 20 MiB */
  readonly wireBytes: number;
  /** Largest payload after decompression. @defaultValue 100 MiB */
  readonly decodedBytes: number;
  /** The same of v1. @defaultValue 10 MiB */
  readonly v1WireBytes: number;
  /** @defaultValue 50 MiB */
  readonly v1DecodedBytes: number;
  /** Largest body of session recordings, as sent and unpacked. @defaultValue 25 MiB */
  readonly recordingBytes: number;
  /** Largest Kafka value of one event. @defaultValue 1,000,000 */
  readonly eventBytes: number;
  /** Bodies of all requests in work. Beyond it requests are asked to come again. @defaultValue 256 MiB */
  readonly inFlightBytes: number;
  /** A client that sends nothing for so long gets 408. @defaultValue 30,000 */
  readonly bodyIdleMs: number;
  /** From its first byte a request is read for so long at most, and waits for its turn for so long. @defaultValue 120,000 */
  readonly requestMs: number;
  /** Requests in work at a time; the others wait. 0: no limit. @defaultValue 0 */
  readonly concurrentCount: number;
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
  v1WireBytes: 10 << 20,
  v1DecodedBytes: 50 << 20,
  recordingBytes: 25 << 20,
  eventBytes: 1_000_000,
  inFlightBytes: 256 << 20,
  bodyIdleMs: 30_000,
  requestMs: 120_000,
  concurrentCount: 0,
  drainMs: 5_000,
  produceMs: 5_000,
  inflateCount: 4,
};

/** All limits: those that are given, and the defaults of the others. */
export const limitsOf = (given: Partial<CaptureLimits> = {}): CaptureLimits => ({ ...DEFAULT_LIMITS, ...given });
