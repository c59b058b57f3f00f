import type { SideRow } from '../../src/domain/rows.ts';
import type { FailedRun, JournaledPlugin } from './messages.ts';

type AppMetricRow = Extract<SideRow, { table: 'app_metrics' }>;

interface Tally {
  readonly plugin: JournaledPlugin;
  successes: number;
  failures: number;
  atMs: number;
}

/** Runs since the last flush (AM-2): one tally per plugin config, and a row for each failure that is told in full. */
export interface Tallies {
  readonly keyCount: number;
  count(plugin: JournaledPlugin, successes: number, failures: number, nowMs: number): void;
  fail(plugin: JournaledPlugin, run: FailedRun, errorUuid: string, nowMs: number): void;
  /** All rows, and begins anew. */
  take(): AppMetricRow[];
}

export function createTallies(): Tallies {
  const tallies = new Map<number, Tally>();
  let failed: AppMetricRow[] = [];
  return {
    get keyCount() {
      return tallies.size + failed.length;
    },
    count(plugin, successes, failures, nowMs) {
      if (successes + failures === 0) return;
      let tally = tallies.get(plugin.pluginConfigId);
      if (tally === undefined) tallies.set(plugin.pluginConfigId, (tally = { plugin, successes: 0, failures: 0, atMs: nowMs }));
      tally.successes += successes;
      tally.failures += failures;
      tally.atMs = nowMs;
    },
    fail(plugin, run, errorUuid, nowMs) {
      const error = { uuid: errorUuid, type: run.fault.name, details: run.details };
      failed.push(rowOf({ plugin, successes: 0, failures: 1, atMs: nowMs }, error));
    },
    take() {
      const rows = [...[...tallies.values()].map((tally) => rowOf(tally, undefined)), ...failed];
      tallies.clear();
      failed = [];
      return rows;
    },
  };
}

function rowOf({ plugin, successes, failures, atMs }: Tally, error: AppMetricRow['error']): AppMetricRow {
  return {
    table: 'app_metrics',
    teamId: plugin.teamId,
    pluginConfigId: plugin.pluginConfigId,
    category: 'processEvent',
    jobId: undefined,
    successes,
    successesOnRetry: 0,
    failures,
    error,
    timestampMs: atMs,
  };
}
