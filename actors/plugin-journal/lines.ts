import type { SideRow } from '../../src/domain/rows.ts';
import type { JournaledPlugin, LogSource, LogType } from './messages.ts';

type LogRow = Extract<SideRow, { table: 'plugin_log_entries' }>;

/** LG-2: a longer message is not sent. In UTF-16 units, as PostHog counts. */
export const MAX_MESSAGE_CHARS = 50_000;

/** LG-1. The types that each level lets through, from 0 "Full" to 4 "Critical". */
const PASSES: readonly ReadonlySet<LogType>[] = [
  new Set<LogType>(['DEBUG', 'LOG', 'INFO', 'WARN', 'ERROR']),
  new Set<LogType>(['LOG', 'INFO', 'WARN', 'ERROR']),
  new Set<LogType>(['INFO', 'WARN', 'ERROR']),
  new Set<LogType>(['WARN', 'ERROR']),
  new Set<LogType>(['ERROR']),
];

/** LG-1: the level of the plugin where it has one, else that of the process. An unknown level is taken for the nearest. */
export function passesLevel(type: LogType, pluginLevel: number | undefined, defaultLevel: number): boolean {
  const level = Math.min(PASSES.length - 1, Math.max(0, pluginLevel || defaultLevel));
  return PASSES[level]?.has(type) ?? true;
}

/** Makes the rows of lines that are sent. */
export interface LineRows {
  row(plugin: JournaledPlugin, source: LogSource, line: { readonly type: LogType; readonly message: string }, nowMs: number): LogRow;
}

/**
 * Ids and times grow with every line. PostHog's table keeps one row per (config, millisecond), so that of lines written in
 * one millisecond it shows only the last (4.6): here each line of a config gets a millisecond of its own, as close to the true
 * one as that allows. The bound on lines per second keeps it within that second.
 */
export function createLineRows(options: {
  readonly instanceId: string;
  readonly nextId: (nowMs: number) => string;
  readonly rememberedCount: number;
}): LineRows {
  const { instanceId, nextId, rememberedCount } = options;
  const lastMs = new Map<number, number>();
  return {
    row(plugin, source, { type, message }, nowMs) {
      const { teamId, pluginId, pluginConfigId } = plugin;
      const timestampMs = Math.max(Math.floor(nowMs), (lastMs.get(pluginConfigId) ?? 0) + 1);
      if (lastMs.size >= rememberedCount) lastMs.clear(); // who is forgotten had its last line long ago, but for a moment
      lastMs.set(pluginConfigId, timestampMs);
      return {
        table: 'plugin_log_entries',
        id: nextId(nowMs),
        teamId,
        pluginId,
        pluginConfigId,
        source,
        type,
        message,
        instanceId,
        timestampMs,
      };
    },
  };
}
