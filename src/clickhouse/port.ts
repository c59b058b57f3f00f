import type { TopicPartition } from '../domain/ids.ts';
import type { EventRow, SideRow } from '../domain/rows.ts';

/** A half-open range of offsets [from, to). */
export interface OffsetRange {
  readonly from: number;
  readonly to: number;
}

/** One insert: bytes in RowBinary, in the column order of the table's row encoder (rows.ts). */
export interface Block {
  readonly table: string;
  readonly columns: readonly string[];
  readonly body: Buffer;
  readonly rowCount: number;
  /** Names topic, partition and generation, so that a zombie's insert can be found in system.processes (delivery.md 3). */
  readonly queryId: string;
  /** Hash of the offsets in it; a guard against a second copy in flight, never the reason to believe a retry. */
  readonly deduplicationToken: string | undefined;
}

/**
 * The bytes of a block while it fills, with the start of each row kept, so that any part of it can be sent again
 * (bisecting, filling gaps) without encoding anew.
 */
export interface BlockBuilder<Row> {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rowCount: number;
  readonly byteCount: number;
  /** Encodes a row and returns its size in bytes. */
  append(row: Row): number;
  /** Takes the last row away again. */
  dropLast(): void;
  /**
   * The bytes of the rows at `indexes` (ascending). A view when they are neighbours, a copy else; either way valid until
   * the builder is changed.
   */
  body(indexes: readonly number[]): Buffer;
  /** Empties the block; its memory is kept up to what an ordinary block needs. */
  clear(): void;
}

/** Blocks of all side tables, filled from one stream of side rows. */
export interface SideBlocks {
  readonly rowCount: number;
  readonly byteCount: number;
  /** @param writtenAtMs wall time, epoch ms */
  append(row: SideRow, writtenAtMs: number): void;
  /** The blocks that hold rows, in the order in which their tables are to be written. */
  filled(): readonly Omit<BlockBuilder<never>, 'append'>[];
  clear(): void;
}

/** What ClickHouse is to Troupe. All methods that return a promise throw ClickHouseError. */
export interface ClickHouse {
  ping(): Promise<void>;
  /** An empty block of event rows. */
  eventBlock(): BlockBuilder<EventRow>;
  /** Empty blocks of side rows. */
  sideBlocks(): SideBlocks;
  /** Resolves only after a clean 200. async_insert=0, Content-Length set, one block. */
  insert(block: Block): Promise<void>;
  /** Which offsets >= `from` of the partition have a visible row in the events table, as ascending ranges. */
  storedOffsets(partition: TopicPartition, from: number): Promise<readonly OffsetRange[]>;
  /** Which of `offsets` are stored, in the events table. At most 8 partitions a query inside. */
  storedAmong(
    offsets: readonly (TopicPartition & { readonly offsets: readonly number[] })[],
  ): Promise<readonly (TopicPartition & { readonly offsets: ReadonlySet<number> })[]>;
  /**
   * Ends running inserts whose query_id starts with the prefix, or has a part after a '|' that does (insert-id.ts), and
   * resolves when none is left on any replica.
   */
  killInserts(queryIdPrefix: string): Promise<void>;
  query<Row>(sql: string, params?: Readonly<Record<string, unknown>>): Promise<Row[]>;
  command(sql: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * 'unknown': the insert may or may not have happened (timeout, cut connection, codes 159, 209, 319, 394): ask and fill.
 * 'bad-row': the data was refused (6, 27, 53, 117, 26, 33, 252-for-partitions...): bisect. Nothing of this block is known stored.
 * 'unavailable': surely not executed (connection refused, 202, 241, 242, 252, 285): wait and send again.
 * 'misconfigured': needs an operator (60, 16, 516, 497).
 */
export type ClickHouseErrorKind = 'unknown' | 'bad-row' | 'unavailable' | 'misconfigured';
/** Every failure of ClickHouse, classified once (errors.ts). */
export class ClickHouseError extends Error {
  readonly kind: ClickHouseErrorKind;
  /** ClickHouse's error code; undefined when there was no answer. */
  readonly code: number | undefined;
  constructor(kind: ClickHouseErrorKind, message: string, code?: number, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ClickHouseError';
    this.kind = kind;
    this.code = code;
  }
}
