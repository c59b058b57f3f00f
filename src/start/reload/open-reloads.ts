import { changesBetween } from '../../config/compare.ts';
import { ConfigError, type LoadedConfig } from '../../config/load.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { AuditLog } from '../admin/audit-log.ts';
import type { Closers } from '../closers.ts';
import { createReloader, lineOf, type ReloadCause, type Reloader, type ReloadReport, type ReloadTarget } from './reloader.ts';
import { watchFile } from './watch-file.ts';

export interface ReloadsParts {
  /** What the process was started with. */
  readonly loaded: LoadedConfig;
  readonly load: () => LoadedConfig;
  readonly targets: readonly ReloadTarget[];
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly closers: Closers;
  /** False where somebody else watches the file, and says. @defaultValue true */
  readonly watches?: boolean;
}

/** Reads the settings again when their file changes; of other causes the reloader is told by who hears them. */
export function openReloads({ loaded, load, targets, audit, clock, closers, watches = true }: ReloadsParts): Reloader {
  const reloader = createReloader({ running: loaded, load, targets, audit: record(audit) });
  const path = loaded.config.server.configFile;
  const onChange = (): void => void reloader.reload({ by: 'file', who: path ?? '' });
  const watch = path === undefined || !watches ? undefined : watchFile({ path, clock, onChange });
  // What was written while the process started: it had read the file, and nobody watched yet.
  if (path !== undefined && isOther(loaded, load)) onChange();
  closers.push('the reloads', () => {
    watch?.close();
    return reloader.close();
  });
  return reloader;
}

/** Whether the settings are others by now, or wrong. */
function isOther({ config }: LoadedConfig, load: () => LoadedConfig): boolean {
  try {
    return changesBetween(config, load().config).length > 0;
  } catch (error) {
    if (error instanceof ConfigError) return true; // the reload says what is wrong
    throw error;
  }
}

const record =
  (audit: AuditLog) =>
  ({ by, who, address }: ReloadCause, { outcome, problems, ...detail }: ReloadReport): Promise<void> =>
    audit.record({ by, who, address, action: 'reload', outcome, detail: { ...detail, problems: problems.map(lineOf) } });
