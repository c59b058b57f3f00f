import type { EventRow } from '../domain/rows.ts';
import { escapeLoneSurrogates } from '../domain/strings.ts';
import { columnsOf, seconds, type RowEncoder } from './encoder.ts';
import { OVERRIDE_ENCODER, SIDE_ENCODERS } from './side-rows.ts';

const PERSON_MODES = { full: 0, propertyless: 1, force_upgrade: 2 } as const;

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

/** Every table that Troupe writes. */
export const ENCODERS = [EVENT_ENCODER, ...Object.values(SIDE_ENCODERS), OVERRIDE_ENCODER] as const;
