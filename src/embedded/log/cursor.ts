import type { KafkaRecord } from '../../kafka/port.ts';
import type { LogFile, OpenLogFile } from './files.ts';
import { decodeFrame, FRAME_HEADER_BYTES, isSound, readHeader, type FrameHeader } from './frame.ts';
import type { Segment } from './partition.ts';

/** A reading position in one partition. Used by one loop at a time. */
export interface LogCursor {
  /**
   * The next whole frames up to about `maxBytes`, at least one when there is any; empty at the end of the log.
   * @throws Error when a frame's sum is wrong: the disk lost what was acknowledged, which is never skipped over.
   */
  next(maxBytes: number): Promise<readonly KafkaRecord[]>;
  close(): Promise<void>;
}

interface ScannedFrame {
  readonly at: number;
  readonly header: FrameHeader;
  /** Checks the sum; the costly part, so only for who needs it. */
  isSound(): boolean;
}

const SCAN_BYTES = 1 << 20;

/** The frames of a file's first `limitBytes`, from its start. Ends at what is no header, or reaches beyond the limit. */
export async function* scanFrames(file: LogFile, limitBytes: number): AsyncGenerator<ScannedFrame> {
  let chunk: Buffer = Buffer.alloc(0);
  let chunkAt = 0;
  const load = async (from: number, atLeastBytes: number): Promise<void> => {
    chunk = await readFully(file, from, Math.min(Math.max(atLeastBytes, SCAN_BYTES), limitBytes - from));
    chunkAt = from;
  };
  for (let at = 0; limitBytes - at >= FRAME_HEADER_BYTES;) {
    if (chunkAt + chunk.length - at < FRAME_HEADER_BYTES) await load(at, FRAME_HEADER_BYTES);
    const header = readHeader(chunk, at - chunkAt);
    if (header === undefined || at + header.bytes > limitBytes) return;
    if (chunkAt + chunk.length - at < header.bytes) await load(at, header.bytes);
    const [inChunk, here] = [chunk, at - chunkAt];
    yield { at, header, isSound: () => isSound(inChunk, here, header) };
    at += header.bytes;
  }
}

export interface CursorOptions {
  /** The partition's own list: it grows at the end and, by retention, shrinks at the start. */
  readonly segments: readonly Segment[];
  readonly openFile: OpenLogFile;
  readonly offset: number;
  readonly where: string;
}

/** Finds the frame that holds `offset`. An offset below the log's start begins at the start. */
export async function openCursor({ segments, openFile, offset, where }: CursorOptions): Promise<LogCursor> {
  const first = segments.findLast((candidate) => candidate.baseOffset <= offset) ?? segments[0];
  if (first === undefined) throw new Error(`${where} has no segment`);
  let segment: Segment = first;
  let file = await openFile(segment.path, 'read');
  let position = 0;
  for await (const { at, header } of scanFrames(file, segment.durableBytes)) {
    if (header.baseOffset + header.count > offset) break;
    position = at + header.bytes;
  }
  let closed = false;

  /** Goes on to the following segments once this one is read to its end. Resolves to the bytes there are to read. */
  async function advance(): Promise<number> {
    for (;;) {
      // Looked for first: when a following segment exists, this one has its final length.
      const following = segments.find((candidate) => candidate.baseOffset > segment.baseOffset);
      const readable = segment.durableBytes - position;
      if (readable > 0 || following === undefined) return readable;
      await file.close();
      file = await openFile(following.path, 'read');
      segment = following;
      position = 0;
    }
  }

  return {
    async next(maxBytes) {
      const readable = closed ? 0 : await advance();
      if (readable <= 0) return [];
      let chunk = await readFully(file, position, Math.min(Math.max(maxBytes, FRAME_HEADER_BYTES), readable));
      const opening = readHeader(chunk, 0);
      if (opening !== undefined && opening.bytes > chunk.length && opening.bytes <= readable) {
        chunk = await readFully(file, position, opening.bytes);
      }
      const records: KafkaRecord[] = [];
      let at = 0;
      for (let header = readHeader(chunk, 0); header !== undefined && isSound(chunk, at, header); header = readHeader(chunk, at)) {
        decodeFrame(chunk, at, header, offset, records);
        at += header.bytes;
      }
      if (at === 0) throw new Error(`the embedded log of ${where} is damaged: ${segment.path}, byte ${position}: wrong check sum`);
      position += at;
      return records;
    },
    async close() {
      if (closed) return;
      closed = true;
      await file.close();
    },
  };
}

async function readFully(file: LogFile, position: number, bytes: number): Promise<Buffer> {
  const into = Buffer.allocUnsafe(bytes);
  let filled = 0;
  while (filled < bytes) {
    const read = await file.read(into.subarray(filled), position + filled);
    if (read === 0) break;
    filled += read;
  }
  return into.subarray(0, filled);
}
