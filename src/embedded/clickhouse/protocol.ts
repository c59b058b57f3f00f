/** What the starter tells its child on the command line, as one JSON text. */
export interface ServerOptions {
  readonly dataDir: string;
  /** 0: any free port. */
  readonly port: number;
  /** The password that every request must bring. */
  readonly secret: string;
  /** How long the lock of a process that is just dying is waited for. */
  readonly lockWaitMs: number;
}

/** Child to parent. */
export type ServerMessage = { readonly type: 'listening'; readonly port: number } | { readonly type: 'failed'; readonly message: string };

/** Parent to child. */
export interface StopMessage {
  readonly type: 'stop';
}
