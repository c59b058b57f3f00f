import { openPlugins, type OpenedPlugins, type OpenPluginsOptions, type PluginDeclaration } from '../../../../src/capture/plugins/open.ts';
import type { CapturePlugin } from '../../../../src/capture/plugins/plugin.ts';
import { systemClock } from '../../../../src/runtime/clock.ts';

/** One plugin with what a configuration says of it. */
export type Given = Partial<PluginDeclaration> & { readonly plugin: CapturePlugin };

/** Plugins that a test wrote, opened as those of a configuration are; they are called p, p-2, p-3 … */
export function opened(given: readonly Given[], options: Partial<OpenPluginsOptions> = {}): Promise<OpenedPlugins> {
  const modules = given.map(({ plugin }) => ({ default: () => plugin }));
  return openPlugins({
    declarations: given.map(({ plugin: _, ...declaration }) => ({ module: './p.ts', ...declaration })),
    importModule: () => Promise.resolve(modules.shift()),
    clock: systemClock,
    timeoutMs: 1_000,
    pauseMs: 30_000,
    initMs: 1_000,
    closeMs: 1_000,
    onOpening: () => undefined,
    ...options,
  });
}

/** A promise that nobody keeps. */
export const never = <T>(): Promise<T> => new Promise(() => undefined);
