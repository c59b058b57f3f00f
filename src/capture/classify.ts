/** The topics capture writes to, by the kind of event (spec/capture.md 6.5, 6.6). Several kinds may share one topic. */
export interface CaptureTopics {
  readonly main: string;
  readonly historical: string;
  readonly clientWarnings: string;
  readonly exceptions: string;
  readonly heatmaps: string;
}

/** The topic of an event. Its name goes before the request's `historical_migration`: first match wins. */
export function topicOf(topics: CaptureTopics, event: string, historicalMigration: boolean): string {
  switch (event) {
    case '$$client_ingestion_warning':
      return topics.clientWarnings;
    case '$exception':
      return topics.exceptions;
    case '$$heatmap':
      return topics.heatmaps;
    default:
      return historicalMigration ? topics.historical : topics.main;
  }
}

/** True when {@link topicOf} depends on the historical flag: other events are not historical, whatever their batch says. */
export function mayBeHistorical(event: string): boolean {
  return event !== '$$client_ingestion_warning' && event !== '$exception' && event !== '$$heatmap';
}
