/** What the guards of capture state: TLS, signatures, masking, the operator's own plugins; facts.ts has the rest. */
export interface GuardFacts {
  /** A certificate is shown to new connections: at the start, or in the old one's place. */
  'http-certificate-taken': {
    readonly server: string;
    readonly subject: string;
    /** Of its end, epoch ms. */
    readonly expiresAtMs: number;
    /** From now to then; negative when it has passed. */
    readonly remainingMs: number;
  };
  /** Its files changed and what is there cannot be used; the old one stays. */
  'http-certificate-refused': { readonly server: string; readonly message: string };
  /** A TLS handshake came to nothing: no TLS, an old version, a certificate that the client does not trust. */
  'http-handshake-failed': { readonly server: string };
  /** The signature of a request, where signatures are looked at. `keyId`: of the key that it is valid under. */
  'capture-signature-checked': {
    readonly outcome: 'valid' | 'absent' | 'malformed' | 'uncovered' | 'stale' | 'wrong';
    readonly keyId: string | undefined;
  };
  /** In the events of one request: properties taken away or replaced, and what detectors found in texts. */
  'capture-properties-masked': { readonly how: 'removed' | 'replaced' | 'emails' | 'cards' | 'ipv4'; readonly count: number };
  /**
   * A connection, or what came over it, was turned away before a handler saw it. `silent`: opened, and nothing sent; `connections`: one too
   * many; `tunnel`: CONNECT; `pipelined`: too many requests before the first is answered.
   */
  'http-connection-refused': {
    readonly server: string;
    readonly reason:
      | 'malformed'
      | 'headers-too-large'
      | 'headers-too-many'
      | 'headers-late'
      | 'body-late'
      | 'silent'
      | 'connections'
      | 'pipelined'
      | 'tunnel';
  };
  /** A worker serves, or has ended; how many serve now. `isAsked`: it was told to. */
  'worker-started': { readonly slot: number; readonly pid: number; readonly upCount: number };
  'worker-ended': {
    readonly slot: number;
    readonly pid: number;
    readonly code: number | null;
    readonly signal: string | null;
    readonly isAsked: boolean;
    readonly upCount: number;
  };
  /** A server told to stop has no connection any more. `openCount`: at the beginning; `cutCount`: requests that got no answer in time. */
  'http-server-drained': { readonly name: string; readonly openCount: number; readonly cutCount: number; readonly durationMs: number };
  /** What one request (of a storage plugin: one set of records) had of a plugin: calls by their end. `skipped`: it was suspended, out of time, or busy. */
  'capture-plugin-called': {
    readonly plugin: string;
    readonly kind: 'data' | 'auth' | 'storage';
    readonly done: number;
    readonly failed: number;
    readonly skipped: number;
    readonly durationMs: number;
  };
  /** One call failed; `message` is the plugin's own. */
  'capture-plugin-failed': {
    readonly plugin: string;
    readonly kind: 'data' | 'auth' | 'storage';
    readonly why: 'error' | 'timeout';
    readonly message: string;
  };
  /** It failed in too many requests in a row, or again when it was tried: nobody calls it for `pauseMs`. */
  'capture-plugin-suspended': {
    readonly plugin: string;
    readonly kind: 'data' | 'auth' | 'storage';
    readonly failures: number;
    readonly pauseMs: number;
  };
  /** A suspended one was tried, and is called again. */
  'capture-plugin-resumed': { readonly plugin: string; readonly kind: 'data' | 'auth' | 'storage' };
}
