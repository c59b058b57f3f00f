/**
 * The block that is being filled: rows, their bytes, and what the engine would make of them together. Pure but for the
 * buffer behind the builder.
 *
 * B1 Rows of one distinct_id in a block are of one table partition. The engine stores a block partition by partition, so a
 *    later event could be stored and an earlier one not, when the engine or we die in between; the next owner would then
 *    replay the earlier event alone, after the later one (delivery.md section 2: stored offsets are a prefix).
 */
import type { TraceContext } from '../../src/domain/event.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import type { BlockBuilder } from '../../src/clickhouse/port.ts';

export interface BlockLimits {
  readonly maxRowsCount: number;
  readonly maxBytes: number;
  /** A row above it is the event's own fault, never a reason to grow a block without end. */
  readonly maxRowBytes: number;
  /** ClickHouse refuses an insert that touches more table partitions (max_partitions_per_insert_block). */
  readonly maxTablePartitionsCount: number;
}

export type Offer =
  | { readonly type: 'taken' }
  /** The block is full: offer the row to the next one. */
  | { readonly type: 'no-room' }
  /** A row with the same sorting key is in the block; the engine would keep one of them. */
  | { readonly type: 'duplicate' }
  | { readonly type: 'too-large'; readonly bytes: number }
  | { readonly type: 'refused'; readonly detail: string };

/** What is kept of a row once its bytes are in the buffer: its texts are the most of what an event in flight weighs. */
export type HeldRow = Pick<EventRow, 'uuid' | 'event' | 'teamId' | 'distinctId' | 'timestampMs' | 'pending'>;

export interface OpenBlock {
  readonly builder: BlockBuilder<EventRow>;
  readonly rows: HeldRow[];
  /** Index of the first row with each uuid. */
  readonly indexOfUuid: Map<string, number>;
  /** Index of the newest row with each whole sorting key, only of rows whose uuid was met before. */
  readonly fullKeys: Map<string, number>;
  readonly days: Set<number>;
  readonly months: Set<number>;
  /** The table partition of each distinct_id's rows; made when the block has a second one (B1). */
  monthOfId: Map<string, number> | undefined;
  /** Of sampled events. */
  readonly traces: TraceContext[];
}

export function openBlock(builder: BlockBuilder<EventRow>): OpenBlock {
  return {
    builder,
    rows: [],
    indexOfUuid: new Map(),
    fullKeys: new Map(),
    days: new Set(),
    months: new Set(),
    monthOfId: undefined,
    traces: [],
  };
}

/** Empties the block for the next rows; its buffer stays. */
export function clearBlock(block: OpenBlock): void {
  block.builder.clear();
  block.rows.length = 0;
  block.indexOfUuid.clear();
  block.fullKeys.clear();
  block.days.clear();
  block.months.clear();
  block.monthOfId = undefined;
  block.traces.length = 0;
}

/** Adds a row, or says why not. Everything but 'taken' leaves the block as it was. */
export function offerRow(block: OpenBlock, row: EventRow, limits: BlockLimits): Offer {
  const invalid = invalidity(row);
  if (invalid !== undefined) return { type: 'refused', detail: invalid };
  if (isFull(block, limits)) return { type: 'no-room' };
  if (isDuplicate(block, row)) return { type: 'duplicate' };
  const day = dayOf(row.timestampMs);
  if (!block.days.has(day) || block.months.size > 1) {
    const month = monthOf(row.timestampMs);
    if (!block.months.has(month) && block.months.size >= limits.maxTablePartitionsCount) return { type: 'no-room' };
    if (isOfAnotherMonth(block, row, month)) return { type: 'no-room' };
    block.days.add(day);
    block.months.add(month);
  }
  const bytes = block.builder.append(row);
  if (bytes > limits.maxRowBytes) {
    block.builder.dropLast();
    return { type: 'too-large', bytes };
  }
  noteKey(block, row);
  const { uuid, event, teamId, distinctId, timestampMs, pending } = row;
  block.rows.push({ uuid, event, teamId, distinctId, timestampMs, pending });
  if (row.pending.trace !== undefined) block.traces.push(row.pending.trace);
  return { type: 'taken' };
}

