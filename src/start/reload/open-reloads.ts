import type { LoadedConfig } from '../../config/load.ts';
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
}

/** Reads the settings again when their file changes; of other causes the reloader is told by who hears them. */
export function openReloads({ loaded, load, targets, audit, clock, closers }: ReloadsParts): Reloader {
  const reloader = createReloader({ running: loaded, load, targets, audit: record(audit) });
  const path = loaded.config.server.configFile;
  const watch =
    path === undefined ? undefined : watchFile({ path, clock, onChange: () => void reloader.reload({ by: 'file', who: path }) });
  closers.push('the reloads', () => {
    watch?.close();
    return reloader.close();
  });
  return reloader;
}

const record =
  (audit: AuditLog) =>
  ({ by, who, address }: ReloadCause, { outcome, problems, ...detail }: ReloadReport): Promise<void> =>
    audit.record({ by, who, address, action: 'reload', outcome, detail: { ...detail, problems: problems.map(lineOf) } });
