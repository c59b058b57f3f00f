import type { Closers } from './closers.ts';
import type { Config } from '../config/schema.ts';
import { listen } from '../http/listen.ts';
import { createProfiler } from '../http/profile.ts';
import { createOperationsHandler, type Checks } from '../http/server.ts';
import type { Clock } from '../runtime/clock.ts';

export interface OperationsParts {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
  readonly metrics: () => Promise<string>;
  readonly health: Checks;
  readonly ready: Checks;
}

/** The server of probes, Prometheus and profiles (HT-1 to HT-3). Resolves with its address. */
export async function openOperations({ config, clock, closers, metrics, health, ready }: OperationsParts): Promise<string> {
  const profiler = createProfiler({ clock });
  const operations = await listen({
    handle: createOperationsHandler({ clock, metrics, health, ready, profiler }),
    host: config.server.httpHost,
    port: config.server.httpPort,
    clock,
    name: 'the health and metrics server',
    hostSetting: 'TROUPE_HTTP_HOST',
    portSetting: 'HTTP_SERVER_PORT',
  });
  closers.push('the health and metrics server', () => operations.close(1_000));
  closers.push('the profiler', () => profiler.stop());
  return `http://127.0.0.1:${operations.port}`;
}
