import type { EventRow, SideRow } from '../domain/rows.ts';
import { escapeLoneSurrogates } from '../domain/strings.ts';
import type { RowBinaryWriter } from './row-binary.ts';

/** How rows of one table become bytes. `columns` is the order of the bytes, and what INSERT must name. */
export interface RowEncoder<Row> {
  readonly table: string;
  readonly columns: readonly string[];
  /** The type that each column's bytes are of; a table whose column has another is refused at start (schema.ts). */
  readonly types: readonly string[];
  encode(writer: RowBinaryWriter, row: Row): void;
}

/** Column names and types in one list, so that they cannot drift apart. */
function columnsOf(columns: Readonly<Record<string, string>>): { columns: readonly string[]; types: readonly string[] } {
  return { columns: Object.keys(columns), types: Object.values(columns) };
}

const PERSON_MODES = { full: 0, propertyless: 1, force_upgrade: 2 } as const;
const MAX_UINT32 = 0xffff_ffff;

/** Epoch seconds inside DateTime; what is outside is clamped (a broker's clock may be anything). */
function seconds(epochMs: number): number {
  return Math.min(Math.max(Math.floor(epochMs / 1000), 0), MAX_UINT32);
}

/**
 * `events` (spec/ingestion.md 4.1) with the place it came from (delivery.md section 3). `_timestamp` is the record's own,
 * so that a replayed record makes the same row and the same version.
 */
export const EVENT_ENCODER: RowEncoder<EventRow> = {
  table: 'events',
  ...columnsOf({
    uuid: 'UUID',
    event: 'String',
    properties: 'String',
    timestamp: 'DateTime64(6)',
    team_id: 'Int64',
    distinct_id: 'String',
    elements_chain: 'String',
    created_at: 'DateTime64(6)',
    person_id: 'UUID',
    person_created_at: 'DateTime64(3)',
    person_properties: 'String',
    person_mode: "Enum8('full' = 0, 'propertyless' = 1, 'force_upgrade' = 2)",
    _timestamp: 'DateTime',
    _topic: 'String',
    _partition: 'UInt64',
    _offset: 'UInt64',
  }),
  encode(writer, row) {
    const { settlement, offset, timestampMs } = row.pending;
    writer.uuid(row.uuid);
    writer.string(escapeLoneSurrogates(row.event));
    writer.string(row.properties);
    writer.microseconds(row.timestampMs);
    writer.int64(row.teamId);
    writer.string(escapeLoneSurrogates(row.distinctId));
    writer.string(escapeLoneSurrogates(row.elementsChain));
    writer.microseconds(row.createdAtMs);
    writer.uuid(row.personId);
    writer.milliseconds(Math.floor(row.personCreatedAtMs / 1000) * 1000);
    writer.string(row.personProperties);
    writer.uint8(PERSON_MODES[row.personMode]);
    writer.uint32(seconds(timestampMs));
    writer.string(settlement.topic);
    writer.int64(settlement.partition);
    writer.int64(offset);
  },
};

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

/** Every table that Troupe writes. */
export const ENCODERS = [EVENT_ENCODER, PERSON_ENCODER, DISTINCT_ID_ENCODER, OVERRIDE_ENCODER, GROUP_ENCODER, WARNING_ENCODER] as const;
