import { uuidFromBytes } from '../../src/domain/uuid.ts';

/** A row as an independent reader of RowBinary sees it: by column name; 64-bit numbers as numbers, arrays as JSON text. */
export type BinaryRow = Readonly<Record<string, string | number>>;

/**
 * Reads RowBinary by the types of its columns. Written from ClickHouse's description of the format and sharing nothing with
 * the encoder, so that the one checks the other.
 * @throws RangeError when the bytes end inside of a row
 */
export function readRowBinary(columns: readonly string[], types: readonly string[], body: Buffer): BinaryRow[] {
  const rows: BinaryRow[] = [];
  let at = 0;

  function take(bytes: number): Buffer {
    if (at + bytes > body.length) throw new RangeError(`the block ends at byte ${body.length}, inside of a row`);
    at += bytes;
    return body.subarray(at - bytes, at);
  }
  function length(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = take(1).readUInt8();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }
  function value(type: string): string | number {
    if (type === 'String') return take(length()).toString('utf8');
    if (type === 'UUID') return uuidFromBytes(Buffer.concat([Buffer.from(take(8)).reverse(), Buffer.from(take(8)).reverse()]));
    if (type === 'DateTime') return take(4).readUInt32LE() * 1000;
    if (type === 'DateTime64(3)') return Number(take(8).readBigInt64LE());
    if (type === 'DateTime64(6)') return Number(take(8).readBigInt64LE() / 1000n);
    if (type === 'Int16') return take(2).readInt16LE();
    if (type === 'Array(String)') return JSON.stringify(Array.from({ length: length() }, () => take(length()).toString('utf8')));
    if (type === 'Int64') return Number(take(8).readBigInt64LE());
    if (type === 'UInt64') return Number(take(8).readBigUInt64LE());
    if (type === 'UInt8') return take(1).readUInt8();
    if (type === 'Int8' || type.startsWith('Enum8')) return take(1).readInt8();
    throw new RangeError(`no reader for ${type}`);
  }

  while (at < body.length) {
    const row: Record<string, string | number> = {};
    columns.forEach((column, i) => {
      row[column] = value(types[i] ?? '');
    });
    rows.push(row);
  }
  return rows;
}
