/** What a topic of section 4 holds, in the words of spec/ingestion.md. */
export interface OutputFields {
  /** The field whose value is the record's key; 'event' for the uuid of the event it came from; undefined: no key. */
  readonly key: string | undefined;
  /** Fields of each record, sorted; those with a question mark only where there was an error. */
  readonly fields: readonly string[];
  /** There may be others. */
  readonly isOpen?: true;
}

const of = (key: string | undefined, fields: string): OutputFields => ({ key, fields: fields.trim().split(/\s+/).sort() });
const EVENT =
  'uuid event properties timestamp team_id distinct_id elements_chain created_at person_id person_properties person_created_at person_mode';

/** 4.1 to 4.9, X-2. */
export const OUTPUT_FIELDS: Readonly<Record<string, OutputFields>> = {
  clickhouse_events_json: of('uuid', EVENT),
  exception_symbolification_events: of('uuid', EVENT),
  clickhouse_person: of(undefined, 'id created_at properties team_id is_identified is_deleted version'),
  clickhouse_person_distinct_id: of(undefined, 'person_id team_id distinct_id version is_deleted'),
  clickhouse_groups: of(undefined, 'group_type_index group_key team_id group_properties created_at version'),
  clickhouse_ingestion_warnings: of(undefined, 'team_id type source details timestamp'),
  plugin_log_entries: of('id', 'source type id team_id plugin_id plugin_config_id timestamp message instance_id'),
  events_dead_letter_queue: {
    ...of(
      undefined,
      `event distinct_id site_url ip id event_uuid properties now error_timestamp raw_payload error_location error tags team_id
       elements_chain created_at`,
    ),
    isOpen: true, // the fields of the event
  },
  clickhouse_app_metrics: of(
    undefined,
    'timestamp team_id plugin_config_id job_id category successes successes_on_retry failures error_uuid? error_type? error_details?',
  ),
  clickhouse_heatmap_events: of(
    'event',
    'type x y pointer_target_fixed viewport_height viewport_width current_url session_id scale_factor timestamp team_id distinct_id',
  ),
};
