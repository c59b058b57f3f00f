import { basename, extname } from 'node:path';
import { messageOf } from '../../domain/strings.ts';
import { state } from '../../observe/facts.ts';
import type { Clock } from '../../runtime/clock.ts';
import { isObject } from '../shapes.ts';
import { createCaller, type PluginCaller } from './caller.ts';
import type { AuthPlugin, CapturePlugin, DataPlugin, PluginKind, StoragePlugin } from './plugin.ts';

/** A plugin as a configuration declares it. */
export interface PluginDeclaration {
  readonly module: string;
  /** What the operator takes it for; another kind is a mistake. */
  readonly kind?: PluginKind;
  readonly timeoutMs?: number;
  /** Of data and auth. @defaultValue `pass` for data: an event is worth more than what is done to it; `refuse` for auth */
  readonly onError?: 'pass' | 'refuse';
  readonly config?: unknown;
}

/** A plugin that works. */
export interface Opened<P extends CapturePlugin> {
  readonly name: string;
  readonly plugin: P;
  readonly caller: PluginCaller;
  readonly onError: 'pass' | 'refuse';
  /** It was left out of something: counted. */
  skipped(): void;
}

/** By kind, each in the order of the configuration. */
export interface OpenedPlugins {
  readonly data: readonly Opened<DataPlugin>[];
  readonly auth: readonly Opened<AuthPlugin>[];
  readonly storage: readonly Opened<StoragePlugin>[];
}

export const NO_PLUGINS: OpenedPlugins = { data: [], auth: [], storage: [] };

export interface OpenPluginsOptions {
  readonly declarations: readonly PluginDeclaration[];
  /** What the module exports. */
  readonly importModule: (module: string) => Promise<unknown>;
  readonly clock: Clock;
  /** Of those that declare none. */
  readonly timeoutMs: number;
  readonly pauseMs: number;
  /** How long `init` may take. */
  readonly initMs: number;
  readonly closeMs: number;
  /** Called once for each plugin that is to be closed, in their order, before its `init`: what failed half-way has something to give back too. */
  readonly onOpening: (name: string, close: () => Promise<void>) => void;
}

/** Loads and starts the plugins, one after the other. @throws Error that names the first that cannot be used. */
export async function openPlugins(options: OpenPluginsOptions): Promise<OpenedPlugins> {
  const opened: Opened<CapturePlugin>[] = [];
  for (const declaration of options.declarations) {
    try {
      opened.push(await openPlugin(declaration, nameFor(declaration, opened), options));
    } catch (error) {
      const why = messageOf(error);
      throw new Error(`The capture plugin ${declaration.module} cannot be used: ${why}. Correct it, or TROUPE_CAPTURE_PLUGINS`, {
        cause: error,
      });
    }
  }
  return { data: opened.filter(isOf('data')), auth: opened.filter(isOf('auth')), storage: opened.filter(isOf('storage')) };
}

async function openPlugin(
  { module, kind: declared, timeoutMs, onError, config }: PluginDeclaration,
  name: string,
  { importModule, clock, timeoutMs: usualMs, pauseMs, initMs, closeMs, onOpening }: OpenPluginsOptions,
): Promise<Opened<CapturePlugin>> {
  const plugin = make(await importModule(module));
  const { kind } = plugin;
  if (declared !== undefined && declared !== kind) throw new Error(`it is of kind ${kind}, and declared as ${declared}`);
  if (kind === 'storage' && onError !== undefined) throw new Error('onError is for the kinds data and auth');
  onOpening(name, () => within(clock, closeMs, 'close', async () => plugin.close?.()));
  await within(clock, initMs, 'init', async () => plugin.init?.(config));
  if (kind === 'storage' && !['mirror', 'fallback'].includes(plugin.role)) throw new Error('its role is neither mirror nor fallback');
  return {
    name,
    plugin,
    caller: createCaller({ plugin: name, kind, timeoutMs: timeoutMs ?? usualMs, pauseMs, clock }),
    onError: onError ?? (kind === 'auth' ? 'refuse' : 'pass'),
    skipped: () => state('capture-plugin-called', { plugin: name, kind, done: 0, failed: 0, skipped: 1, durationMs: 0 }),
  };
}

/** @throws Error when a module is no plugin. */
function make(exported: unknown): CapturePlugin {
  const factory = typeof exported === 'object' && exported !== null && 'default' in exported ? exported.default : undefined;
  if (typeof factory !== 'function') throw new Error('its default export is no function that makes a plugin');
  const plugin: unknown = (factory as () => unknown)();
  if (!isObject(plugin)) throw new Error('its default export made no plugin');
  const { kind } = plugin;
  if (kind !== 'data' && kind !== 'auth' && kind !== 'storage') throw new Error('its kind is neither data nor auth nor storage');
  if (typeof plugin['process'] !== 'function') throw new Error('it has no function process');
  return plugin as unknown as CapturePlugin; // init, process and close are called as methods: what they are not fails there, by name
}

/** The module's own name, once more with a number: a label of metrics, so never a whole path. */
function nameFor({ module }: PluginDeclaration, opened: readonly { readonly name: string }[]): string {
  const plain = basename(module, extname(module));
  for (let number = 1; ; number++) {
    const name = number === 1 ? plain : `${plain}-${number}`;
    if (!opened.some((one) => one.name === name)) return name;
  }
}

const isOf =
  <K extends PluginKind>(kind: K) =>
  (one: Opened<CapturePlugin>): one is Opened<Extract<CapturePlugin, { kind: K }>> =>
    one.plugin.kind === kind;

function within(clock: Clock, limitMs: number, what: string, work: () => Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const limit = clock.after(limitMs, () => reject(new Error(`its ${what} did not end within ${limitMs} ms`)));
    work()
      .then(resolve, reject)
      .finally(() => limit.cancel());
  });
}
