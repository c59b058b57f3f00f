import type { EventRow } from './rows.ts';
import { MAX_STORED_MS, MIN_STORED_MS } from './time.ts';

/**
 * Why a row cannot be stored as it is; undefined when it can. Asked before a row is encoded: binary rows are not looked at by the
 * engine, and a JSON row that the Kafka engine cannot read is skipped by it in silence.
 */
export function rowFault(row: EventRow): string | undefined {
  if (!isTime(row.timestampMs)) return `timestamp ${row.timestampMs} is outside of what ClickHouse holds`;
  if (!isTime(row.createdAtMs)) return `created_at ${row.createdAtMs} is outside of what ClickHouse holds`;
  if (!isTime(row.personCreatedAtMs)) return `person_created_at ${row.personCreatedAtMs} is outside of what ClickHouse holds`;
  if (row.uuid.length !== 36) return 'uuid is none';
  if (row.personId.length !== 36) return 'person_id is none';
  return undefined;
}

function isTime(epochMs: number): boolean {
  return epochMs >= MIN_STORED_MS && epochMs <= MAX_STORED_MS; // false for NaN
}
