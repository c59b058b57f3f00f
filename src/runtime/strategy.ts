/** How a cell's crash is answered (OTP: restart intensity and period; Akka: directive). Pure data. */
export interface Budget {
  /** Restarts allowed in `periodMs`; one more spends the budget. */
  readonly count: number;
  readonly periodMs: number;
}
/** How long to wait before restart number n: see {@link backoffMs}. */
export interface BackoffCurve {
  readonly minMs: number;
  readonly maxMs: number;
  /** Up to this share is added at random, so that restarts do not march in step. */
  readonly jitterRatio: number;
  /** After this long without a crash the curve starts again. */
  readonly quietMs: number;
}
/** What is done when `receive` or `start` throws. */
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

/** Crashes of one actor that still count: what {@link nextRestart} keeps between them. */
export interface CrashHistory {
  /** Monotonic times of the restarts granted within the period, oldest first. */
  readonly grantedAtMs: readonly number[];
  /** Crashes since the last quiet time; 1 after the first. */
  readonly attempt: number;
  readonly lastAtMs: number;
}
/** Of an actor that has never crashed, or whose quarantine has ended. */
export const noCrashes: CrashHistory = { grantedAtMs: [], attempt: 0, lastAtMs: -Infinity };

/** `history` is to be kept either way. */
export type RestartDecision =
  | { readonly granted: true; readonly backoffMs: number; readonly history: CrashHistory }
  | { readonly granted: false; readonly history: CrashHistory };

/**
 * Delay before restart number `attempt` (1 is the first): `minMs` doubled per attempt up to `maxMs`, then up to `jitterRatio` of it
 * on top. `chance` is uniform in [0, 1). Never less than `minMs`, however large the attempt.
 */
export function backoffMs(attempt: number, curve: BackoffCurve, chance: number): number {
  // 2^40 ms are 35 years: beyond that only the cap matters, and a double would end at Infinity
  const doublings = Math.min(Math.max(0, attempt - 1), 40);
  const base = Math.max(curve.minMs, Math.min(curve.maxMs, curve.minMs * 2 ** doublings));
  return base * (1 + curve.jitterRatio * chance);
}

/** Answers one crash at `nowMs` (monotonic): a restart after a backoff, or a spent budget. Pure; a restart is counted when granted. */
export function nextRestart(history: CrashHistory, budget: Budget, backoff: BackoffCurve, nowMs: number, chance: number): RestartDecision {
  const recent = history.grantedAtMs.filter((atMs) => atMs > nowMs - budget.periodMs);
  const attempt = nowMs - history.lastAtMs > backoff.quietMs ? 1 : history.attempt + 1;
  if (recent.length >= budget.count) return { granted: false, history: { grantedAtMs: recent, attempt, lastAtMs: nowMs } };
  return {
    granted: true,
    backoffMs: backoffMs(attempt, backoff, chance),
    history: { grantedAtMs: [...recent, nowMs], attempt, lastAtMs: nowMs },
  };
}
