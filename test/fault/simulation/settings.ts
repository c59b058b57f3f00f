import type { TreeSettings } from '../../../supervisors/settings.ts';

export const TOPIC = 'events';
export const DEAD_LETTERS = 'dead-letters';
export const GROUP = 'troupe';
export const PARTITIONS_COUNT = 3;

/**
 * Small numbers, so that a few hundred records meet every bound: credit runs out, gaps fill up, blocks are cut, idle actors are
 * passivated between two events of theirs.
 */
export const SETTINGS: TreeSettings = {
  name: 'simulated',
  router: {
    creditCount: 24,
    creditBytes: 16_000,
    teamCreditCount: 16,
    distinctIdCreditCount: 4,
    gapCount: 40,
    sliceCount: 8,
    trustTeamId: false,
    traceSampleRatio: 0,
  },
  teamCache: { tokenTtlMs: 20_000, idTtlMs: 20_000, capacityCount: 100 },
  commitEveryMs: 300,
  revokeDrainMs: 1_500,
  heartbeatMarginMs: 4_000,
  writerMailboxCount: 100_000,
  clickhouseWriter: { maxRowsCount: 10, maxBytes: 1_000_000, maxAgeMs: 60 },
  kafkaWriter: { maxRowsCount: 10, maxBytes: 100_000, maxAgeMs: 30 },
  personWriter: { flushRowsCount: 6, lingerMs: 5, personlessCacheCount: 3 },
  definitions: { knownCount: 1_000, flushEveryMs: 50, maxPendingCount: 1_000 },
  redisBuffer: { flushEveryMs: 200, maxPendingCount: 20 },
  deadLetter: { topic: DEAD_LETTERS },
  pluginJournal: {
    flushEveryMs: 50,
    maxKeysCount: 100,
    defaultLogLevel: 0,
    linesPerSecondCount: 100,
    errorsPerSecondCount: 10,
    mailboxCapacityCount: 1_000,
  },
  plugins: { deadlineMs: 1_000, batchCount: 5, lingerMs: 1, reloadEveryMs: 30_000 },
  people: { idleMs: 40, activeCount: 12, inFlightCount: 4, sweepEveryMs: 25, mailboxCount: 64, prefetchCount: 8 },
  teams: { idleMs: 100, activeCount: 4, mailboxCount: 64 },
  shutdown: { drainMs: 5_000, flushMs: 2_000, stopMs: 3_000 },
};

/** The group's own times: a session outlasts the heartbeat margin, and any insert that was begun inside of the margin is looked for. */
export const SESSION_TIMEOUT_MS = 8_000;
export const REBALANCE_TIMEOUT_MS = 6_000;
export const HEARTBEAT_INTERVAL_MS = 700;
