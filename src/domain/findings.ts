/**
 * What rules come across in events and an operator may want to count: neither an outcome nor a warning of one event. Noted by name
 * while events pass, stated for many of them at once.
 */
export type Finding =
  | 'set-outside-person-event' // K-23
  | 'surrogates-substituted' // N-21, once per text
  | 'timestamp-ignored' // TS-9: warning ignored_invalid_timestamp
  | 'timestamp-in-future' // TS-9: warning event_timestamp_in_future
  | 'elements' // E-1
  | 'elements-chain' // E-1
  | 'heatmap-invalid_distinct_id' // H-3
  | 'heatmap-invalid_viewport_dimensions' // H-3
  | 'exception-without-fingerprint'; // nothing to make one of
