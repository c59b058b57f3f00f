import type { Registry } from 'prom-client';
import { createMakers, listenToFacts } from './makers.ts';
import { captureMetrics } from './metrics/capture.ts';
import { configMetrics } from './metrics/config.ts';
import { guardMetrics } from './metrics/guards.ts';
import { intakeMetrics } from './metrics/intake.ts';
import { pluginMetrics } from './metrics/plugins.ts';
import { runtimeMetrics } from './metrics/runtime.ts';
import { spillMetrics } from './metrics/spill.ts';
import { writerMetrics } from './metrics/writers.ts';

export interface MetricMapOptions {
  readonly registry: Registry;
  /** `groupId` of `latest_processed_timestamp_ms`. */
  readonly groupId: string;
}

/**
 * Makes the metrics that facts feed, and listens; `metrics/` has them by what they are about. PostHog's names (spec/ingestion.md 9.4,
 * spec/capture.md) are used where they mean the same thing here; docs/instrumentation.md has the list. Labels are bounded: topics, tables,
 * kinds and closed unions. Returns the function that stops listening.
 */
export function mapFactsToMetrics({ registry, groupId }: MetricMapOptions): () => void {
  const makers = createMakers(registry);
  const ends = [
    intakeMetrics(makers, groupId),
    writerMetrics(makers),
    pluginMetrics(makers),
    runtimeMetrics(makers),
    captureMetrics(makers),
    spillMetrics(makers),
    guardMetrics(makers),
    configMetrics(makers),
  ].map(listenToFacts);
  return () => {
    for (const end of ends) end();
  };
}
