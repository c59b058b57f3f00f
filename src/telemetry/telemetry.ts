import type { Clock } from '../runtime/clock.ts';
import { mapFactsToLog } from './log-map.ts';
import { createLog, type Log, type LogOptions } from './log.ts';
import { createMetrics, type Metrics, type MetricsOptions } from './metrics.ts';

/**
 * All listening to facts, in one handle: log lines, metrics, and spans when there is somewhere to send them. `main.ts` starts it before
 * anything that states facts and stops it last.
 */
export interface TelemetryOptions {
  readonly clock: Clock;
  readonly log: Omit<LogOptions, 'clock' | 'serviceName'>;
  readonly metrics: MetricsOptions;
  readonly serviceName: string;
  /** OTLP/HTTP base address. Undefined: no spans, and nothing of OpenTelemetry is loaded. */
  readonly otlpEndpoint: string | undefined;
}

export interface Telemetry {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Sends the last spans (bounded, 2 s per attempt) and writes the lines still held back. */
  stop(): Promise<void>;
}

export async function startTelemetry({
  clock,
  log: logOptions,
  metrics: metricsOptions,
  serviceName,
  otlpEndpoint,
}: TelemetryOptions): Promise<Telemetry> {
  const log = createLog({ ...logOptions, clock, serviceName });
  const stopLog = mapFactsToLog(log);
  const metrics = createMetrics(metricsOptions);
  const tracing = otlpEndpoint === undefined ? undefined : (await import('./sdk.ts')).startTracing({ endpoint: otlpEndpoint, serviceName });

  return {
    log,
    metrics,
    async stop() {
      await tracing?.stop();
      metrics.stop();
      stopLog();
      log.stop();
    },
  };
}
