/**
 * The load of capture.bench.ts, in a process of its own so that its CPU is in nobody's figure. Told by its parent what to do; answers
 * with the latencies. Any status but 200 and any lost connection is an error of the whole run.
 */
import { closedFor, runLoad, steady } from '../kit/http-load.ts';
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
  const { port, connections, requestsPerSecond } = order;
  const requests = requestsOf(order);
  const latencies: number[] = [];
  let begun = 0;
  const seconds = await runLoad({
    port,
    connections,
    pace: requestsPerSecond === undefined ? closedFor(order.seconds) : steady(order.seconds, requestsPerSecond),
    next() {
      const request = requests[begun++ % requests.length];
      if (request === undefined) throw new Error('there are no requests');
      return { request, tag: undefined };
    },
    answered(status, _, latencyMs) {
      if (status !== 200) throw new Error(`answered ${status}`);
      latencies.push(latencyMs);
    },
  });
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
  const bytes = requests.reduce((sum, { length }) => sum + length, 0) / requests.length;
  return { requests: begun, seconds, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999), bytes };
}
