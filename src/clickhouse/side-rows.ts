import type { SideRow } from '../domain/rows.ts';
import { escapeLoneSurrogates } from '../domain/strings.ts';
import { columnsOf, seconds, type RowEncoder } from './encoder.ts';
import type { RowBinaryWriter } from './row-binary.ts';

type SideRowOf<Table extends SideRow['table']> = Extract<SideRow, { table: Table }>;

/** A side row with the wall time at which it is written, in epoch ms: the version column of `groups`. */
export type Stamped<Row> = Row & { readonly writtenAtMs: number };

export const PERSON_ENCODER: RowEncoder<Stamped<SideRowOf<'person'>>> = {
  table: 'person',
  ...columnsOf({
    id: 'UUID',
    created_at: 'DateTime64(3)',
    team_id: 'Int64',
    properties: 'String',
    is_identified: 'Int8',
    is_deleted: 'Int8',
    version: 'UInt64',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.uuid(row.id);
    writer.milliseconds(Math.floor(row.createdAtMs / 1000) * 1000);
    writer.int64(row.teamId);
    writer.string(row.properties);
    writer.uint8(row.isIdentified ? 1 : 0);
    writer.uint8(row.isDeleted ? 1 : 0);
    writer.int64(row.version);
    writer.uint32(seconds(row.writtenAtMs));
  },
};

const DISTINCT_ID_COLUMNS = columnsOf({
  team_id: 'Int64',
  distinct_id: 'String',
  person_id: 'UUID',
  is_deleted: 'Int8',
  version: 'Int64',
  _timestamp: 'DateTime',
});
function encodeDistinctId(writer: RowBinaryWriter, row: Stamped<SideRowOf<'person_distinct_id2'>>): void {
  writer.int64(row.teamId);
  writer.string(escapeLoneSurrogates(row.distinctId));
  writer.uuid(row.personId);
  writer.uint8(row.isDeleted ? 1 : 0);
  writer.int64(row.version);
  writer.uint32(seconds(row.writtenAtMs));
}
export const DISTINCT_ID_ENCODER: RowEncoder<Stamped<SideRowOf<'person_distinct_id2'>>> = {
  table: 'person_distinct_id2',
  ...DISTINCT_ID_COLUMNS,
  encode: encodeDistinctId,
};
export const OVERRIDE_ENCODER: RowEncoder<Stamped<SideRowOf<'person_distinct_id2'>>> = {
  table: 'person_distinct_id_overrides',
  ...DISTINCT_ID_COLUMNS,
  encode: encodeDistinctId,
};

export const GROUP_ENCODER: RowEncoder<Stamped<SideRowOf<'groups'>>> = {
  table: 'groups',
  ...columnsOf({
    group_type_index: 'UInt8',
    group_key: 'String',
    created_at: 'DateTime64(3)',
    team_id: 'Int64',
    group_properties: 'String',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.uint8(row.groupTypeIndex);
    writer.string(escapeLoneSurrogates(row.groupKey));
    writer.milliseconds(Math.floor(row.createdAtMs / 1000) * 1000);
    writer.int64(row.teamId);
    writer.string(row.properties);
    writer.uint32(seconds(row.writtenAtMs));
  },
};

export const WARNING_ENCODER: RowEncoder<Stamped<SideRowOf<'ingestion_warnings'>>> = {
  table: 'ingestion_warnings',
  ...columnsOf({
    team_id: 'Int64',
    source: 'String',
    type: 'String',
    details: 'String',
    timestamp: 'DateTime64(6)',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.int64(row.teamId);
    writer.string('plugin-server'); // what PostHog's own tools filter by
    writer.string(row.type);
    writer.string(row.details);
    writer.microseconds(row.timestampMs);
    writer.uint32(seconds(row.writtenAtMs));
  },
};

/** `heatmaps` (spec/ingestion.md 2.11, 4.9). */
export const HEATMAP_ENCODER: RowEncoder<Stamped<SideRowOf<'heatmaps'>>> = {
  table: 'heatmaps',
  ...columnsOf({
    session_id: 'String',
    team_id: 'Int64',
    distinct_id: 'String',
    timestamp: 'DateTime64(6)',
    x: 'Int16',
    y: 'Int16',
    scale_factor: 'Int16',
    viewport_width: 'Int16',
    viewport_height: 'Int16',
    pointer_target_fixed: 'Int8',
    current_url: 'String',
    type: 'String',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.string(escapeLoneSurrogates(row.sessionId));
    writer.int64(row.teamId);
    writer.string(escapeLoneSurrogates(row.distinctId));
    writer.microseconds(row.timestampMs);
    writer.int16(row.x);
    writer.int16(row.y);
    writer.int16(row.scaleFactor);
    writer.int16(row.viewportWidth);
    writer.int16(row.viewportHeight);
    writer.uint8(row.pointerTargetFixed ? 1 : 0);
    writer.string(escapeLoneSurrogates(row.currentUrl));
    writer.string(escapeLoneSurrogates(row.type));
    writer.uint32(seconds(row.writtenAtMs));
  },
};

/** 4.7: these columns have the precision of PostHog's JSON, whichever way the row came. */
const wholeSecond = (epochMs: number): number => Math.floor(epochMs / 1000) * 1000;

/** `events_dead_letter_queue` (4.7). */
export const DEAD_LETTER_ENCODER: RowEncoder<Stamped<SideRowOf<'events_dead_letter_queue'>>> = {
  table: 'events_dead_letter_queue',
  ...columnsOf({
    id: 'UUID',
    event_uuid: 'UUID',
    event: 'String',
    properties: 'String',
    distinct_id: 'String',
    team_id: 'Int64',
    elements_chain: 'String',
    created_at: 'DateTime64(6)',
    ip: 'String',
    site_url: 'String',
    now: 'DateTime64(6)',
    raw_payload: 'String',
    error_timestamp: 'DateTime64(6)',
    error_location: 'String',
    error: 'String',
    tags: 'Array(String)',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.uuid(row.id);
    writer.uuid(row.eventUuid);
    writer.string(escapeLoneSurrogates(row.event));
    writer.string(row.properties);
    writer.string(escapeLoneSurrogates(row.distinctId));
    writer.int64(row.teamId);
    writer.string(escapeLoneSurrogates(row.elementsChain));
    writer.microseconds(row.createdAtMs);
    writer.string(escapeLoneSurrogates(row.ip));
    writer.string(escapeLoneSurrogates(row.siteUrl));
    writer.microseconds(wholeSecond(row.nowMs ?? 0));
    writer.string(escapeLoneSurrogates(row.rawPayload));
    writer.microseconds(wholeSecond(row.errorTimestampMs));
    writer.string(row.errorLocation);
    writer.string(escapeLoneSurrogates(row.error));
    writer.strings(row.tags);
    writer.uint32(seconds(row.writtenAtMs));
  },
};

const NO_UUID = '00000000-0000-0000-0000-000000000000';

/** `app_metrics` (4.8); PostHog's table sums rows of one hour, so at-least-once may count a run twice after a crash. */
export const APP_METRIC_ENCODER: RowEncoder<Stamped<SideRowOf<'app_metrics'>>> = {
  table: 'app_metrics',
  ...columnsOf({
    team_id: 'Int64',
    timestamp: 'DateTime64(6)',
    plugin_config_id: 'Int64',
    category: 'String',
    job_id: 'String',
    successes: 'Int64',
    successes_on_retry: 'Int64',
    failures: 'Int64',
    error_uuid: 'UUID',
    error_type: 'String',
    error_details: 'String',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.int64(row.teamId);
    writer.microseconds(row.timestampMs);
    writer.int64(row.pluginConfigId);
    writer.string(row.category);
    writer.string(row.jobId ?? '');
    writer.int64(row.successes);
    writer.int64(row.successesOnRetry);
    writer.int64(row.failures);
    writer.uuid(row.error?.uuid ?? NO_UUID);
    writer.string(escapeLoneSurrogates(row.error?.type ?? ''));
    writer.string(escapeLoneSurrogates(row.error?.details ?? ''));
    writer.uint32(seconds(row.writtenAtMs));
  },
};

/** `plugin_log_entries` (4.6). */
export const PLUGIN_LOG_ENCODER: RowEncoder<Stamped<SideRowOf<'plugin_log_entries'>>> = {
  table: 'plugin_log_entries',
  ...columnsOf({
    id: 'UUID',
    team_id: 'Int64',
    plugin_id: 'Int64',
    plugin_config_id: 'Int64',
    timestamp: 'DateTime64(6)',
    source: 'String',
    type: 'String',
    message: 'String',
    instance_id: 'UUID',
    _timestamp: 'DateTime',
  }),
  encode(writer, row) {
    writer.uuid(row.id);
    writer.int64(row.teamId);
    writer.int64(row.pluginId);
    writer.int64(row.pluginConfigId);
    writer.microseconds(row.timestampMs);
    writer.string(row.source);
    writer.string(row.type);
    writer.string(escapeLoneSurrogates(row.message));
    writer.uuid(row.instanceId);
    writer.uint32(seconds(row.writtenAtMs));
  },
};
