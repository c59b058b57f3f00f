import { crc32 } from 'node:zlib';
import type { OutgoingRecord } from '../../kafka/port.ts';

/** A record that waits for Kafka on disk: what is produced again, and what put it there. */
export interface SpilledRecord extends OutgoingRecord {
  readonly topic: string;
  /** Wall time at which it was spilled. */
  readonly timeMs: number;
  /** What Kafka, or our patience with it, said: a code of ProduceError, 'late'. Of a record that waits behind others, what was said of those. */
  readonly code: string;
  /** The same for people. */
  readonly error: string;
}

/**
 * A segment is a header and frames, one frame for each record, little endian:
 *
 *     header   'TRSPILL1'  salt (8 bytes)
 *     frame    mark        body    crc32   flight   body …
 *              (4 bytes)   bytes   of 12…  at
 *
 * `mark` is the first half of the salt, and the sum begins with the salt. Values hold whatever clients send; none of them can know the
 * salt, so none can pass for a frame when a reader looks for the next sound one behind a hole.
 * `flight at` is where in the file the group commit of the frame began: frames of one flight became durable together, so that a reader can
 * tell an unfinished last flight, which nobody was told of, from damage to something acknowledged.
 */
export const SEGMENT_HEADER_BYTES = 16;
const MAGIC = Buffer.from('TRSPILL1');
const MARK_BYTES = 4;
const FRAME_HEADER_BYTES = 16;
const NONE = -1;

/** What a segment was begun with. */
export type Salt = Buffer;

export function segmentHeader(salt: Salt): Buffer {
  return Buffer.concat([MAGIC, salt]);
}

/** The salt of a segment; undefined when its beginning is not one. */
export function saltOf(segment: Buffer): Salt | undefined {
  if (segment.length < SEGMENT_HEADER_BYTES || !segment.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  return segment.subarray(MAGIC.length, SEGMENT_HEADER_BYTES);
}

/** Lays a record out as a frame without its mark and sum; {@link sealFrame} adds them. */
export function encodeFrame(record: SpilledRecord): Buffer {
  const headers = Object.entries(record.headers ?? {});
  const texts = [record.topic, record.code, record.error].map((text) => Buffer.from(text));
  const named = headers.map(([name, value]) => [Buffer.from(name), typeof value === 'string' ? Buffer.from(value) : value] as const);
  const parts: Buffer[] = [Buffer.allocUnsafe(FRAME_HEADER_BYTES), float(record.timeMs)];
  for (const text of texts) parts.push(...sized(text));
  parts.push(...sized(record.key), ...sized(record.partitionBy), int(record.headers === undefined ? NONE : named.length));
  for (const [name, value] of named) parts.push(...sized(name), ...sized(value));
  parts.push(...sized(record.value));
  const frame = Buffer.concat(parts);
  frame.writeUInt32LE(frame.length - FRAME_HEADER_BYTES, 4);
  return frame;
}

/** Gives a frame its place in a segment. May be repeated, for another segment. */
export function sealFrame(frame: Buffer, salt: Salt, flightAt: number): void {
  salt.copy(frame, 0, 0, MARK_BYTES);
  frame.writeUInt32LE(flightAt, 12);
  frame.writeUInt32LE(crc32(frame.subarray(12), crc32(salt)), 8);
}

/** A sound frame: where it ends, and where its flight began. */
export interface Frame {
  readonly at: number;
  readonly end: number;
  readonly flightAt: number;
}

/** The frame at `at`; undefined when it is not whole, or its sum is wrong. */
export function frameAt(segment: Buffer, at: number, salt: Salt): Frame | undefined {
  if (segment.length - at < FRAME_HEADER_BYTES || salt.compare(segment, at, at + MARK_BYTES, 0, MARK_BYTES) !== 0) return undefined;
  const end = at + FRAME_HEADER_BYTES + segment.readUInt32LE(at + 4);
  if (end > segment.length) return undefined;
  if (crc32(segment.subarray(at + 12, end), crc32(salt)) !== segment.readUInt32LE(at + 8)) return undefined;
  return { at, end, flightAt: segment.readUInt32LE(at + 12) };
}

/** The first sound frame at or after `from`. */
export function nextFrame(segment: Buffer, from: number, salt: Salt): Frame | undefined {
  const mark = salt.subarray(0, MARK_BYTES);
  for (let at = segment.indexOf(mark, from); at >= 0; at = segment.indexOf(mark, at + 1)) {
    const frame = frameAt(segment, at, salt);
    if (frame !== undefined) return frame;
  }
  return undefined;
}

/** The record of a sound frame. Its bytes are views of the segment. */
export function decodeFrame(segment: Buffer, frame: Frame): SpilledRecord {
  let at = frame.at + FRAME_HEADER_BYTES;
  const take = (): Buffer | undefined => {
    const bytes = segment.readInt32LE(at);
    at += 4;
    return bytes === NONE ? undefined : segment.subarray(at, (at += bytes));
  };
  const text = (): string => (take() ?? Buffer.alloc(0)).toString();
  const timeMs = segment.readDoubleLE(at);
  at += 8;
  const topic = text();
  const code = text();
  const error = text();
  const key = take() ?? null;
  const partitionBy = take();
  const headerCount = segment.readInt32LE(at);
  at += 4;
  const headers: [string, Buffer][] = [];
  for (let left = headerCount; left > 0; left--) headers.push([text(), take() ?? Buffer.alloc(0)]);
  const value = take() ?? Buffer.alloc(0);
  return {
    topic,
    timeMs,
    code,
    error,
    key,
    value,
    ...(partitionBy === undefined ? {} : { partitionBy }),
    // fromEntries defines properties: a header by the name of __proto__ is one like another.
    ...(headerCount === NONE ? {} : { headers: Object.fromEntries(headers) }),
  };
}

function sized(bytes: Buffer | null | undefined): Buffer[] {
  return bytes === null || bytes === undefined ? [int(NONE)] : [int(bytes.length), bytes];
}
function int(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32LE(value);
  return bytes;
}
function float(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeDoubleLE(value);
  return bytes;
}
