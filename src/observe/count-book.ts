import type { Clock } from '../runtime/clock.ts';
import { isObserved, state, type FactName, type Facts } from './facts.ts';

/** How long a count may wait to be stated: the counters of a scrape are this much behind at most. */
const STATE_AFTER_MS = 500;

/** Facts that hold nothing but counts by name. */
type CountsFact = {
  [Name in FactName]: Facts[Name] extends { readonly counts: Readonly<Record<string, number | undefined>> } ? Name : never;
}[FactName];

/**
 * Counts by name, stated together: a fact for each group of events would be a fact for nearly each event. This way something counted
 * costs an addition, and there are two facts a second at most.
 */
export class CountBook<Name extends string> {
  readonly #fact: CountsFact;
  #counts: Partial<Record<Name, number>> = {};
  #isScheduled = false;

  constructor(fact: CountsFact) {
    this.#fact = fact;
  }

  /** False: nobody listens, and nothing needs to be found out for it. */
  get isRead(): boolean {
    return isObserved(this.#fact);
  }

  note(name: Name, clock: Clock): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + 1;
    if (this.#isScheduled || !this.isRead) return;
    this.#isScheduled = true;
    clock.after(STATE_AFTER_MS, () => this.#state());
  }

  #state(): void {
    const counts = this.#counts;
    this.#counts = {};
    this.#isScheduled = false;
    state(this.#fact, { counts });
  }
}
