/** What the settings of the running process and the admin server state; facts.ts has the rest. Names of settings, never values. */
export interface ConfigFacts {
  /** At the start, and after each reload. `waiting`: settings that were changed since the start and need a restart. */
  'config-in-force': { readonly generation: number; readonly waiting: number };
  /** The settings were read again and are right. Without `applied` nothing that can be reloaded was another. */
  'config-reloaded': {
    readonly by: 'file' | 'signal' | 'admin';
    readonly who: string;
    readonly generation: number;
    readonly applied: readonly string[];
    readonly waiting: readonly string[];
  };
  /** They were read again and cannot be used: those of `generation` stay. One line for each problem. */
  'config-refused': {
    readonly by: 'file' | 'signal' | 'admin';
    readonly who: string;
    readonly generation: number;
    readonly problems: readonly string[];
  };
  /** Which log lines are written is another. `isConfigured`: as the settings say, again or still. */
  'log-level-changed': { readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent'; readonly isConfigured: boolean };
  /** `path` is `other` for what is none. `who`: name of the token, undefined for a stranger. */
  'admin-request-answered': { readonly method: string; readonly path: string; readonly status: number; readonly who: string | undefined };
}
