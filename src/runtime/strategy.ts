/** How a cell's crash is answered (OTP: restart intensity and period; Akka: directive). Pure data. */
export interface Budget {
  /** Restarts allowed in `periodMs`; one more spends the budget. */
  readonly count: number;
  readonly periodMs: number;
}
export interface BackoffCurve {
  readonly minMs: number;
  readonly maxMs: number;
  /** Up to this share is added at random, so that restarts do not march in step. */
  readonly jitterRatio: number;
  /** After this long without a crash the curve starts again. */
  readonly quietMs: number;
}
export type Strategy =
  /** Keep the state, drop the failing message to `failed`/dead letters, go on. For actors whose receive cannot half-change state. */
  | { readonly directive: 'resume' }
  /** New state through `start` after a backoff; the mailbox is kept. Budget spent: `whenSpent`. */
  | {
      readonly directive: 'restart';
      readonly budget: Budget;
      readonly backoff: BackoffCurve;
      readonly whenSpent: 'escalate' | { readonly quarantineMs: number };
    }
  | { readonly directive: 'stop' }
  /** Hand the crash to the supervisor at once. */
  | { readonly directive: 'escalate' };
