import type { PluginFault } from './port.ts';

/**
 * What host and child say to each other: two unions, matched by `request`. Plugin data crosses as JSON TEXT in
 * `events` and `answer`; the child never parses it, so that no value made by a plugin is ever an object outside its
 * own isolate and the host's one parse.
 */
export type ToSandbox =
  | {
      readonly type: 'load';
      readonly request: number;
      readonly isolateId: number;
      /** JSON text of `meta.config`. */
      readonly config: string;
      readonly name: string;
      /** As stored. Even reading an author's source is left to the child: nobody knows how long a parser takes over it. */
      readonly files: Readonly<Record<string, string>>;
      readonly timeoutMs: number;
    }
  | {
      readonly type: 'invoke';
      readonly request: number;
      readonly isolateId: number;
      readonly events: string;
      readonly timeoutMs: number;
    }
  | { readonly type: 'unload'; readonly request: number; readonly isolateId: number }
  /** The wall deadline of a request passed: throw the isolate away, answer that request with 'overdue'. */
  | { readonly type: 'abandon'; readonly request: number; readonly isolateId: number };

export type FromSandbox =
  | { readonly type: 'ready' }
  /** `setup`: JSON text of a SetupAnswer. */
  | {
      readonly type: 'loaded';
      readonly request: number;
      readonly methods: readonly string[];
      readonly imports: readonly string[];
      readonly setup: string;
    }
  /** `setup` when it was setupPlugin that failed. */
  | { readonly type: 'refused'; readonly request: number; readonly message: string; readonly setup?: string | undefined }
  /** `rejection`: of a promise that the plugin did not await (PE-8). */
  | { readonly type: 'invoked'; readonly request: number; readonly answer: string; readonly rejection?: PluginFault | undefined }
  | { readonly type: 'unloaded'; readonly request: number }
  | { readonly type: 'not-loaded'; readonly request: number }
  /** Stopped at its limit of time; the isolate is gone. */
  | { readonly type: 'overdue'; readonly request: number }
  /** The isolate died of its memory limit or was torn down under the call; it is gone, the child lives. */
  | { readonly type: 'collapsed'; readonly request: number; readonly message: string };

interface ConsoleAnswer {
  /** [level, text] of each console call, at most the stated number of them. */
  readonly console: readonly (readonly [string, string])[];
  /** Console lines beyond the bound. */
  readonly consoleLost: number;
}

/** Shape of `answer` after the host's parse; still to be checked, since plugin code had a hand in it. */
export interface BatchAnswer extends ConsoleAnswer {
  readonly results: readonly unknown[];
  /** Time of the calls that failed, and of the others. */
  readonly failedMs: number;
  readonly succeededMs: number;
}

/** Shape of `setup` after the host's parse. */
export interface SetupAnswer extends ConsoleAnswer {
  /** Absent when the plugin has no setupPlugin. */
  readonly setupMs?: number;
  readonly failed?: { readonly message: string; readonly error: unknown };
}

/** How the child names on stderr, in its last moment, the isolate that took the process down. */
export const CATASTROPHE_MARK = 'troupe-sandbox-catastrophe';

/** Limits that travel in the child's argv. */
export interface ChildLimits {
  readonly memoryLimitMb: number;
  readonly maxResultChars: number;
  readonly maxConsoleLines: number;
  /** Of the internal MMDB service on the loopback; undefined: there is none. */
  readonly geoipPort: number | undefined;
}
