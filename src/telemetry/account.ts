/**
 * The account of the process: every record that was read, and what became of it, over all partitions it ever had
 * (delivery.md, promise 1). Exported by metrics.ts, checked by tests.
 *
 * I1  read = already stored + Σ outcomes + abandoned + in flight, at any moment. All five are taken from the ledgers in one
 *     synchronous step, so no reader sees one of them move before another.
 * I2  Nothing is ever subtracted: the records of a partition that was lost while they were in work become `abandoned`. They come again,
 *     here or elsewhere, and are then read anew.
 */
export interface Account {
  readonly read: number;
  /** Skipped, because an earlier owner of the partition had stored them. */
  readonly alreadyStored: number;
  readonly outcomes: readonly OutcomeCount[];
  /** In work when their partition was lost. */
  readonly abandoned: number;
  readonly inFlight: number;
}
export interface OutcomeCount {
  readonly topic: string;
  readonly outcome: string;
  /** '' for `stored`. */
  readonly reason: string;
  readonly count: number;
}

/** What the account reads of a ledger (src/kafka/ledger.ts has it). */
export interface AccountedLedger {
  snapshot(): {
    readonly readCount: number;
    readonly alreadyStoredCount: number;
    readonly pendingCount: number;
    readonly outcomes: readonly { readonly outcome: string; readonly reason: string | undefined; readonly count: number }[];
  };
}

export interface Accounts {
  /** A partition was gained: its ledger counts from now on. */
  open(topic: string, ledger: AccountedLedger): void;
  /** The ledger was closed and will not change again: its sums are kept, it is let go. Unknown ledgers are ignored. */
  close(ledger: AccountedLedger): void;
  readonly read: () => Account;
}

interface Sums {
  read: number;
  alreadyStored: number;
  abandoned: number;
  inFlight: number;
  readonly outcomes: Map<string, OutcomeCount>;
}

export function createAccounts(): Accounts {
  const live = new Map<AccountedLedger, string>();
  const past: Sums = { read: 0, alreadyStored: 0, abandoned: 0, inFlight: 0, outcomes: new Map() };

  function add(to: Sums, topic: string, ledger: AccountedLedger, pending: 'inFlight' | 'abandoned'): void {
    const snapshot = ledger.snapshot();
    to.read += snapshot.readCount;
    to.alreadyStored += snapshot.alreadyStoredCount;
    to[pending] += snapshot.pendingCount;
    for (const { outcome, reason = '', count } of snapshot.outcomes) {
      const key = `${topic}\n${outcome}\n${reason}`;
      to.outcomes.set(key, { topic, outcome, reason, count: count + (to.outcomes.get(key)?.count ?? 0) });
    }
  }

  return {
    open(topic, ledger) {
      live.set(ledger, topic);
    },
    close(ledger) {
      const topic = live.get(ledger);
      if (topic === undefined) return;
      live.delete(ledger);
      add(past, topic, ledger, 'abandoned');
    },
    read() {
      const now: Sums = { ...past, outcomes: new Map(past.outcomes) };
      for (const [ledger, topic] of live) add(now, topic, ledger, 'inFlight');
      return { ...now, outcomes: [...now.outcomes.values()] };
    },
  };
}