export function isFull(block: OpenBlock, limits: BlockLimits): boolean {
  return block.builder.rowCount >= limits.maxRowsCount || block.builder.byteCount >= limits.maxBytes;
}

/** B1. Nearly all blocks are of one month and cost nothing here. Notes the row's month: the caller takes it, or empties the block. */
function isOfAnotherMonth(block: OpenBlock, row: EventRow, month: number): boolean {
  if (block.months.size === 0 || (block.months.size === 1 && block.months.has(month))) return false;
  block.monthOfId ??= new Map(block.rows.map((one) => [idOf(one), monthOf(one.timestampMs)]));
  const known = block.monthOfId.get(idOf(row));
  block.monthOfId.set(idOf(row), known ?? month);
  return known !== undefined && known !== month;
}

const idOf = ({ teamId, distinctId }: HeldRow): string => `${teamId}:${distinctId}`;

/** What DateTime64 holds: 1900-01-01 to 2299-12-31. */
const EARLIEST_MS = Date.UTC(1900, 0, 1);
const LATEST_MS = Date.UTC(2300, 0, 1) - 1;

/** Binary rows are not looked at by the engine: a time that does not fit would be stored as another one. */
function invalidity(row: EventRow): string | undefined {
  if (!isTime(row.timestampMs)) return `timestamp ${row.timestampMs} is outside of what ClickHouse holds`;
  if (!isTime(row.createdAtMs)) return `created_at ${row.createdAtMs} is outside of what ClickHouse holds`;
  if (!isTime(row.personCreatedAtMs)) return `person_created_at ${row.personCreatedAtMs} is outside of what ClickHouse holds`;
  if (row.uuid.length !== 36) return 'uuid is none';
  if (row.personId.length !== 36) return 'person_id is none';
  return undefined;
}

function isTime(epochMs: number): boolean {
  return epochMs >= EARLIEST_MS && epochMs <= LATEST_MS; // false for NaN
}

const DAY_MS = 86_400_000;
/** toDate() is a 16-bit number of days, and stays at its ends. */
const LAST_DAY = 0xffff;

function dayOf(epochMs: number): number {
  return Math.min(Math.max(Math.floor(epochMs / DAY_MS), 0), LAST_DAY);
}

/** toYYYYMM(timestamp), the table's partition. Counted per real month: at the ends of Date that is too many, never too few. */
function monthOf(epochMs: number): number {
  const date = new Date(epochMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** ORDER BY (team_id, toDate(timestamp), event, cityHash64(distinct_id), cityHash64(uuid)) */
function sortingKey(row: HeldRow): string {
  return `${row.uuid.toLowerCase()}\0${row.teamId}\0${dayOf(row.timestampMs)}\0${row.event}\0${row.distinctId}`;
}

/**
 * Nearly every uuid is met once, so the whole key is built only for one that is met again. A row of a partition that was lost will
 * not be stored (W9), so it stands in nobody's way: after a rebalance its own record comes again.
 */
function isDuplicate(block: OpenBlock, row: EventRow): boolean {
  const first = block.indexOfUuid.get(row.uuid.toLowerCase());
  if (first === undefined) return false;
  const key = sortingKey(row);
  return [first, block.fullKeys.get(key)].some((index) => {
    const known = index === undefined ? undefined : block.rows[index];
    return known !== undefined && known.pending.settlement.active && sortingKey(known) === key;
  });
}

function noteKey(block: OpenBlock, row: EventRow): void {
  const uuid = row.uuid.toLowerCase();
  if (block.indexOfUuid.has(uuid)) block.fullKeys.set(sortingKey(row), block.rows.length);
  else block.indexOfUuid.set(uuid, block.rows.length);
}
