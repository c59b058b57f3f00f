import { beforeEach, describe, expect, test } from 'vitest';
import { lineOf, replayAll, takeInventory, type ReplayedAll } from '../../../../src/capture/spill/operator.ts';
import { createOwnership } from '../../../../src/capture/spill/ownership.ts';
import { encodeFrame, sealFrame, segmentHeader, SEGMENT_HEADER_BYTES, type SpilledRecord } from '../../../../src/capture/spill/record.ts';
import { ProduceError, type OutgoingRecord, type RecordProducer } from '../../../../src/kafka/port.ts';
import { manualClock, type ManualClock } from '../../../kit/clock.ts';
import { memoryDisk, type MemoryDisk } from '../../../kit/memory-disk.ts';

const DIR = '/spill';
const LEASE_MS = 10_000;
const elsewhere = (instance: string) => ({ instance, pid: 1, space: '', birth: '', leaseMs: LEASE_MS });

const record = (value: string | Buffer, topic = 'events'): SpilledRecord => ({
  topic,
  timeMs: Date.UTC(2026, 10, 21),
  code: 'late',
  error: 'no acknowledgement within 4000 ms',
  key: Buffer.from('t:u'),
  value: Buffer.from(value),
  headers: { uuid: Buffer.from(`uuid-${value.toString()}`) },
});

/** A segment as a writer leaves it. */
function segment(...records: readonly SpilledRecord[]): string {
  const salt = Buffer.from('12345678');
  const frames = records.map(encodeFrame);
  for (const frame of frames) sealFrame(frame, salt, SEGMENT_HEADER_BYTES);
  return Buffer.concat([segmentHeader(salt), ...frames]).toString('latin1');
}

describe('what a person asks of the spill', () => {
  let disk: MemoryDisk;
  let clock: ManualClock;
  let taken: OutgoingRecord[];
  let producer: RecordProducer;

  /** A disk with these files; their names are paths in the spill directory. */
  const holding = (files: Readonly<Record<string, string>>): MemoryDisk =>
    memoryDisk(new Map(Object.entries(files).map(([path, content]) => [`${DIR}/${path}`, Buffer.from(content, 'latin1')])));
  const ownership = () => createOwnership({ dir: DIR, disk, clock, life: elsewhere('cli') });

  beforeEach(() => {
    clock = manualClock();
    taken = [];
    producer = {
      send: (_topic, records) => Promise.resolve(void taken.push(...records)),
      queuedBytes: () => 0,
      close: () => Promise.resolve(),
    };
  });

  async function replay({ withKept = false, meanwhile = (): void => undefined } = {}): Promise<ReplayedAll> {
    let result: ReplayedAll | undefined;
    void replayAll({ dir: DIR, disk, ownership: ownership(), producer, clock, leaseMs: LEASE_MS, withKept }).then((end) => (result = end));
    for (let turn = 0; turn < 400 && result === undefined; turn++) {
      for (let n = 0; n < 50; n++) await Promise.resolve();
      clock.advance(500);
      meanwhile();
    }
    if (result === undefined) throw new Error('the replay does not end');
    return result;
  }

  test('list: whose it is, how much, since when, because of what', async () => {
    disk = holding({
      'a~1/events/00000001.segment': segment(record('x'), record('y')),
      'a~1/events/00000002.kept': segment(record('z')),
      'b~1/~owner': JSON.stringify(elsewhere('b')),
      'b~1/heatmaps/00000001.segment': segment(record('h', 'heatmaps')),
    });
    const found = await takeInventory(DIR, disk, ownership());
    expect(found).toMatchObject([
      {
        folder: { name: 'a~1', state: 'orphaned' },
        topic: 'events',
        segments: 1,
        kept: 1,
        records: 3,
        oldestMs: Date.UTC(2026, 10, 21),
        codes: ['late'],
      },
      { folder: { name: 'b~1', state: 'unknown' }, topic: 'heatmaps', segments: 1, kept: 0, records: 1 },
    ]);
  });

  test('inspect, 16.2 row 8: a record is a line; bytes that are no text stand in base64', () => {
    expect(JSON.parse(lineOf(record('v')))).toEqual({
      time: '2026-11-21T00:00:00.000Z',
      topic: 'events',
      code: 'late',
      error: 'no acknowledgement within 4000 ms',
      uuid: 'uuid-v',
      key: 't:u',
      headers: { uuid: 'uuid-v' },
      value: 'v',
    });
    expect(JSON.parse(lineOf({ ...record('v'), key: null, value: Buffer.from([0xff, 0]) }))).toMatchObject({
      key: null,
      value: { base64: '/wA=' },
    });
  });

  test('replay: what is nobody’s at once, what a silent life left after its lease, and nothing of a life that gives signs', async () => {
    disk = holding({
      'ended~1/events/00000001.segment': segment(record('1')),
      'silent~1/~owner': JSON.stringify(elsewhere('silent')),
      'silent~1/events/00000001.segment': segment(record('2')),
      'alive~1/~owner': JSON.stringify(elsewhere('alive')),
      'alive~1/events/00000001.segment': segment(record('3')),
    });
    const { emptied, failed, held } = await replay({ meanwhile: () => void disk.touch(`${DIR}/alive~1/~owner`, clock.now()) });
    expect(taken.map(({ value }) => value.toString())).toEqual(['1', '2']);
    expect(emptied.map((name) => name.split('@')[0])).toEqual(['ended~1', 'silent~1']);
    expect([failed, held]).toEqual([[], ['alive~1']]);
  });

  test('replay --kept sends what was set aside once more', async () => {
    disk = holding({ 'ended~1/events/00000001.kept': segment(record('1')) });
    expect((await replay()).emptied).toHaveLength(1);
    expect(taken).toEqual([]);
    const [kept = ''] = disk.paths().filter((path) => path.endsWith('.kept'));
    disk = holding({ 'ended~1/events/00000001.kept': (await disk.read(kept)).toString('latin1') });
    await replay({ withKept: true });
    expect(taken.map(({ value }) => value.toString())).toEqual(['1']);
    expect(disk.paths().filter((path) => /kept|segment/.test(path))).toEqual([]);
  });

  test('replay: a topic that Kafka refuses is left and named, the others are sent', async () => {
    disk = holding({
      'ended~1/events/00000001.segment': segment(record('1')),
      'ended~1/refused/00000001.segment': segment(record('2', 'refused')),
    });
    const taking = producer;
    producer = {
      ...producer,
      send: (topic, records) =>
        topic === 'refused' ? Promise.reject(new ProduceError('unknown-topic', 'no')) : taking.send(topic, records),
    };
    const { failed } = await replay();
    expect(failed.map((name) => name.split('@')[0])).toEqual(['ended~1']);
    expect(taken.map(({ value }) => value.toString())).toEqual(['1']);
    expect(disk.paths().filter((path) => path.endsWith('.segment'))).toEqual([expect.stringContaining('/refused/')]);
  });
});
