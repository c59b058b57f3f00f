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
export function columnsOf(columns: Readonly<Record<string, string>>): { columns: readonly string[]; types: readonly string[] } {
  return { columns: Object.keys(columns), types: Object.values(columns) };
}

const MAX_UINT32 = 0xffff_ffff;

/** Epoch seconds inside DateTime; what is outside is clamped (a broker's clock may be anything). */
export function seconds(epochMs: number): number {
  return Math.min(Math.max(Math.floor(epochMs / 1000), 0), MAX_UINT32);
}
