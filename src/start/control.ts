import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../telemetry/log.ts';
import { NO_AUDIT_LOG } from './admin/audit-log.ts';
import { createLogLevel } from './admin/log-level.ts';
import { openAdmin, openAudit } from './admin/open-admin.ts';
import type { Closers } from './closers.ts';
import { openReloads } from './reload/open-reloads.ts';
import type { Reloader, ReloadTarget } from './reload/reloader.ts';

export interface ControlParts {
  readonly loaded: LoadedConfig;
  /** The settings as they stand now, for a reload. */
  readonly load: () => LoadedConfig;
  /** What a reload reaches besides the log. */
  readonly targets: readonly ReloadTarget[];
  readonly log: Pick<Log, 'level' | 'setLevel'>;
  readonly levelOf: (config: Config) => ReturnType<Log['level']>;
  readonly status: () => object;
  readonly clock: Clock;
  readonly closers: Closers;
  /** A worker is told by its primary: it watches no file, listens to no operator and writes no audit log. */
  readonly isWorker: boolean;
}

/** How a running process is told other settings: by its file, by a signal, by an operator. `admin` is the address for those, where there is one. */
export async function openControl(parts: ControlParts): Promise<{ readonly reloader: Reloader; readonly admin: string | undefined }> {
  const { loaded, load, targets, log, levelOf, status, clock, closers, isWorker } = parts;
  const { config } = loaded;
  const audit = isWorker ? NO_AUDIT_LOG : await openAudit({ config, clock, closers });
  const logLevel = createLogLevel(log, clock);
  closers.push('the log level', logLevel.close);
  const logTarget: ReloadTarget = { name: 'the log', prepare: (next) => () => logLevel.configure(levelOf(next)) };
  const reloader = openReloads({ loaded, load, targets: [logTarget, ...targets], audit, clock, closers, watches: !isWorker });
  const admin = isWorker ? undefined : await openAdmin({ config, clock, closers, reloader, logLevel, audit, status });
  return { reloader, admin };
}

/** With a configuration file a hang-up means: read it again. Without one it is a signal to stop. */
export function hangUp(reloader: Reloader): (() => void) | undefined {
  if (reloader.current().config.server.configFile === undefined) return undefined;
  return () => void reloader.reload({ by: 'signal', who: 'SIGHUP' });
}
