import type { LoadedConfig } from '../../config/load.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Closers } from '../closers.ts';
import { createReloader, type Reloader, type ReloadTarget } from './reloader.ts';
import { watchFile } from './watch-file.ts';

export interface ReloadsParts {
  /** What the process was started with. */
  readonly loaded: LoadedConfig;
  readonly load: () => LoadedConfig;
  readonly targets: readonly ReloadTarget[];
  readonly clock: Clock;
  readonly closers: Closers;
}

/** Reads the settings again when their file changes; of other causes the reloader is told by who hears them. */
export function openReloads({ loaded, load, targets, clock, closers }: ReloadsParts): Reloader {
  const reloader = createReloader({ running: loaded, load, targets });
  const path = loaded.config.server.configFile;
  const watch =
    path === undefined ? undefined : watchFile({ path, clock, onChange: () => void reloader.reload({ by: 'file', who: path }) });
  closers.push('the reloads', () => {
    watch?.close();
    return reloader.close();
  });
  return reloader;
}
