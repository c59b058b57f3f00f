import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openPlugins, type OpenedPlugins } from '../capture/plugins/open.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Closers } from './closers.ts';

/** Loads and starts the plugins of capture; they are closed in the reverse order. @throws Error that names the one that cannot be used. */
export function openCapturePlugins(parts: {
  readonly config: Config;
  readonly clock: Clock;
  readonly closers: Closers;
}): Promise<OpenedPlugins> {
  const { config, clock, closers } = parts;
  return openPlugins({
    declarations: config.capture.plugins,
    importModule,
    clock,
    timeoutMs: config.guards.pluginTimeoutMs,
    pauseMs: config.guards.pluginPauseMs,
    initMs: config.server.contactTimeoutMs,
    closeMs: config.shutdown.closeMs,
    onOpening: (name, close) => closers.push(`the capture plugin ${name}`, close),
  });
}

/** A path from the working directory where there is such a file, else a package. */
function importModule(module: string): Promise<unknown> {
  const path = resolve(module);
  const isPath = /^[./]/.test(module) || existsSync(path);
  return import(/* @vite-ignore */ isPath ? pathToFileURL(path).href : module);
}
