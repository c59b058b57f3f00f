/** A row of the table of spec/ingestion.md 4.5, in its words. */
export interface WarningRow {
  /** True: always sent. A text: the detail whose value is part of the debounce key. */
  readonly always: boolean | string;
  /** Names of its details, sorted. */
  readonly details: readonly string[];
}

const row = (always: WarningRow['always'], ...details: readonly string[]): WarningRow => ({ always, details: details.toSorted() });

/** The types of October 2024 that ingestion sends; those of newer PostHogs stand in the table without their details. */
export const WARNINGS_4_5: Readonly<Record<string, WarningRow>> = {
  skipping_event_invalid_uuid: row(false, 'eventUuid'),
  invalid_event_when_process_person_profile_is_false: row(true, 'eventUuid', 'event', 'distinctId'),
  invalid_process_person_profile: row(false, 'eventUuid', 'event', 'distinctId', '$process_person_profile', 'message'), // PP-4
  client_ingestion_warning: row(true, 'eventUuid', 'event', 'distinctId', 'message'),
  ignored_invalid_timestamp: row(false, 'eventUuid', 'field', 'value', 'reason'), // TS-2, TS-8
  event_timestamp_in_future: row(false, 'timestamp', 'sentAt', 'offset', 'now', 'result', 'eventUuid', 'eventName'), // TS-7
  cannot_merge_with_illegal_distinct_id: row(true, 'illegalDistinctId', 'otherDistinctId', 'eventUuid'), // 3.5
  cannot_merge_already_identified: row(true, 'sourcePersonDistinctId', 'targetPersonDistinctId', 'eventUuid'),
  message_size_too_large: row(false, 'eventUuid', 'distinctId'),
  ingestion_capacity_overflow: row('overflowDistinctId', 'overflowDistinctId'),
  invalid_heatmap_data: row(false, 'eventUuid'),
};

/** [N] of the same table, and T-8, G-5, Z-3. */
export const NEWER_WARNINGS = [
  'skipping_event_invalid_distinct_id',
  'group_key_too_long',
  'event_dropped_too_old',
  'person_properties_size_violation',
] as const;
