/**
 * The way between one process and one outside system:
 *
 *     called ──request──▶ applied, in one step ──answer──▶ resolved
 *
 * A simulation makes either way slow, loses either of them, or cuts both for good when the process dies. What was applied
 * stays applied: that is what makes zombies.
 */
export interface Link {
  /**
   * Runs `apply` when the request arrives, and resolves to its answer (or rejects with its rejection) when that arrives.
   * `away` makes the error of a request that never arrived, `lost` that of an answer that never came; a system that
   * gives none of the two is only ever slow.
   */
  call<Answer>(what: string, apply: () => Answer | Promise<Answer>, failures?: LinkFailures): Promise<Answer>;
}

export interface LinkFailures {
  readonly away?: () => Error;
  readonly lost?: () => Error;
}

/** Nothing is slow and nothing is lost. */
export const STRAIGHT: Link = {
  call: async (_what, apply) => apply(),
};
