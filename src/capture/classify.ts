/** Where a record goes (spec/capture.md 6.5): by the kind of its event, or because a stage sent it aside. */
export type Lane =
  'main' | 'overflow' | 'historical' | 'clientWarnings' | 'exceptions' | 'heatmaps' | 'recordings' | 'recordingsOverflow' | 'deadLetter';

/** The topic of each lane (6.6). Several lanes may share one. */
export type CaptureTopics = Readonly<Record<Lane, string>>;

/** The lane of an event. Its name goes before `historical`: first match wins, and other events are not historical, whatever their batch says. */
export function laneOf(event: string, historical: boolean): Lane {
  switch (event) {
    case '$$client_ingestion_warning':
      return 'clientWarnings';
    case '$exception':
      return 'exceptions';
    case '$$heatmap':
      return 'heatmaps';
    default:
      return historical ? 'historical' : 'main';
  }
}
