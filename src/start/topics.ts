import { capabilitiesOf, type IntakeName } from '../config/modes.ts';
import type { Config } from '../config/schema.ts';
import { topicsOf } from '../config/topic-names.ts';

export { topicsOf };

/** One input topic: who reads it, and the id of that service in health checks. */
export interface IntakeIdentity {
  readonly service: string;
  readonly topic: string;
  readonly groupId: string;
}

/** The table of spec/ingestion.md 1.1: groups are PostHog's, so that each topic goes on where PostHog stopped. */
export function intakeIdentity(config: Config, intake: IntakeName): IntakeIdentity {
  const topics = topicsOf(config);
  const { prefix, groupId } = config.kafka;
  const of = (service: string, topic: string, group: string, ownGroup?: string): IntakeIdentity => ({
    service,
    topic,
    groupId: ownGroup ?? `${prefix}${group}`,
  });
  switch (intake) {
    case 'main':
      return of('analytics-ingestion', topics.main, 'clickhouse-ingestion', groupId);
    case 'overflow':
      return of('analytics-ingestion-overflow', topics.overflow, 'clickhouse-ingestion-overflow');
    case 'historical':
      return of('analytics-ingestion-historical', topics.historical, 'clickhouse-ingestion-historical');
    case 'ingestion_warnings':
      return of('events-ingestion-pipeline-ingestion_warnings', topics.warnings, 'client_iwarnings_ingestion');
    case 'heatmaps':
      return of('events-ingestion-pipeline-heatmaps', topics.heatmaps, 'heatmaps_ingestion');
    case 'exceptions':
      return of('events-ingestion-pipeline-exceptions', topics.exceptions, 'exceptions_ingestion');
  }
}

/** Every topic that a process with these settings reads or writes: made at start where it is missing (K-1). */
export function neededTopics(config: Config): readonly string[] {
  const topics = topicsOf(config);
  const { intakes } = capabilitiesOf(config.server.mode, config.server.pipeline);
  const needed = new Set(intakes.map((intake) => intakeIdentity(config, intake).topic));
  if (intakes.length > 0) needed.add(topics.deadLetter).add(topics.exceptionSymbolification);
  if (intakes.includes('main') && config.ingestion.overflowEnabled) needed.add(topics.overflow);
  if (config.capture.enabled === true) {
    for (const topic of [topics.main, topics.historical, topics.warnings, topics.heatmaps, topics.exceptions, topics.recordings])
      needed.add(topic);
    const { overflowEnabled, overflowForced } = config.capture;
    const { restrictions, replayOverflow, replayOverflowForced, rateOver, ratePerS, settings, globalLimit } = config.tokens;
    const hasOverflow = restrictions || (rateOver === 'overflow' && (ratePerS > 0 || settings));
    if (overflowEnabled || overflowForced.length > 0 || hasOverflow || globalLimit) needed.add(topics.overflow);
    if (replayOverflow || replayOverflowForced.length > 0 || hasOverflow) needed.add(topics.recordingsOverflow);
    if (restrictions) needed.add(topics.deadLetter);
  }
  return [...needed];
}
