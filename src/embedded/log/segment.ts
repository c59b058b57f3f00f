import type { LogFile } from './files.ts';
import { FRAME_HEADER_BYTES, isSound, readHeader, type FrameHeader } from './frame.ts';

/** A segment as readers see it: bytes beyond `durableBytes` do not exist for them. */
export interface Segment {
  readonly baseOffset: number;
  readonly path: string;
  durableBytes: number;
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

/** Fewer bytes only at the end of the file. */
export async function readFully(file: LogFile, position: number, bytes: number): Promise<Buffer> {
  const into = Buffer.allocUnsafe(bytes);
  let filled = 0;
  while (filled < bytes) {
    const read = await file.read(into.subarray(filled), position + filled);
    if (read === 0) break;
    filled += read;
  }
  return into.subarray(0, filled);
}
