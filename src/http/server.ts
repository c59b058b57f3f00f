import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Clock } from '../runtime/clock.ts';
import { readProfileRequest, type Profiler } from './profile.ts';

/** Asks one service whether it is well. A throw, a rejection and an answer that does not come are a no. */
export type Check = () => boolean | Promise<boolean>;
export type Checks = Readonly<Record<string, Check>>;

export interface OperationsOptions {
  /** `/_health`: can the process make progress? No means that it should be started again. */
  readonly health: Checks;
  /** `/_ready`: should it be given work? No means wait, as during a start, a drain, or the outage of a sink. */
  readonly ready: Checks;
  /** Prometheus text of all metrics. */
  readonly metrics: () => Promise<string>;
  /** `/_profile/cpu` and `/_profile/heap` (HT-3). */
  readonly profiler: Profiler;
  readonly clock: Clock;
  /** How long a check may take. @defaultValue 2,000: below the timeout of the usual Kubernetes probe settings. */
  readonly checkLimitMs?: number;
}

const NO_QUERY = new URLSearchParams();
const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

/** Handler of the operations server (spec/ingestion.md 9.2: HT-1 to HT-3): for probes and Prometheus, never for clients. */
export function createOperationsHandler(options: OperationsOptions): RequestListener {
  const { health, ready, metrics, profiler, clock, checkLimitMs = 2_000 } = options;

  async function report(response: ServerResponse, checks: Checks): Promise<void> {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, (await passes(check)) ? 'ok' : 'error'] as const),
    );
    const isWell = results.every(([, result]) => result === 'ok');
    const body = JSON.stringify({ status: isWell ? 'ok' : 'error', checks: Object.fromEntries(results) });
    send(response, isWell ? 200 : 503, 'application/json', body);
  }

  function passes(check: Check): Promise<boolean> {
    return new Promise((resolve) => {
      const limit = clock.after(checkLimitMs, () => resolve(false));
      Promise.resolve()
        .then(check)
        .then(resolve, () => resolve(false)) // HT-1: a thrown check is an error, and says so in the answer
        .finally(() => limit.cancel());
    });
  }

  /** HT-3 */
  async function profile(response: ServerResponse, type: string, query: URLSearchParams): Promise<void> {
    const wanted = readProfileRequest(type, query);
    if (wanted === undefined) return send(response, 404, 'text/plain', 'not found: there are /_profile/cpu and /_profile/heap');
    if (typeof wanted === 'string') return send(response, 400, 'text/plain', wanted);
    const taken = await profiler.take(wanted);
    if (taken === undefined) return send(response, 409, 'text/plain', 'a profile is being taken; there is one at a time');
    const name = `${type}-${clock.now()}.${type === 'cpu' ? 'cpuprofile' : 'heapprofile'}`;
    response.setHeader('Content-Disposition', `attachment; filename="${name}"`);
    send(response, 200, 'application/json', taken);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'method not allowed');
    const { pathname, searchParams } = URL.parse(request.url ?? '/', 'http://operations') ?? { pathname: '', searchParams: NO_QUERY };
    if (pathname.startsWith('/_profile/')) {
      try {
        return await profile(response, pathname.slice('/_profile/'.length), searchParams);
      } catch (error) {
        return send(response, 500, 'text/plain', `no profile could be taken: ${(error as Error).message}`);
      }
    }
    switch (pathname) {
      case '/_health':
        return report(response, health);
      case '/_ready':
        return report(response, ready);
      case '/metrics':
      case '/_metrics':
        try {
          return send(response, 200, PROMETHEUS_TEXT, await metrics());
        } catch (error) {
          return send(response, 500, 'text/plain', `metrics cannot be read: ${(error as Error).message}`);
        }
      default:
        return send(response, 404, 'text/plain', 'not found: there are /_health, /_ready, /metrics, /_profile/cpu and /_profile/heap');
    }
  }

  return (request, response) => void serve(request, response);
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body), 'Cache-Control': 'no-store' });
  response.end(body);
}
