import type { SideRow } from '../domain/rows.ts';
import {
  cleanText,
  dateTime,
  encoderOf,
  flag,
  int16,
  int64,
  microseconds,
  milliseconds,
  text,
  texts,
  uint64,
  uint8,
  uuid,
  type Column,
} from './columns.ts';
import type { RowEncoder } from './encoder.ts';

export type SideTable = SideRow['table'];
type SideRowOf<Table extends SideTable> = Extract<SideRow, { table: Table }>;

/** A side row with the wall time at which it is written, in epoch ms: the version column of `groups`. */
export type Stamped<Row> = Row & { readonly writtenAtMs: number };
/** A row of one side table, as its encoder takes it. */
export type StampedSideRow<Table extends SideTable> = Stamped<SideRowOf<Table>>;

/** 4.7: some columns have the precision of PostHog's JSON, whichever way the row came. */
const wholeSecond = (epochMs: number): number => Math.floor(epochMs / 1000) * 1000;
const NO_UUID = '00000000-0000-0000-0000-000000000000';

const writtenAt = <Row>(): Column<Stamped<Row>> => dateTime((row) => row.writtenAtMs);

const sideEncoder = <Table extends SideTable>(
  table: Table,
  columns: Readonly<Record<string, Column<StampedSideRow<Table>>>>,
): RowEncoder<StampedSideRow<Table>> => encoderOf(table, { ...columns, _timestamp: writtenAt() });

const distinctIds = sideEncoder('person_distinct_id2', {
  team_id: int64((row) => row.teamId),
  distinct_id: text((row) => row.distinctId),
  person_id: uuid((row) => row.personId),
  is_deleted: flag((row) => row.isDeleted),
  version: int64((row) => row.version),
});

/** What is stored of a mapping that was moved to another person as well. */
export const OVERRIDE_ENCODER: typeof distinctIds = { ...distinctIds, table: 'person_distinct_id_overrides' };

/** One for each side table, by its name. */
export const SIDE_ENCODERS: { readonly [Table in SideTable]: RowEncoder<StampedSideRow<Table>> } = {
  person: sideEncoder('person', {
    id: uuid((row) => row.id),
    created_at: milliseconds((row) => wholeSecond(row.createdAtMs)),
    team_id: int64((row) => row.teamId),
    properties: cleanText((row) => row.properties),
    is_identified: flag((row) => row.isIdentified),
    is_deleted: flag((row) => row.isDeleted),
    version: uint64((row) => row.version),
  }),

  person_distinct_id2: distinctIds,

  groups: sideEncoder('groups', {
    group_type_index: uint8((row) => row.groupTypeIndex),
    group_key: text((row) => row.groupKey),
    created_at: milliseconds((row) => wholeSecond(row.createdAtMs)),
    team_id: int64((row) => row.teamId),
    group_properties: cleanText((row) => row.properties),
  }),

  ingestion_warnings: sideEncoder('ingestion_warnings', {
    team_id: int64((row) => row.teamId),
    source: cleanText(() => 'plugin-server'), // what PostHog's own tools filter by
    type: cleanText((row) => row.type),
    details: cleanText((row) => row.details),
    timestamp: microseconds((row) => row.timestampMs),
  }),

  /** Spec/ingestion.md 2.11, 4.9. */
  heatmaps: sideEncoder('heatmaps', {
    session_id: text((row) => row.sessionId),
    team_id: int64((row) => row.teamId),
    distinct_id: text((row) => row.distinctId),
    timestamp: microseconds((row) => row.timestampMs),
    x: int16((row) => row.x),
    y: int16((row) => row.y),
    scale_factor: int16((row) => row.scaleFactor),
    viewport_width: int16((row) => row.viewportWidth),
    viewport_height: int16((row) => row.viewportHeight),
    pointer_target_fixed: flag((row) => row.pointerTargetFixed),
    current_url: text((row) => row.currentUrl),
    type: text((row) => row.type),
  }),

  /** 4.7 */
  events_dead_letter_queue: sideEncoder('events_dead_letter_queue', {
    id: uuid((row) => row.id),
    event_uuid: uuid((row) => row.eventUuid),
    event: text((row) => row.event),
    properties: cleanText((row) => row.properties),
    distinct_id: text((row) => row.distinctId),
    team_id: int64((row) => row.teamId),
    elements_chain: text((row) => row.elementsChain),
    created_at: microseconds((row) => row.createdAtMs),
    ip: text((row) => row.ip),
    site_url: text((row) => row.siteUrl),
    now: microseconds((row) => wholeSecond(row.nowMs ?? 0)),
    raw_payload: text((row) => row.rawPayload),
    error_timestamp: microseconds((row) => wholeSecond(row.errorTimestampMs)),
    error_location: cleanText((row) => row.errorLocation),
    error: text((row) => row.error),
    tags: texts((row) => row.tags),
  }),

  /** 4.8; PostHog's table sums rows of one hour, so at-least-once may count a run twice after a crash. */
  app_metrics: sideEncoder('app_metrics', {
    team_id: int64((row) => row.teamId),
    timestamp: microseconds((row) => row.timestampMs),
    plugin_config_id: int64((row) => row.pluginConfigId),
    category: cleanText((row) => row.category),
    job_id: cleanText((row) => row.jobId ?? ''),
    successes: int64((row) => row.successes),
    successes_on_retry: int64((row) => row.successesOnRetry),
    failures: int64((row) => row.failures),
    error_uuid: uuid((row) => row.error?.uuid ?? NO_UUID),
    error_type: text((row) => row.error?.type ?? ''),
    error_details: text((row) => row.error?.details ?? ''),
  }),

  /** 4.6 */
  plugin_log_entries: sideEncoder('plugin_log_entries', {
    id: uuid((row) => row.id),
    team_id: int64((row) => row.teamId),
    plugin_id: int64((row) => row.pluginId),
    plugin_config_id: int64((row) => row.pluginConfigId),
    timestamp: microseconds((row) => row.timestampMs),
    source: cleanText((row) => row.source),
    type: cleanText((row) => row.type),
    message: text((row) => row.message),
    instance_id: uuid((row) => row.instanceId),
  }),
};
