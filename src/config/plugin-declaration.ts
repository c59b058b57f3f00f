export const PLUGIN_KINDS = ['data', 'auth', 'storage'] as const;
export type CapturePluginKind = (typeof PLUGIN_KINDS)[number];

/** What becomes of an event or a request whose plugin failed: it goes on without that plugin, or it is asked to come again. */
export const PLUGIN_ERROR_WAYS = ['pass', 'refuse'] as const;

/** A plugin of capture (spec/capture.md 16.1, row 36), as a configuration declares it. What is left out, the module or its kind decides. */
export interface CapturePluginDeclaration {
  /** Name of a package, or path of a module. */
  readonly module: string;
  readonly kind?: CapturePluginKind;
  /** How long one call may take. */
  readonly timeoutMs?: number;
  readonly onError?: (typeof PLUGIN_ERROR_WAYS)[number];
  /** Handed to the plugin's `init` as it stands. May hold secrets: never shown. */
  readonly config?: unknown;
}
