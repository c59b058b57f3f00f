import type { Strategy } from '../src/runtime/strategy.ts';

/**
 * Every restart budget of Troupe in one table. Budgets of nested levels multiply (OTP: tuning intensity and period), so
 * the product stands here too, and a test holds it: what crashes for good in a writer or a router crashes once in each tree, and
 * of trees there are the first and `TREE_BUDGET.count` more. The sixth crash within two minutes ends the process.
 *
 * | who | on a crash | why |
 * |---|---|---|
 * | a writer | escalates at once | it holds work that only Kafka can give again: the whole tree is built anew |
 * | a router | escalates at once | its ledger is the partition's truth; half a ledger is none |
 * | a team, a distinct_id | a new life, few times; then a quarantine in which its events are dead-lettered by name | one tenant's bug must not cost the others |
 * | the definition writer | a new life with backoff; then a quarantine in which names are not kept | hints for menus |
 * | a plugin | a new life with backoff; then a quarantine in which events pass without it | a stranger's code |
 * | the plugin journal | a new life; then a quarantine | a hint for authors must not cost an event |
 * | the tree | built anew, `TREE_BUDGET` times; then the process ends | a pod that cannot hold itself up must be replaced |
 */
export const WRITER_STRATEGY: Strategy = { directive: 'escalate' };
export const ROUTER_STRATEGY: Strategy = { directive: 'escalate' };

/** Names of events are hints: whatever fails with them, no event and no tree pays for it. */
export const DEFINITION_WRITER_STRATEGY: Strategy = {
  directive: 'restart',
  budget: { count: 5, periodMs: 60_000 },
  backoff: { minMs: 500, maxMs: 10_000, jitterRatio: 0.2, quietMs: 120_000 },
  whenSpent: { quarantineMs: 300_000 },
};

export const TEAM_STRATEGY: Strategy = {
  directive: 'restart',
  budget: { count: 5, periodMs: 60_000 },
  backoff: { minMs: 50, maxMs: 2_000, jitterRatio: 0.2, quietMs: 60_000 },
  whenSpent: { quarantineMs: 60_000 },
};

export const DISTINCT_ID_STRATEGY: Strategy = {
  directive: 'restart',
  budget: { count: 3, periodMs: 60_000 },
  backoff: { minMs: 20, maxMs: 1_000, jitterRatio: 0.2, quietMs: 60_000 },
  whenSpent: { quarantineMs: 60_000 },
};

export const PLUGIN_STRATEGY: Strategy = {
  directive: 'restart',
  budget: { count: 5, periodMs: 60_000 },
  backoff: { minMs: 100, maxMs: 10_000, jitterRatio: 0.2, quietMs: 120_000 },
  whenSpent: { quarantineMs: 300_000 },
};

export const PLUGIN_JOURNAL_STRATEGY: Strategy = {
  directive: 'restart',
  budget: { count: 5, periodMs: 60_000 },
  backoff: { minMs: 100, maxMs: 10_000, jitterRatio: 0.2, quietMs: 60_000 },
  whenSpent: { quarantineMs: 60_000 },
};

/** Trees built in this period before the process gives up. */
export const TREE_BUDGET = { count: 5, periodMs: 120_000 } as const;
/** Wait before tree n+1: doubles from min to max. */
export const TREE_BACKOFF = { minMs: 200, maxMs: 10_000, jitterRatio: 0.2, quietMs: 120_000 } as const;
