/**
 * The block that is being filled: rows, their bytes, and what the engine would make of them together. Pure but for the
 * buffer behind the builder.
 *
 * B1 Rows of one distinct_id in a block are of one table partition. The engine stores a block partition by partition, so a
 *    later event could be stored and an earlier one not, when the engine or we die in between; the next owner would then
 *    replay the earlier event alone, after the later one (delivery.md section 2: stored offsets are a prefix).
 */
import type { TraceContext } from '../../src/domain/event.ts';
import { createEqualRows, dayOf, type EqualRows, type KeyedRow } from '../../src/domain/equal-rows.ts';
import { rowFault } from '../../src/domain/row-fault.ts';
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
export type HeldRow = KeyedRow;

export interface OpenBlock {
  readonly builder: BlockBuilder<EventRow>;
  readonly rows: HeldRow[];
  readonly equalRows: EqualRows;
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
    equalRows: createEqualRows(),
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
  block.equalRows.clear();
  block.days.clear();
  block.months.clear();
  block.monthOfId = undefined;
  block.traces.length = 0;
}

/** Adds a row, or says why not. Everything but 'taken' leaves the block as it was. */
export function offerRow(block: OpenBlock, row: EventRow, limits: BlockLimits): Offer {
  const invalid = rowFault(row);
  if (invalid !== undefined) return { type: 'refused', detail: invalid };
  if (isFull(block, limits)) return { type: 'no-room' };
  if (block.equalRows.has(row)) return { type: 'duplicate' };
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
  const { uuid, event, teamId, distinctId, timestampMs, pending } = row;
  const held = { uuid, event, teamId, distinctId, timestampMs, pending };
  block.rows.push(held);
  block.equalRows.add(held);
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

/** toYYYYMM(timestamp), the table's partition. Counted per real month: at the ends of Date that is too many, never too few. */
function monthOf(epochMs: number): number {
  const date = new Date(epochMs);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}
