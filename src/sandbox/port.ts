import type { Json, PluginEvent } from '../domain/event.ts';

/** Source and settings of one plugin config. */
export interface PluginSource {
  readonly pluginConfigId: number;
  readonly teamId: number;
  readonly name: string;
  readonly config: Readonly<Json>;
  /** File name to text: plugin.json, index.js (or index.ts: types are stripped). */
  readonly files: Readonly<Record<string, string>>;
}

export type LoadResult = { readonly type: 'loaded'; readonly methods: readonly string[] } | { readonly type: 'refused'; readonly message: string };

export type InvocationResult =
  | { readonly type: 'event'; readonly event: PluginEvent }
  /** The plugin returned a falsy value: the event is to be dropped (L-5). */
  | { readonly type: 'dropped' }
  /** The plugin threw on this event; `event` is it with the mutations made before (PE-3). */
  | { readonly type: 'failed'; readonly message: string; readonly event: PluginEvent | undefined };

/**
 * One child process with one isolate per plugin config. Everything that crosses is JSON text (embedded.md 3).
 * Deadline passed or memory bomb: the child is killed; every invocation in flight rejects with SandboxError and the
 * next `load` starts a new child.
 */
export interface Sandbox {
  load(plugin: PluginSource): Promise<LoadResult>;
  /** Runs processEvent over the batch, in order. @throws SandboxError 'deadline' | 'died' | 'not-loaded'. */
  invoke(pluginConfigId: number, events: readonly PluginEvent[], deadlineMs: number): Promise<readonly InvocationResult[]>;
  unload(pluginConfigId: number): Promise<void>;
  /** Process id of the child, undefined when none runs. */
  pid(): number | undefined;
  close(): Promise<void>;
}
export class SandboxError extends Error {
  readonly code: 'deadline' | 'died' | 'not-loaded';
  constructor(code: SandboxError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SandboxError';
    this.code = code;
  }
}
