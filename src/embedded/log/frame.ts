import { crc32 } from 'node:zlib';
import type { KafkaRecord, OutgoingRecord } from '../../kafka/port.ts';

/**
 * A frame is one produced batch on disk, little endian:
 *
 *     0        4        8         12         16               24               32
 *     | body   | crc32  | record  | format   | offset of the  | wall time of   | body …
 *     | bytes  | of 8…  | count   | version  | first record   | the append, ms |
 *
 * and a record in the body is `keyBytes valueBytes headerCount key value (nameBytes valueBytes name value)*`, where a
 * size of -1 is null. The sum covers everything after itself, so that a torn, zeroed or misplaced frame never reads as
 * a good one; the offset in it must also follow on from the frame before.
 */
export const FRAME_HEADER_BYTES = 32;
const FORMAT = 1;
const NULL_SIZE = -1;

export interface FrameHeader {
  readonly bytes: number;
  readonly count: number;
  readonly baseOffset: number;
  readonly timestampMs: number;
}

/** Bytes that a record takes in a frame. */
export function recordBytes(record: OutgoingRecord): number {
  let bytes = 10 + (record.key?.length ?? 0) + record.value.length;
  for (const name in record.headers) {
    const value = record.headers[name];
    if (value !== undefined) bytes += 6 + Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  return bytes;
}

/** Lays out records in a frame of `bodyBytes` (the sum of {@link recordBytes}); {@link sealFrame} completes it. */
export function encodeFrame(records: readonly OutgoingRecord[], bodyBytes: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bodyBytes);
  let at = FRAME_HEADER_BYTES;
  for (const record of records) {
    frame.writeInt32LE(record.key?.length ?? NULL_SIZE, at);
    frame.writeInt32LE(record.value.length, at + 4);
    const headerCountAt = at + 8;
    at += 10;
    if (record.key !== null) at += record.key.copy(frame, at);
    at += record.value.copy(frame, at);
    let headerCount = 0;
    for (const name in record.headers) {
      const value = record.headers[name];
      if (value === undefined) continue;
      headerCount++;
      const nameBytes = frame.write(name, at + 6);
      const valueAt = at + 6 + nameBytes;
      const valueBytes = typeof value === 'string' ? frame.write(value, valueAt) : value.copy(frame, valueAt);
      frame.writeUInt16LE(nameBytes, at);
      frame.writeInt32LE(valueBytes, at + 2);
      at = valueAt + valueBytes;
    }
    frame.writeUInt16LE(headerCount, headerCountAt);
  }
  frame.writeUInt32LE(bodyBytes, 0);
  frame.writeUInt32LE(records.length, 8);
  frame.writeUInt32LE(FORMAT, 12);
  return frame;
}

/** Gives the frame its place and its sum. May be repeated: a frame whose write failed is sealed again for another place. */
export function sealFrame(frame: Buffer, baseOffset: number, timestampMs: number): void {
  frame.writeBigUInt64LE(BigInt(baseOffset), 16);
  frame.writeDoubleLE(timestampMs, 24);
  frame.writeUInt32LE(crc32(frame.subarray(8)), 4);
}

/** Reads the header at `at`; undefined when fewer bytes than a header are there, or they are no header. */
export function readHeader(buffer: Buffer, at: number): FrameHeader | undefined {
  if (buffer.length - at < FRAME_HEADER_BYTES) return undefined;
  const count = buffer.readUInt32LE(at + 8);
  if (count === 0 || buffer.readUInt32LE(at + 12) !== FORMAT) return undefined;
  return {
    bytes: FRAME_HEADER_BYTES + buffer.readUInt32LE(at),
    count,
    baseOffset: Number(buffer.readBigUInt64LE(at + 16)),
    timestampMs: buffer.readDoubleLE(at + 24),
  };
}

/** True when the whole frame is there and its sum is right. */
export function isSound(buffer: Buffer, at: number, header: FrameHeader): boolean {
  const end = at + header.bytes;
  return end <= buffer.length && crc32(buffer.subarray(at + 8, end)) === buffer.readUInt32LE(at + 4);
}

/** Appends the frame's records at or after `fromOffset` to `into`. Keys and values are views of `buffer`. */
export function decodeFrame(buffer: Buffer, frameAt: number, header: FrameHeader, fromOffset: number, into: KafkaRecord[]): void {
  let at = frameAt + FRAME_HEADER_BYTES;
  const take = (bytes: number): Buffer => buffer.subarray(at, (at += bytes));
  for (let index = 0; index < header.count; index++) {
    const keyBytes = buffer.readInt32LE(at);
    const valueBytes = buffer.readInt32LE(at + 4);
    const headerCount = buffer.readUInt16LE(at + 8);
    at += 10;
    const key = keyBytes === NULL_SIZE ? null : take(keyBytes);
    const value = take(valueBytes);
    const headers: Record<string, Buffer> | undefined = headerCount === 0 ? undefined : {};
    for (let left = headerCount; left > 0 && headers !== undefined; left--) {
      const nameBytes = buffer.readUInt16LE(at);
      const headerBytes = buffer.readInt32LE(at + 2);
      at += 6;
      const name = take(nameBytes).toString();
      headers[name] = take(headerBytes);
    }
    const offset = header.baseOffset + index;
    if (offset >= fromOffset) into.push({ offset, key, value, headers, timestampMs: header.timestampMs });
  }
}
