import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createOwnership } from '../../../../src/capture/spill/ownership.ts';
import { encodeFrame } from '../../../../src/capture/spill/record.ts';
import { readSegment } from '../../../../src/capture/spill/segment.ts';
import { createTopicWriter, type SpillBudget, type TopicWriter } from '../../../../src/capture/spill/topic-writer.ts';
import { manualClock } from '../../../kit/clock.ts';
import { memoryDisk, type MemoryDisk } from '../../../kit/memory-disk.ts';

const DIR = '/spill';
const life = { instance: 'web-1', pid: 1, space: '', birth: '', leaseMs: 10_000 };

function begin({ segmentBytes = 1 << 20, maxBytes = 1 << 30 } = {}): { disk: MemoryDisk; writer: TopicWriter; budget: SpillBudget } {
  const disk = memoryDisk();
  const ownership = createOwnership({ dir: DIR, disk, clock: manualClock(), life });
  const budget = { maxBytes, pendingBytes: 0, isRefusing: false };
  return { disk, budget, writer: createTopicWriter({ dir: DIR, topic: 'events', disk, ownership, budget, segmentBytes }) };
}

const frame = (value: string): Buffer =>
  encodeFrame({ topic: 'events', timeMs: 1, code: 'late', error: '', key: null, value: Buffer.from(value), headers: {} });

const segmentsOf = (disk: MemoryDisk): string[] => disk.paths().filter((path) => path.endsWith('.segment'));

async function valuesOn(disk: MemoryDisk): Promise<string[]> {
  const contents = await Promise.all(segmentsOf(disk).map((path) => disk.read(path)));
  return contents.flatMap((bytes) => readSegment(bytes).records.map(({ value }) => value.toString()));
}

const count = (disk: MemoryDisk, operation: string): number => disk.calls.filter((call) => call === operation).length;

describe('the segments that one process writes of a topic', () => {
  test('W1: an append resolves after the sync of its bytes and a look at who owns the folder, in this order', async () => {
    const { disk, writer } = begin();
    await writer.append([frame('a')]);
    expect(disk.calls.slice(-3)).toEqual(['append', 'sync', 'look']);
  });

  test('requests at the same time share one write and one sync', async () => {
    const { disk, writer } = begin();
    await writer.append([frame('first')]);
    const before = count(disk, 'sync');
    await Promise.all(Array.from({ length: 100 }, (_, n) => writer.append([frame(`${n}`)])));
    expect(count(disk, 'sync') - before).toBeLessThanOrEqual(2);
    expect(await valuesOn(disk)).toHaveLength(101);
  });

  test('W2, W4: a full segment is sealed and the next one begun; order goes over both', async () => {
    const { disk, writer } = begin({ segmentBytes: 200 });
    for (let n = 0; n < 10; n++) await writer.append([frame(`${n}`)]);
    await writer.seal();
    expect(segmentsOf(disk).length).toBeGreaterThan(2);
    expect(await valuesOn(disk)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });

  test('W3: after a disk that took half of a write, what was durable is read, and the next write goes to another file', async () => {
    const { disk, writer } = begin();
    await writer.append([frame('a')]);
    disk.refuse('append', Object.assign(new Error('no space'), { code: 'ENOSPC' }), 21);
    await expect(writer.append([frame('lost')])).rejects.toThrow('the disk is full');
    disk.refuse('append', undefined);
    await writer.append([frame('b')]);
    expect(segmentsOf(disk)).toHaveLength(2);
    expect(await valuesOn(disk)).toEqual(['a', 'b']);
    expect(writer.pendingCount()).toBe(2);
  });

  test('W3: a sync that fails tells its requests, and leaves no empty file behind', async () => {
    const { disk, writer, budget } = begin();
    disk.refuse('sync', new Error('EIO'));
    await expect(writer.append([frame('a')])).rejects.toMatchObject({ code: 'disk' });
    await writer.seal();
    expect(segmentsOf(disk)).toEqual([]);
    expect([writer.pendingCount(), budget.pendingBytes]).toEqual([0, 0]);
  });

  test('W5: above the budget nothing is taken; what is forgotten makes room', async () => {
    const one = frame('0123456789');
    const { writer, budget } = begin({ maxBytes: one.length + 20 });
    await writer.append([frame('0123456789')]);
    await expect(writer.append([frame('0123456789')])).rejects.toMatchObject({ code: 'full' });
    await writer.seal();
    const segment = writer.oldest();
    if (segment !== undefined) writer.forget(segment);
    expect([writer.pendingCount(), budget.pendingBytes]).toEqual([0, 0]);
    await writer.append([frame('0123456789')]);
  });

  test('N2, W2: a flight that finds its folder adopted is written again under another life, and only then told', async () => {
    const { disk, writer } = begin();
    await writer.append([frame('a')]);
    const [mine = ''] = await disk.list(DIR);
    await disk.rename(`${DIR}/${mine}`, `${DIR}/${mine}@other~1`);
    await writer.append([frame('b')]);
    const folders = await disk.list(DIR);
    expect(folders).toHaveLength(2);
    const own = segmentsOf(disk).filter((path) => !path.includes('@'));
    expect(own).toHaveLength(1);
    expect(readSegment(await disk.read(own[0] ?? '')).records.map(({ value }) => value.toString())).toEqual(['b']);
    expect(writer.pendingCount()).toBe(1); // `a` is its adopter's
  });

  test('W1: crashed at any moment and any byte, every record that was told to be durable is read back, in order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 60, max: 400 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer({ min: 0, max: 60 }),
        async (bursts, segmentBytes, share, crashAfter) => {
          const { disk, writer } = begin({ segmentBytes });
          const told: string[] = [];
          let next = 0;
          let crashed: MemoryDisk | undefined;
          let toldAtCrash: string[] = [];
          const crash = (): void => {
            crashed = disk.afterCrash((unsynced) => Math.floor(unsynced * share));
            toldAtCrash = [...told];
          };
          for (const burst of bursts) {
            const appends = Array.from({ length: burst }, async () => {
              const value = String(next++);
              await writer.append([frame(value)]);
              told.push(value);
            });
            // Turn by turn, so that the crash falls between any two steps of a write.
            for (let turn = 0; turn < 30; turn++) {
              if (crashed === undefined && disk.calls.length >= crashAfter) crash();
              await Promise.resolve();
            }
            await Promise.all(appends);
          }
          if (crashed === undefined) crash();
          const survived = await valuesOn(crashed as unknown as MemoryDisk);
          expect(survived).toEqual(survived.toSorted((a, b) => Number(a) - Number(b)));
          expect(survived).toEqual(expect.arrayContaining(toldAtCrash));
        },
      ),
      { numRuns: 200 },
    );
  });
});
