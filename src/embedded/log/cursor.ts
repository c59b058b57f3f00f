import type { KafkaRecord } from '../../kafka/port.ts';
import type { OpenLogFile } from './files.ts';
import { decodeFrame, FRAME_HEADER_BYTES, isSound, readHeader } from './frame.ts';
import { readFully, scanFrames, type Segment } from './segment.ts';

/** A reading position in one partition. Used by one loop at a time. */
export interface LogCursor {
  /**
   * The next whole frames up to about `maxBytes`, at least one when there is any; empty at the end of the log.
   * @throws Error when a frame's sum is wrong: the disk lost what was acknowledged, which is never skipped over.
   */
  next(maxBytes: number): Promise<readonly KafkaRecord[]>;
  close(): Promise<void>;
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
