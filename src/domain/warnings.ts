import { cut, toJsonText } from './strings.ts';

/**
 * Ingestion warnings (4.5): what a team is told about its own data. Rows go to `ingestion_warnings`; those without
 * `alwaysSend` are shown once per hour and (team, type, debounce key) (W-1).
 */
export type WarningType =
  | 'skipping_event_invalid_uuid'
  | 'skipping_event_invalid_distinct_id'
  | 'invalid_event_when_process_person_profile_is_false'
  | 'invalid_process_person_profile'
  | 'client_ingestion_warning'
  | 'ignored_invalid_timestamp'
  | 'event_timestamp_in_future'
  | 'cannot_merge_with_illegal_distinct_id'
  | 'cannot_merge_already_identified'
  | 'message_size_too_large'
  | 'ingestion_capacity_overflow'
  | 'invalid_heatmap_data'
  | 'group_key_too_long'
  | 'event_dropped_too_old'
  | 'person_properties_size_violation';

export interface WarningRule {
  /** True: never debounced. */
  readonly alwaysSend: boolean;
  /** Name of the detail that is part of the debounce key; undefined: team and type are the whole key. */
  readonly debounceBy: string | undefined;
}

const always: WarningRule = { alwaysSend: true, debounceBy: undefined };
const hourly: WarningRule = { alwaysSend: false, debounceBy: undefined };

/** The table of rule W-1. */
export const WARNING_RULES: Readonly<Record<WarningType, WarningRule>> = {
  skipping_event_invalid_uuid: hourly,
  skipping_event_invalid_distinct_id: hourly,
  invalid_event_when_process_person_profile_is_false: always,
  invalid_process_person_profile: hourly,
  client_ingestion_warning: always,
  ignored_invalid_timestamp: hourly,
  event_timestamp_in_future: hourly,
  cannot_merge_with_illegal_distinct_id: always,
  cannot_merge_already_identified: always,
  message_size_too_large: hourly,
  ingestion_capacity_overflow: { alwaysSend: false, debounceBy: 'overflowDistinctId' },
  invalid_heatmap_data: hourly,
  group_key_too_long: hourly,
  event_dropped_too_old: hourly,
  person_properties_size_violation: hourly,
};

/** A warning without its team and time, which whoever sends it adds. */
export interface IngestionWarning {
  readonly type: WarningType;
  readonly details: Readonly<Record<string, unknown>>;
  /** Extra part of the debounce key; '' when there is none. */
  readonly debounceKey: string;
  readonly alwaysSend: boolean;
}

/** Longest text kept of one detail: the values come from clients, and a warning must not carry a megabyte of them. Longer objects become cut JSON text. */
const MAX_DETAIL_LENGTH = 1_000;

/** Makes a warning of this type; its debounce key follows from the details and the table. */
export function warning(type: WarningType, details: Readonly<Record<string, unknown>>): IngestionWarning {
  const { alwaysSend, debounceBy } = WARNING_RULES[type];
  const short: Record<string, unknown> = {};
  for (const name of Object.keys(details)) {
    short[name] = shortened(details[name]);
  }
  const key = debounceBy === undefined ? '' : short[debounceBy];
  return { type, details: short, debounceKey: typeof key === 'string' ? key : '', alwaysSend };
}

function shortened(detail: unknown): unknown {
  if (typeof detail === 'string') return cut(detail, MAX_DETAIL_LENGTH);
  if (typeof detail !== 'object' || detail === null) return detail;
  const text = toJsonText(detail);
  return text.length > MAX_DETAIL_LENGTH ? cut(text, MAX_DETAIL_LENGTH) : detail;
}
