import type { LoadedConfig } from '../../config/load.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log, LogOptions } from '../../telemetry/log.ts';
import { mergeMetrics } from '../../telemetry/merge-metrics.ts';
import { startTelemetry } from '../../telemetry/telemetry.ts';
import type { Closers } from '../closers.ts';
import { openControl } from '../control.ts';
import { openOperations } from '../operations.ts';
import type { Reloader, ReloadTarget } from '../reload/reloader.ts';
import type { Fork } from './protocol.ts';
import { superviseWorkers } from './supervisor.ts';

export interface PrimaryParts {
  readonly loaded: LoadedConfig;
  /** The settings as they stand now, for a reload. */
  readonly load: () => LoadedConfig;
  readonly count: number;
  readonly fork: Fork;
  readonly clock: Clock;
  readonly closers: Closers;
  readonly log: Pick<LogOptions, 'pretty' | 'write'>;
  readonly status: () => object;
  /** The process cannot go on. */
  readonly lose: (error: Error) => void;
}

export interface OpenedPrimary {
  readonly urls: { readonly capture: string; readonly inspector: string; readonly metrics: string; readonly admin: string | undefined };
  readonly reloader: Reloader;
}

/**
 * Several captures behind one port, and one process that starts them, asks them, and tells them what it is told: to read their settings again, to
 * stop. It handles no request itself. Ready is when at least one worker is: the port is open as long as one lives.
 */
export async function openPrimary(parts: PrimaryParts): Promise<OpenedPrimary> {
  const { loaded, load, count, fork, clock, closers, status, lose } = parts;
  const { config } = loaded;
  const telemetry = await startTelemetry({
    clock,
    serviceName: config.telemetry.serviceName,
    otlpEndpoint: undefined,
    log: { ...parts.log, level: config.server.logLevel, format: config.server.logFormat },
    metrics: {},
  });
  closers.push('telemetry', () => telemetry.stop());

  const workers = superviseWorkers({ count, fork, clock, graceMs: config.shutdown.graceMs, onHopeless: lose });
  const metricsUrl = await openOperations({
    config,
    clock,
    closers,
    metrics: async () => mergeMetrics(new Map([['primary', await telemetry.metrics.text()], ...(await workers.metrics())])),
    health: {},
    ready: { capture: async () => !workers.isStopping() && (await workers.readyCount()) > 0 },
  });
  // Last, so that it is closed first: probes are answered while the workers drain.
  closers.push('the workers', () => workers.stop());

  const passedOn: ReloadTarget = { name: 'the workers', prepare: () => () => workers.reload({ by: 'signal', who: 'the primary' }) };
  const setLevel: Log['setLevel'] = (level) => {
    telemetry.log.setLevel(level);
    workers.setLogLevel(level);
  };
  const { reloader, admin } = await openControl({
    ...{ loaded, load, targets: [passedOn], log: { level: telemetry.log.level, setLevel } },
    ...{ levelOf: (next) => next.server.logLevel, status, clock, closers, isWorker: false },
  });
  return { urls: { capture: await workers.started, inspector: 'off', metrics: `${metricsUrl}/metrics`, admin }, reloader };
}
