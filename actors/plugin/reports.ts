import { state as stateFact } from '../../src/observe/facts.ts';
import type { ActorRef } from '../../src/runtime/ref.ts';
import type { PluginFault, PluginListener, PluginSource } from '../../src/sandbox/port.ts';
import type { FailedRun, JournaledPlugin, LogType, PluginJournalMessage } from '../plugin-journal/messages.ts';

/** A plugin config as it runs: its code, and what its journal needs to know. */
export type RunnablePlugin = PluginSource & Pick<JournaledPlugin, 'pluginId' | 'logLevel'>;

/** What an actor tells the journal of its plugin: once per batch, best effort. The texts of SYSTEM are PostHog's, since tools look for them. */
export interface Reports {
  /** Hears the console and the unawaited rejections (PE-8) while code runs. */
  readonly listener: PluginListener;
  /** PE-3, PE-7. */
  runsEnded(successes: number, failures: readonly FailedRun[]): void;
  /** V-22 */
  loaded(hasSetup: boolean): void;
  unloaded(): void;
  /** V-3, V-20: it is tried again after the quarantine. */
  refused(message: string, setupFault: PluginFault | undefined, againMs: number): void;
  /** It had to be stopped too often. */
  stoppedTooOften(message: string, againMs: number): void;
}

const CONSOLE_TYPES: Readonly<Record<string, LogType>> = { debug: 'DEBUG', log: 'LOG', info: 'INFO', warn: 'WARN', error: 'ERROR' };

/** V-23 */
export const messageOfFault = ({ stack, message }: PluginFault): string => stack ?? message;

export function createReports(deps: {
  readonly plugin: RunnablePlugin;
  readonly journal: ActorRef<PluginJournalMessage>;
  readonly instanceId: string;
}): Reports {
  const { journal, instanceId } = deps;
  const { teamId, pluginId, pluginConfigId, logLevel } = deps.plugin;
  const plugin: JournaledPlugin = { teamId, pluginId, pluginConfigId, logLevel };

  /** A journal that cannot take it costs the author a line, and no event anything. */
  function tell(message: PluginJournalMessage): void {
    const told = journal.tell(message);
    if (told !== 'accepted') stateFact('plugin-journal-refused', { pluginId, messageType: message.type, told });
  }
  const log = (source: 'SYSTEM' | 'PLUGIN', type: LogType, ...messages: readonly string[]): void =>
    tell({ type: 'log-lines', plugin, source, lines: messages.map((message) => ({ type, message })), lostCount: 0 });

  return {
    listener: {
      consoleWritten(written, lostCount) {
        const lines = written.map(({ level, text }) => ({ type: CONSOLE_TYPES[level] ?? 'LOG', message: text }));
        tell({ type: 'log-lines', plugin, source: 'CONSOLE', lines, lostCount });
      },
      rejectionLeft: (fault) => log('PLUGIN', 'ERROR', messageOfFault(fault)),
    },
    runsEnded(successes, failures) {
      tell({ type: 'count-runs', plugin, successes, failures });
      if (failures.length > 0) log('PLUGIN', 'ERROR', ...failures.map(({ fault }) => messageOfFault(fault)));
    },
    loaded(hasSetup) {
      log('SYSTEM', 'DEBUG', `Plugin loaded (instance ID ${instanceId}).`);
      if (hasSetup) log('SYSTEM', 'DEBUG', `setupPlugin succeeded (instance ID ${instanceId}).`);
    },
    unloaded: () => log('SYSTEM', 'DEBUG', `Plugin unloaded (instance ID ${instanceId}).`),
    refused(message, setupFault, againMs) {
      log('PLUGIN', 'ERROR', setupFault === undefined ? message : messageOfFault(setupFault));
      if (setupFault === undefined) return;
      const what = `${setupFault.name}: ${setupFault.message}`;
      log('SYSTEM', 'ERROR', `setupPlugin failed with ${what} (instance ID ${instanceId}). Retrying in ${againMs / 1_000} s...`);
    },
    stoppedTooOften: (message, againMs) =>
      log('SYSTEM', 'ERROR', `Stopped too often: ${message} (instance ID ${instanceId}). Events pass without it for ${againMs / 1_000} s.`),
  };
}
