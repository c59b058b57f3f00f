import type { OverflowSettings } from './stages/overflow.ts';

/** What an operator lays down for events, besides their names. */
export interface CaptureRules {
  /** 7.1: each a `token` or a `token:distinct_id`. */
  readonly dropped: readonly string[];
  /** 7.2 */
  readonly overflow: OverflowSettings;
  /** 7.2: tokens whose recordings go aside, all of them. */
  readonly replayOverflowForced: readonly string[];
  /** 7.2: keys that send too many over all processes are counted, and nothing else. */
  readonly isGlobalDryRun: boolean;
  /** 6.5: main events that are so old are historical. Undefined: none is by its age. */
  readonly historicalAfterMs: number | undefined;
}

export const NO_RULES: CaptureRules = {
  dropped: [],
  overflow: { limits: undefined, keepsKeys: false, forced: [] },
  replayOverflowForced: [],
  isGlobalDryRun: false,
  historicalAfterMs: undefined,
};
