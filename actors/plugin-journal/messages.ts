import type { SideRow } from '../../src/domain/rows.ts';
import type { Drain } from '../../src/runtime/drain.ts';
import type { PluginFault } from '../../src/sandbox/port.ts';

type LogRow = Extract<SideRow, { table: 'plugin_log_entries' }>;
export type LogSource = LogRow['source'];
export type LogType = LogRow['type'];

/** Whose runs and lines they are. */
export interface JournaledPlugin {
  readonly teamId: number;
  readonly pluginId: number;
  readonly pluginConfigId: number;
  /** `posthog_plugin.log_level`; undefined or 0: the default of the process decides (LG-1). */
  readonly logLevel: number | undefined;
}

/** One event on which processEvent failed. */
export interface FailedRun {
  readonly fault: PluginFault;
  /** AM-3. A text, since the event itself goes on, and whoever has it writes to it. */
  readonly details: string;
}

export type PluginJournalMessage =
  /** PE-7: what became of the events of one batch. */
  | {
      readonly type: 'count-runs';
      readonly plugin: JournaledPlugin;
      readonly successes: number;
      readonly failures: readonly FailedRun[];
    }
  /** Lines of one moment, in order. `lostCount`: how many more were not even kept by the sandbox. */
  | {
      readonly type: 'log-lines';
      readonly plugin: JournaledPlugin;
      readonly source: LogSource;
      readonly lines: readonly { readonly type: LogType; readonly message: string }[];
      readonly lostCount: number;
    }
  /** Write out what is counted; `replyTo` is told when the row writer has it. */
  | Drain
  | { readonly type: 'self:flush-due' };
