import type { RouterOptions } from '../actors/router/index.ts';
import type { PluginJournalOptions } from '../actors/plugin-journal/index.ts';

/** The numbers of the tree, from src/config. Each has its reason where it is read. */
export interface TreeSettings {
  readonly name: string;
  readonly router: RouterOptions;
  readonly teamCache: { readonly tokenTtlMs: number; readonly idTtlMs: number; readonly capacityCount: number };
  /** Watermarks are committed so often. A crash replays at most this much more, and skips it as stored. */
  readonly commitEveryMs: number;
  /** In-flight events of lost partitions get so long to settle; below the rebalance timeout. */
  readonly revokeDrainMs: number;
  /** No block and no person write is started when the last heartbeat is older (zombies, delivery.md section 3). */
  readonly heartbeatMarginMs: number;
  /** Above any number of messages that all credit can make, so that a writer never refuses. */
  readonly writerMailboxCount: number;
  readonly clickhouseWriter: { readonly maxRowsCount: number; readonly maxBytes: number; readonly maxAgeMs: number };
  /** Of output kafka. */
  readonly kafkaWriter: { readonly maxRowsCount: number; readonly maxBytes: number; readonly maxAgeMs: number };
  readonly personWriter: { readonly flushRowsCount: number; readonly lingerMs: number; readonly personlessCacheCount: number };
  readonly redisBuffer: { readonly flushEveryMs: number; readonly maxPendingCount: number };
  readonly definitions: { readonly knownCount: number; readonly flushEveryMs: number; readonly maxPendingCount: number };
  /** where rows of exceptions are copied to; undefined: nowhere. */
  readonly exceptionsTopic?: string | undefined;
  readonly deadLetter: { readonly topic: string };
  readonly pluginJournal: PluginJournalOptions;
  readonly plugins: { readonly deadlineMs: number; readonly batchCount: number; readonly lingerMs: number; readonly reloadEveryMs: number };
  readonly people: {
    readonly idleMs: number;
    readonly activeCount: number;
    readonly inFlightCount: number;
    readonly sweepEveryMs: number;
    readonly mailboxCount: number;
    /** Persons kept from a batch's prefetch until their events are folded. */
    readonly prefetchCount: number;
  };
  readonly teams: { readonly idleMs: number; readonly activeCount: number; readonly mailboxCount: number };
  readonly shutdown: ShutdownLimits;
}

/** Limits of the phases of an orderly end; their sum stays below the pod's terminationGracePeriodSeconds. */
export interface ShutdownLimits {
  /** The intakes stop fetching; what is in flight settles; watermarks are committed; the group is left. */
  readonly drainMs: number;
  /** Plugins end, and writers write out what nobody waits for: warnings, presence, what plugins did and said. */
  readonly flushMs: number;
  /** Actors stop in order. */
  readonly stopMs: number;
}
