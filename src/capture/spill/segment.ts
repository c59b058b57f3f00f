import { decodeFrame, frameAt, nextFrame, saltOf, SEGMENT_HEADER_BYTES, type SpilledRecord } from './record.ts';

/**
 * Role: what a segment file says, whatever happened to it. Pure.
 *
 * States of a segment, by its bytes:
 *     whole     every byte is part of a sound frame
 *     torn      the last flight is unfinished: its writer died, or its disk refused, before anybody was told of it
 *     damaged   bytes that had been durable are not what they were
 *
 * G1 Every sound frame is read, in the order of the file, wherever holes are: a record that was acknowledged is lost only with its own bytes.
 * G2 A cut at any byte leaves `whole` or `torn`, and exactly the frames before the cut.
 * G3 `damaged` is said only of a hole that a later flight follows: flights are written one after another, each durable before the next one
 *    begins, so a hole in the last one is what a crash leaves.
 */
export interface SegmentContent {
  readonly records: readonly SpilledRecord[];
  readonly state: 'whole' | 'torn' | 'damaged';
  /** Bytes that are part of no sound frame. */
  readonly lostBytes: number;
}

export function readSegment(segment: Buffer): SegmentContent {
  const salt = saltOf(segment);
  // Begun and not finished, or something else: without its salt nothing in it can be believed.
  if (salt === undefined) {
    const state = segment.length === 0 ? 'whole' : segment.length <= SEGMENT_HEADER_BYTES ? 'torn' : 'damaged';
    return { records: [], state, lostBytes: segment.length };
  }
  const records: SpilledRecord[] = [];
  let lostBytes = 0;
  let firstHoleAt: number | undefined;
  let isDamaged = false;
  let at = SEGMENT_HEADER_BYTES;
  while (at < segment.length) {
    let frame = frameAt(segment, at, salt);
    if (frame === undefined) {
      firstHoleAt ??= at;
      frame = nextFrame(segment, at + 1, salt);
      lostBytes += (frame?.at ?? segment.length) - at;
      if (frame === undefined) break;
    }
    isDamaged ||= firstHoleAt !== undefined && frame.flightAt > firstHoleAt; // G3
    records.push(decodeFrame(segment, frame));
    at = frame.end;
  }
  return { records, state: isDamaged ? 'damaged' : firstHoleAt === undefined ? 'whole' : 'torn', lostBytes };
}
