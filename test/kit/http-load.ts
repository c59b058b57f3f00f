import { openRawConnection, type RawConnection } from './raw-http.ts';

/**
 * Requests over keep-alive connections, one at a time on each, at some pace:
 *
 *   closed loop   each connection sends its next request when the last one is answered: what the server can do
 *   open loop     requests begin at a steady rate, whatever became of the ones before, and wait for a free connection; looks at the clock
 *                 once a millisecond, so latencies are too high by up to that
 */
export interface LoadOptions<T> {
  readonly port: number;
  readonly connections: number;
  readonly pace: Pace;
  /** A whole request, and what is to be known of it when it is answered. */
  readonly next: () => { readonly request: Buffer; readonly tag: T };
  /** Latency counts from when the request should have begun. */
  readonly answered: (status: number, tag: T, latencyMs: number) => void;
}

/** When requests begin, in milliseconds from the first. */
export interface Pace {
  /** When the next request was to begin, or undefined while none is due. */
  take(nowMs: number): number | undefined;
  /** No request will begin any more. */
  isOver(nowMs: number): boolean;
}

interface Line<T> {
  readonly connection: RawConnection;
  /** The request that is under way. */
  sent: { readonly tag: T; readonly dueMs: number } | undefined;
}

const TICK_MS = 1;

/** Resolves when the pace is over and every request answered, to the seconds that took. Rejects when a connection is lost. */
export async function runLoad<T>({ port, connections, pace, next, answered }: LoadOptions<T>): Promise<number> {
  const lines: Line<T>[] = [];
  const idle: Line<T>[] = [];
  const done = Promise.withResolvers<void>();

  async function open(): Promise<void> {
    const connection = await openRawConnection(port, { answered: (status) => take(line, status), closed: done.reject });
    const line: Line<T> = { connection, sent: undefined };
    lines.push(line);
    idle.push(line);
  }
  function take(line: Line<T>, status: number): void {
    if (line.sent === undefined) return done.reject(new Error(`answered ${status} to no request`));
    answered(status, line.sent.tag, performance.now() - startedMs - line.sent.dueMs);
    line.sent = undefined;
    idle.push(line);
    pump();
  }
  function pump(): void {
    const nowMs = performance.now() - startedMs;
    for (let line = idle.at(-1); line !== undefined; line = idle.at(-1)) {
      const dueMs = pace.take(nowMs);
      if (dueMs === undefined) break;
      const { request, tag } = next();
      idle.pop();
      line.sent = { tag, dueMs };
      line.connection.send(request);
    }
    if (pace.isOver(nowMs) && idle.length === lines.length) done.resolve();
  }

  await Promise.all(Array.from({ length: connections }, open));
  const startedMs = performance.now();
  const ticks = setInterval(pump, TICK_MS);
  pump();
  try {
    await done.promise;
    return (performance.now() - startedMs) / 1000;
  } finally {
    clearInterval(ticks);
    for (const { connection } of lines) connection.end();
  }
}

/** A closed loop for a time. */
export function closedFor(seconds: number): Pace {
  const isOver = (nowMs: number): boolean => nowMs >= seconds * 1000;
  return { take: (nowMs) => (isOver(nowMs) ? undefined : nowMs), isOver };
}

/** A closed loop of so many requests. */
export function closedOf(count: number): Pace {
  let taken = 0;
  return { take: (nowMs) => (taken < count ? (taken++, nowMs) : undefined), isOver: () => taken === count };
}

/** An open loop. */
export function steady(seconds: number, requestsPerSecond: number): Pace {
  const count = Math.floor(seconds * requestsPerSecond);
  const everyMs = 1000 / requestsPerSecond;
  let taken = 0;
  return {
    take: (nowMs) => (taken < count && taken * everyMs <= nowMs ? taken++ * everyMs : undefined),
    isOver: () => taken === count,
  };
}
