import { randomBytes } from 'node:crypto';
import { diag, DiagLogLevel, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { state } from '../observe/facts.ts';
import { createPreparedIds, mapStagesToSpans } from './spans.ts';

/**
 * The OpenTelemetry SDK: traces over OTLP/HTTP, nothing else. Importing this file costs 0.9 s and 51 MB, so telemetry.ts does
 * it only when there is somewhere to send to. Metrics are Prometheus's (metrics.ts) and log lines go to stdout (log.ts): the SDK's own
 * exporters of both are on unless told otherwise, so they are told.
 */
export interface TracingOptions {
  /** Base address; `/v1/traces` is added. */
  readonly endpoint: string;
  readonly serviceName: string;
}

export interface Tracing {
  /** Sends what was recorded, then ends. Resolves also when the collector is away (a log line says so): it had its time. */
  stop(): Promise<void>;
}

/** How long one export may take, and with it `stop`, when the collector does not answer. */
const EXPORT_TIMEOUT_MS = 2_000;

export function startTracing({ endpoint, serviceName }: TracingOptions): Tracing {
  const ids = createPreparedIds((bytesCount) => randomBytes(bytesCount).toString('hex'));
  const sdk = new NodeSDK({
    serviceName,
    idGenerator: ids,
    // Also takes OTEL_EXPORTER_OTLP_HEADERS and OTEL_BSP_* from the environment, as operators expect of OpenTelemetry.
    traceExporter: new OTLPTraceExporter({ url: `${endpoint.replace(/\/+$/, '')}/v1/traces`, timeoutMillis: EXPORT_TIMEOUT_MS }),
    sampler: { shouldSample: () => ({ decision: 2 /* RECORD_AND_SAMPLED: spans.ts I2 */ }), toString: () => 'AlreadySampled' },
    metricReaders: [],
    logRecordProcessors: [],
    instrumentations: [],
    textMapPropagator: null,
  });
  sdk.start();
  // The SDK reports failed exports to its own diagnostics, which go nowhere unless they are given a place.
  const report = (detail: string): void =>
    state('log-written', { level: 'warn', message: 'Traces could not be sent.', fields: { detail: detail.slice(0, 300) } });
  const ignore = (): void => undefined;
  diag.setLogger(
    { error: report, warn: report, info: ignore, debug: ignore, verbose: ignore },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const stopSpans = mapStagesToSpans(trace.getTracer('troupe'), ids);

  return {
    async stop() {
      stopSpans();
      await sdk.shutdown().catch((error: unknown) => report(String(error)));
      trace.disable();
      diag.disable();
    },
  };
}
