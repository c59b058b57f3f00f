/** Topics of a capture under test. */
export const TOPICS = {
  main: 'main',
  historical: 'historical',
  clientWarnings: 'warnings',
  exceptions: 'exceptions',
  heatmaps: 'heatmaps',
  overflow: 'overflow',
  recordings: 'recordings',
  recordingsOverflow: 'recordings-overflow',
  deadLetter: 'dead-letters',
};
