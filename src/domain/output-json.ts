import { clickHouseMs, clickHouseSeconds } from './clickhouse-time.ts';
import type { Json } from './event.ts';
import { asJsonObject } from './json.ts';
import { asJsonb } from './jsonb.ts';
import type { EventRow, SideRow } from './rows.ts';
import { escapeLoneSurrogates } from './strings.ts';

/**
 * Rows as the JSON of PostHog's output topics (spec/ingestion.md section 4), which ClickHouse reads as JSONEachRow: properties and
 * details are JSON inside a JSON string, flags are 0 or 1, times have no zone (sharp edges 19, 20).
 *
 * The outer object is put together by hand: the large fields are text already, and JSON.stringify escapes one string faster than it
 * walks an object (docs/measured.md).
 */

const quoted = JSON.stringify as (text: string) => string;
/** N-21: half a character in a text column would be a character that nobody sent. */
const text = (value: string): string => quoted(escapeLoneSurrogates(value));
const flag = (value: boolean): 0 | 1 => (value ? 1 : 0);

/** `clickhouse_events_json` (4.1). Ids are UUIDs and are not escaped: see rowFault. */
export function eventJson(row: EventRow): string {
  return (
    `{"uuid":"${row.uuid}","event":${text(row.event)},"properties":${quoted(row.properties)},"timestamp":"${clickHouseMs(row.timestampMs)}",` +
    `"team_id":${row.teamId},"distinct_id":${text(row.distinctId)},"elements_chain":${text(row.elementsChain)},` +
    `"created_at":"${clickHouseMs(row.createdAtMs)}","person_id":"${row.personId}","person_properties":${quoted(row.personProperties)},` +
    `"person_created_at":"${clickHouseSeconds(row.personCreatedAtMs)}","person_mode":"${row.personMode}"}`
  );
}

type SideRowOf<Table extends SideRow['table']> = Extract<SideRow, { readonly table: Table }>;
type SideJson = { readonly [Table in SideRow['table']]: (row: SideRowOf<Table>) => string };

const SIDE_JSON: SideJson = {
  // 4.2
  person: (row) =>
    `{"id":"${row.id}","created_at":"${clickHouseSeconds(row.createdAtMs)}","properties":${quoted(row.properties)},"team_id":${row.teamId},` +
    `"is_identified":${flag(row.isIdentified)},"is_deleted":${flag(row.isDeleted)},"version":${row.version}}`,
  // 4.3
  person_distinct_id2: (row) =>
    `{"person_id":"${row.personId}","team_id":${row.teamId},"distinct_id":${text(row.distinctId)},"version":${row.version},` +
    `"is_deleted":${flag(row.isDeleted)}}`,
  // 4.4
  groups: (row) =>
    `{"group_type_index":${row.groupTypeIndex},"group_key":${text(row.groupKey)},"team_id":${row.teamId},` +
    `"group_properties":${quoted(row.properties)},"created_at":"${clickHouseSeconds(row.createdAtMs)}","version":${row.version}}`,
  // 4.5
  ingestion_warnings: (row) =>
    `{"team_id":${row.teamId},"type":${text(row.type)},"source":"plugin-server","details":${quoted(row.details)},` +
    `"timestamp":"${clickHouseMs(row.timestampMs)}"}`,
  // 4.6
  plugin_log_entries: (row) =>
    `{"source":"${row.source}","type":"${row.type}","id":"${row.id}","team_id":${row.teamId},"plugin_id":${row.pluginId},` +
    `"plugin_config_id":${row.pluginConfigId},"timestamp":"${clickHouseMs(row.timestampMs)}","message":${text(row.message)},` +
    `"instance_id":"${row.instanceId}"}`,
  events_dead_letter_queue: deadLetterJson,
  app_metrics: appMetricJson,
  // 4.9, H-4
  heatmaps: (row) =>
    `{"type":${text(row.type)},"x":${row.x},"y":${row.y},"pointer_target_fixed":${row.pointerTargetFixed},` +
    `"viewport_height":${row.viewportHeight},"viewport_width":${row.viewportWidth},"current_url":${text(row.currentUrl)},` +
    `"session_id":${text(row.sessionId)},"scale_factor":${row.scaleFactor},"timestamp":"${clickHouseMs(row.timestampMs)}",` +
    `"team_id":${row.teamId},"distinct_id":${text(row.distinctId)}}`,
};

/** A side row as the JSON of its topic. */
export function sideJson(row: SideRow): string {
  const write = SIDE_JSON[row.table] as (row: SideRow) => string; // the table picks the function for its own row
  return write(row);
}

/** 4.7: the fields of the event, unknown ones too, and over them what the row itself says. */
function deadLetterJson(row: SideRowOf<'events_dead_letter_queue'>): string {
  return JSON.stringify({
    ...leftOver(row.rawPayload),
    elements_chain: escapeLoneSurrogates(row.elementsChain),
    created_at: clickHouseMs(row.createdAtMs),
    event: escapeLoneSurrogates(row.event),
    distinct_id: escapeLoneSurrogates(row.distinctId),
    site_url: escapeLoneSurrogates(row.siteUrl),
    ip: escapeLoneSurrogates(row.ip),
    id: row.id,
    event_uuid: row.eventUuid,
    properties: row.properties,
    now: row.nowMs === undefined ? null : clickHouseSeconds(row.nowMs),
    error_timestamp: clickHouseSeconds(row.errorTimestampMs),
    raw_payload: escapeLoneSurrogates(row.rawPayload),
    error_location: row.errorLocation,
    error: escapeLoneSurrogates(row.error),
    tags: row.tags,
    team_id: row.teamId,
  });
}

/**
 * Of the event: all but its times. What could not be read as an event has no fields. Without lone surrogates: ClickHouse would not
 * read the row, though it looks for none of these fields (measured).
 */
function leftOver(rawPayload: string): Readonly<Json> {
  const { now: _now, sent_at: _sentAt, timestamp: _timestamp, ...fields } = asJsonObject(JSON.parse(asJsonb(rawPayload))) ?? {};
  return fields;
}

/** 4.8: the error's fields are there when there was one. */
function appMetricJson({ error, ...row }: SideRowOf<'app_metrics'>): string {
  return JSON.stringify({
    timestamp: clickHouseMs(row.timestampMs),
    team_id: row.teamId,
    plugin_config_id: row.pluginConfigId,
    job_id: row.jobId ?? null,
    category: row.category,
    successes: row.successes,
    successes_on_retry: row.successesOnRetry,
    failures: row.failures,
    error_uuid: error?.uuid,
    error_type: error === undefined ? undefined : escapeLoneSurrogates(error.type),
    error_details: error === undefined ? undefined : escapeLoneSurrogates(error.details),
  });
}
