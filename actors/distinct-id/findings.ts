import type { Finding } from '../../src/domain/findings.ts';
import { isObserved, state as stateFact } from '../../src/observe/facts.ts';
import type { Clock } from '../../src/runtime/clock.ts';

/** How long a finding may wait to be stated: the counters of a scrape are this much behind at most. */
const STATE_AFTER_MS = 500;

/**
 * Findings of all distinct_id actors of one spec. Most of their groups hold one event, so a fact for each group would be a fact for
 * each event; this way a finding costs an addition, and there are two facts a second at most.
 */
export class FindingsBook {
  #counts: Partial<Record<Finding, number>> = {};
  #isScheduled = false;

  note(finding: Finding, clock: Clock): void {
    this.#counts[finding] = (this.#counts[finding] ?? 0) + 1;
    if (this.#isScheduled || !isObserved('event-findings-counted')) return;
    this.#isScheduled = true;
    clock.after(STATE_AFTER_MS, () => this.#state());
  }

  #state(): void {
    const counts = this.#counts;
    this.#counts = {};
    this.#isScheduled = false;
    stateFact('event-findings-counted', { counts });
  }
}
