import type { ClickHouse } from '../../src/clickhouse/port.ts';
import type { RowWriterDeps, RowWriterOptions } from '../row-writer/options.ts';

export interface ClickHouseWriterDeps extends RowWriterDeps {
  readonly clickhouse: ClickHouse;
  readonly options: ClickHouseWriterOptions;
}

/** A block is what a flight carries of event rows: the limits are its own. */
export interface ClickHouseWriterOptions extends RowWriterOptions {
  /** @defaultValue 16 MiB */
  readonly maxRowBytes?: number;
  /** @defaultValue 100, as max_partitions_per_insert_block */
  readonly maxTablePartitionsCount?: number;
}
