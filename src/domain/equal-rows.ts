import type { EventRow } from './rows.ts';

/** What says which rows of `events` replace one another, and whose they are. */
export type KeyedRow = Pick<EventRow, 'uuid' | 'event' | 'teamId' | 'distinctId' | 'timestampMs' | 'pending'>;

/**
 * Rows that would be one row to the engine, found before they are stored: `ORDER BY (team_id, toDate(timestamp), event,
 * cityHash64(distinct_id), cityHash64(uuid))`, so equal uuids are not enough (sharp edge 39).
 */
export interface EqualRows {
  /**
   * True when a row with the same key was added. One whose partition was lost since will not be stored, so it stands in nobody's
   * way: after a rebalance its own record comes again.
   */
  has(row: KeyedRow): boolean;
  add(row: KeyedRow): void;
  clear(): void;
}

/** Nearly every uuid is met once, so a whole key is built only for one that is met again. */
export function createEqualRows(): EqualRows {
  const firstOfUuid = new Map<string, KeyedRow>();
  /** The newest row of each key, only of rows whose uuid was met before. */
  const newestOfKey = new Map<string, KeyedRow>();
  return {
    has(row) {
      const first = firstOfUuid.get(row.uuid.toLowerCase());
      if (first === undefined) return false;
      const key = sortingKey(row);
      return [first, newestOfKey.get(key)].some(
        (known) => known !== undefined && known.pending.settlement.active && sortingKey(known) === key,
      );
    },
    add(row) {
      const uuid = row.uuid.toLowerCase();
      if (firstOfUuid.has(uuid)) newestOfKey.set(sortingKey(row), row);
      else firstOfUuid.set(uuid, row);
    },
    clear() {
      firstOfUuid.clear();
      newestOfKey.clear();
    },
  };
}

const DAY_MS = 86_400_000;
/** toDate() is a 16-bit number of days, and stays at its ends. */
const LAST_DAY = 0xffff;

/** toDate(timestamp) */
export function dayOf(epochMs: number): number {
  return Math.min(Math.max(Math.floor(epochMs / DAY_MS), 0), LAST_DAY);
}

function sortingKey(row: KeyedRow): string {
  return `${row.uuid.toLowerCase()}\0${row.teamId}\0${dayOf(row.timestampMs)}\0${row.event}\0${row.distinctId}`;
}
