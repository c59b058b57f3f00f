import type { TreeSettings } from '../../supervisors/settings.ts';
import type { Config } from '../config/schema.ts';
import { topicsOf } from './topics.ts';

/** The numbers of the tree, from the settings in force. What has no setting stands here with its reason. */
export function treeSettings(config: Config): TreeSettings {
  const { router, clickhouse, people, plugins, kafka, ingestion, shutdown, telemetry } = config;
  const deadlineMs = plugins.deadlineMs ?? plugins.taskTimeoutS * 1_000;
  return {
    name: 'troupe',
    router: {
      creditCount: router.creditCount,
      creditBytes: router.creditBytes,
      teamCreditCount: router.teamCreditCount,
      distinctIdCreditCount: router.distinctIdCreditCount,
      gapCount: router.gapCount,
      // Large enough that a statement, a tell to a team and a turn are shared by many; small enough that no turn takes 20 ms.
      sliceCount: 1_000,
      trustTeamId: ingestion.trustTeamId,
      // Nobody would see a trace that is sent nowhere.
      traceSampleRatio: telemetry.otlpEndpoint === undefined ? 0 : telemetry.sampleRatio,
    },
    // Rule T-5.
    teamCache: { tokenTtlMs: 300_000, idTtlMs: 120_000, capacityCount: 100_000 },
    commitEveryMs: 500,
    // A rebalance waits for it, so it is far below the rebalance timeout; a healthy sink needs one block's time.
    revokeDrainMs: 5_000,
    heartbeatMarginMs: kafka.heartbeatMarginMs,
    // An event in flight is at most a handful of messages to one writer; 64 partitions' credit fits many times over.
    writerMailboxCount: 1_000_000,
    clickhouseWriter: {
      maxRowsCount: clickhouse.blockRowsCount,
      maxBytes: clickhouse.blockBytes,
      maxAgeMs: clickhouse.blockAgeMs,
    },
    // PostHog's producer (K-4): what waits 20 ms, or fills 8 MiB, goes. Rows by the thousand are written in no fewer calls.
    kafkaWriter: { maxRowsCount: 5_000, maxBytes: 8 * 1024 * 1024, maxAgeMs: 20 },
    personWriter: {
      flushRowsCount: people.flushRowsCount,
      lingerMs: people.flushLingerMs,
      // Rule Q-1: PostHog remembers as many.
      personlessCacheCount: 10_000,
    },
    redisBuffer: { flushEveryMs: 200, maxPendingCount: 10_000 },
    pluginJournal: {
      flushEveryMs: plugins.metricsFlushMs,
      maxKeysCount: plugins.metricsKeysCount,
      defaultLogLevel: plugins.logLevel,
      // What a person reads. A plugin that logs every event of a busy team is cut here, and each line not sent is counted.
      linesPerSecondCount: 200,
      errorsPerSecondCount: 20,
      // A message is a batch of a plugin, and the journal never waits: it is full only when the process is.
      mailboxCapacityCount: 10_000,
    },
    // Raising the second writes fewer, larger statements and loses more with a crash; the third is some 50 MB at its worst.
    definitions: { knownCount: ingestion.eventPropertyLruSize, flushEveryMs: 1_000, maxPendingCount: 100_000 },
    // Nobody but this process reads an embedded log.
    exceptionsTopic: kafka.hosts.length === 0 ? undefined : topicsOf(config).exceptionSymbolification,
    deadLetter: { topic: topicsOf(config).deadLetter },
    plugins: { deadlineMs, batchCount: 100, lingerMs: 1, reloadEveryMs: 30_000 },
    people: {
      idleMs: people.idleMs,
      activeCount: people.activeCount,
      inFlightCount: 10_000,
      sweepEveryMs: 1_000,
      mailboxCount: Math.max(1_024, router.creditCount),
      // What ten partitions' credit may ask for at once; a person that finds no room is loaded by its actor.
      prefetchCount: 50_000,
    },
    teams: { idleMs: 600_000, activeCount: 50_000, mailboxCount: Math.max(1_024, router.creditCount) },
    // Phase 1 is capture's, in main.ts: its server is closed before the actors.
    shutdown: { drainMs: shutdown.drainMs, flushMs: shutdown.flushMs, stopMs: shutdown.closeMs },
  };
}
