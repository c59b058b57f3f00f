import type { Json, PluginEvent } from '../domain/event.ts';

/** Source and settings of one plugin config. */
export interface PluginSource {
  readonly pluginConfigId: number;
  /**
   * Names the isolate, for `invoke`, `unload` and `SandboxError.culprit`. Ids of their own let the old and the new version of one
   * config live side by side until the old one has answered what it took. @defaultValue pluginConfigId
   */
  readonly isolateId?: number;
  readonly teamId: number;
  readonly name: string;
  readonly config: Readonly<Json>;
  /** File name to text: plugin.json, index.js (or index.ts: types are stripped). */
  readonly files: Readonly<Record<string, string>>;
}

/** An error of a plugin, as text: nothing of what was thrown leaves its isolate. For something thrown that is no error, the name is its text. */
export interface PluginFault {
  readonly name: string;
  readonly message: string;
  /** The author's frames only. */
  readonly stack?: string | undefined;
}

/** What became of a plugin's source; `methods` are the names that it exports. */
export type LoadResult =
  | {
      readonly type: 'loaded';
      readonly methods: readonly string[];
      /** Modules it imported. */
      readonly imports?: readonly string[] | undefined;
      /** Time of its setupPlugin; undefined when it has none. */
      readonly setupMs?: number | undefined;
    }
  | {
      readonly type: 'refused';
      readonly message: string;
      /** Set when it was setupPlugin that failed (V-20), and not the code that did not load. */
      readonly setup?: { readonly fault: PluginFault; readonly setupMs: number } | undefined;
    };

/** What a plugin made of one event. */
export type InvocationResult =
  | { readonly type: 'event'; readonly event: PluginEvent }
  /** The plugin returned a falsy value: the event is to be dropped (L-5). */
  | { readonly type: 'dropped' }
  /** The plugin threw on this event; `event` is it with the mutations made before (PE-3). */
  | {
      readonly type: 'failed';
      readonly message: string;
      readonly event: PluginEvent | undefined;
      readonly fault?: PluginFault | undefined;
    };

/** A call of the plugin's console (section 6.5). */
export interface ConsoleLine {
  readonly level: string;
  readonly text: string;
}

/** Hears what a plugin says beside its results, before the promise that it belongs to settles. Must not throw. */
export interface PluginListener {
  /** Console lines of one batch or load, and how many more there were than are kept. */
  consoleWritten?(lines: readonly ConsoleLine[], lostCount: number): void;
  /** Somebody in the plugin rejected a promise that nobody awaited (PE-8): no event failed of it. */
  rejectionLeft?(fault: PluginFault): void;
  /** What the calls of one batch took inside the isolate. */
  callsTimed?(succeededMs: number, failedMs: number): void;
}

/**
 * One child process with one isolate per plugin config. Everything that crosses is JSON text (docs/measured.md).
 *
 * Force is graded, so that one tenant's loop costs the others nothing while it can be helped:
 * 1. V8 stops the code at the deadline, or at its memory limit: that isolate is thrown away, the child lives;
 * 2. what V8 does not stop (a promise that never settles) is ended from outside a moment later, in the same way;
 * 3. what that does not end, and every memory bomb that breaks V8 itself, ends with SIGKILL for the child: every
 *    invocation in flight rejects with SandboxError and the next `load` starts a new child.
 * After 1-3 the plugin concerned (after 3: every plugin) is not loaded.
 */
export interface Sandbox {
  /**
   * Makes a fresh isolate (replacing one of the same id), evaluates the source, runs setupPlugin. 'refused' when the
   * code does not compile, throws, or imports what is not there (V-3, V-11, V-21). @throws SandboxError 'deadline' | 'died'.
   */
  load(plugin: PluginSource, listener?: PluginListener): Promise<LoadResult>;
  /** Runs processEvent over the batch, in order. @throws SandboxError 'deadline' | 'died' | 'not-loaded'. */
  invoke(isolateId: number, events: readonly PluginEvent[], deadlineMs: number): Promise<readonly InvocationResult[]>;
  unload(isolateId: number): Promise<void>;
  /** Process id of the child, undefined when none runs. */
  pid(): number | undefined;
  close(): Promise<void>;
}
/** An invocation, or a load, that had to be ended; the events of the batch have no result. */
export class SandboxError extends Error {
  readonly code: 'deadline' | 'died' | 'not-loaded';
  /**
   * The isolate whose code is known to have caused it; undefined when nobody knows (the machine's memory ran out,
   * somebody killed the child). A caller whose own isolate it is not was only standing near.
   */
  readonly culprit: number | undefined;
  constructor(code: SandboxError['code'], message: string, options?: { cause?: unknown; culprit?: number | undefined }) {
    super(message, options);
    this.name = 'SandboxError';
    this.code = code;
    this.culprit = options?.culprit;
  }
}
