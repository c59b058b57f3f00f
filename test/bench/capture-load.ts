/**
 * The load of capture.bench.ts, in a process of its own so that its CPU is in nobody's figure, over keep-alive connections.
 * Told by its parent what to do; answers with the latencies. Any status but 200 and any lost connection is an error of the whole run.
 *
 *   closed loop   each connection sends its next request when the last one is answered: what the server can do
 *   open loop     requests begin at a steady rate, whatever became of the ones before, and their latency counts from when they should
 *                 have begun: what a client sees. Looks at the clock once a millisecond, so latencies are too high by up to that.
 */
import { openRawConnection, type RawConnection } from '../kit/raw-http.ts';
import { requestsOf, type RequestShape } from './capture-requests.ts';

export interface LoadOrder extends RequestShape {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** Given: an open loop. */
  readonly requestsPerSecond?: number;
}
export interface LoadReport {
  /** Answered. */
  readonly requests: number;
  /** From the first request to the last answer. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Of a request, headers included. */
  readonly bytes: number;
}

interface Line {
  readonly connection: RawConnection;
  /** When the request that is under way was to begin. */
  dueMs: number;
}
/** What begins requests. */
interface Pace {
  /** When the next request was to begin, or undefined while none is due. */
  take(nowMs: number): number | undefined;
  isOver(nowMs: number): boolean;
}

process.on('message', (order: LoadOrder) => {
  run(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});

async function run(order: LoadOrder): Promise<LoadReport> {
  const requests = requestsOf(order);
  const latencies: number[] = [];
  const done = Promise.withResolvers<void>();
  const lines: Line[] = [];
  const idle: Line[] = [];
  let begun = 0;

  async function open(): Promise<void> {
    const answered = (status: number): void => {
      if (status !== 200) done.reject(new Error(`answered ${status}`));
      latencies.push(performance.now() - line.dueMs);
      idle.push(line);
      pump();
    };
    const line: Line = { connection: await openRawConnection(order.port, { answered, closed: done.reject }), dueMs: 0 };
    lines.push(line);
    idle.push(line);
  }
  await Promise.all(Array.from({ length: order.connections }, open));

  const startedMs = performance.now();
  const pace = order.requestsPerSecond === undefined ? closed(order.seconds) : steady(order.seconds, order.requestsPerSecond);
  function pump(): void {
    const nowMs = performance.now() - startedMs;
    for (let line = idle.at(-1); line !== undefined; line = idle.at(-1)) {
      const due = pace.take(nowMs);
      if (due === undefined) break;
      const request = requests[begun++ % requests.length];
      if (request === undefined) throw new Error('no request');
      idle.pop();
      line.dueMs = startedMs + due;
      line.connection.send(request);
    }
    if (pace.isOver(nowMs) && latencies.length === begun) done.resolve();
  }
  const ticks = setInterval(pump, 1);
  pump();
  await done.promise.finally(() => clearInterval(ticks));
  const seconds = (performance.now() - startedMs) / 1000;
  for (const { connection } of lines) connection.end();

  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const bytes = requests.reduce((sum, { length }) => sum + length, 0) / requests.length;
  return { requests: begun, seconds, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), bytes };
}

/** Always another one, until the time is over. */
function closed(seconds: number): Pace {
  const isOver = (nowMs: number): boolean => nowMs >= seconds * 1000;
  return { take: (nowMs) => (isOver(nowMs) ? undefined : nowMs), isOver };
}

function steady(seconds: number, requestsPerSecond: number): Pace {
  const count = Math.floor(seconds * requestsPerSecond);
  const everyMs = 1000 / requestsPerSecond;
  let taken = 0;
  return {
    take: (nowMs) => (taken < count && taken * everyMs <= nowMs ? taken++ * everyMs : undefined),
    isOver: () => taken === count,
  };
}
