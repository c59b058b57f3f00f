import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFrame, sealFrame, segmentHeader, SEGMENT_HEADER_BYTES, type SpilledRecord } from '../../../../src/capture/spill/record.ts';
import { readSegment } from '../../../../src/capture/spill/segment.ts';

const SALT = Buffer.from('salt1234');

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const anyRecord: fc.Arbitrary<SpilledRecord> = fc
  .record({
    topic: fc.constantFrom('events', 'heat.maps_1'),
    timeMs: fc.double({ noNaN: true, min: 0, max: 4e12 }),
    code: fc.constantFrom('late', 'unavailable'),
    error: fc.string({ unit: 'grapheme', maxLength: 20 }),
    key: fc.option(bytes),
    value: bytes,
    partitionBy: fc.option(bytes, { nil: undefined }),
    headers: fc.option(fc.dictionary(fc.string({ maxLength: 8 }), bytes), { nil: undefined }),
  })
  .map(({ partitionBy, headers, ...rest }) => ({
    ...rest,
    ...(partitionBy === undefined ? {} : { partitionBy }),
    ...(headers === undefined ? {} : { headers: { ...headers } }),
  }));

/** A segment of flights, and where each frame and each flight ends. */
function segmentOf(flights: readonly (readonly SpilledRecord[])[]): { bytes: Buffer; frameEnds: number[] } {
  const parts = [segmentHeader(SALT)];
  const frameEnds: number[] = [];
  let at = SEGMENT_HEADER_BYTES;
  for (const flight of flights) {
    const flightAt = at;
    for (const record of flight) {
      const frame = encodeFrame(record);
      sealFrame(frame, SALT, flightAt);
      parts.push(frame);
      frameEnds.push((at += frame.length));
    }
  }
  return { bytes: Buffer.concat(parts), frameEnds };
}

const record = (value: string): SpilledRecord => ({
  topic: 'events',
  timeMs: 1,
  code: 'late',
  error: '',
  key: Buffer.from('k'),
  value: Buffer.from(value),
  headers: { uuid: Buffer.from(`uuid-${value}`) },
});

const valuesIn = (segment: Buffer): string[] => readSegment(segment).records.map(({ value }) => value.toString());

describe('a segment of the spill', () => {
  test('gives records back as they came: topic, key or none, headers, value, time, error', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 6 }), (records) => {
        const { state, records: read, lostBytes } = readSegment(segmentOf([records]).bytes);
        expect(read).toEqual(records);
        expect([state, lostBytes]).toEqual(['whole', 0]);
      }),
    );
  });

  test('a header by the name of __proto__ is one like another', () => {
    const headers = Object.fromEntries([['__proto__', Buffer.from('x')]]);
    const [read] = readSegment(segmentOf([[{ ...record('a'), headers }]]).bytes).records;
    expect(Object.entries(read?.headers ?? {})).toEqual([['__proto__', Buffer.from('x')]]);
  });

  test('G2: cut at every byte, it is whole or torn and has exactly the frames before the cut', () => {
    fc.assert(
      fc.property(fc.array(fc.array(anyRecord, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 3 }), (flights) => {
        const { bytes: whole, frameEnds } = segmentOf(flights);
        const all = flights.flat();
        for (let cut = 0; cut <= whole.length; cut++) {
          const { records, state } = readSegment(whole.subarray(0, cut));
          const complete = frameEnds.filter((end) => end <= cut).length;
          expect(records).toEqual(all.slice(0, complete));
          const isAtEdge = cut === 0 || cut === SEGMENT_HEADER_BYTES || frameEnds.includes(cut);
          expect(state).toBe(isAtEdge ? 'whole' : 'torn');
        }
      }),
      { numRuns: 15 },
    );
  });

  test('G1, G3: whichever byte of an earlier flight is wrong, the others are read and the segment is called damaged', () => {
    const { bytes: whole, frameEnds } = segmentOf([[record('a'), record('b')], [record('c')], [record('d')]]);
    const [, endOfB = 0, endOfC = 0] = frameEnds;
    for (let at = SEGMENT_HEADER_BYTES; at < endOfC; at++) {
      const wrong = Buffer.from(whole);
      wrong.writeUInt8(wrong.readUInt8(at) ^ 0x55, at);
      const { state, records } = readSegment(wrong);
      const lost = at < (frameEnds[0] ?? 0) ? 'a' : at < endOfB ? 'b' : 'c';
      expect(records.map(({ value }) => value.toString())).toEqual(['a', 'b', 'c', 'd'].filter((value) => value !== lost));
      expect(state).toBe('damaged');
    }
  });

  test('G3: a hole in the last flight is what a crash leaves: torn; sound frames behind it are read', () => {
    const { bytes: whole, frameEnds } = segmentOf([[record('a')], [record('b'), record('c')]]);
    whole.fill(0, frameEnds[0], (frameEnds[0] ?? 0) + 10); // a page that did not reach the disk
    expect(readSegment(whole).state).toBe('torn');
    expect(valuesIn(whole)).toEqual(['a', 'c']);
  });

  test('a value that looks like a frame is never read as one: it cannot know the salt', () => {
    const forged = encodeFrame(record('forged'));
    sealFrame(forged, Buffer.from('guessed!'), SEGMENT_HEADER_BYTES);
    const { bytes: whole } = segmentOf([[{ ...record(''), value: Buffer.concat([forged, forged]) }], [record('b')]]);
    whole.writeUInt8(0xff, SEGMENT_HEADER_BYTES + 20);
    expect(valuesIn(whole)).toEqual(['b']);
  });

  test('something else by the name of a segment is damaged, and read as nothing', () => {
    expect(readSegment(Buffer.from('an ordinary text of more than sixteen bytes'))).toMatchObject({ state: 'damaged', records: [] });
  });
});
