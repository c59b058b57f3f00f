import type { FileHandle } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { writeWhole } from '../../../src/files/durable.ts';

/** A disk that takes at most so many bytes of a write. */
function handle(takesCount: number) {
  const written: string[] = [];
  const positions: (number | undefined)[] = [];
  const writev = (buffers: readonly Buffer[], position?: number) => {
    const taken = Buffer.concat(buffers).subarray(0, takesCount);
    written.push(taken.toString());
    positions.push(position);
    return Promise.resolve({ bytesWritten: taken.length, buffers });
  };
  return { handle: { writev } as unknown as FileHandle, written, positions };
}
const PARTS = [Buffer.from('abc'), Buffer.from(''), Buffer.from('defgh')];

describe('writeWhole', () => {
  it.each([1, 2, 3, 4, 7, 8, 100])('writes every byte where the disk takes %i at a time', async (takesCount) => {
    const disk = handle(takesCount);
    await writeWhole(disk.handle, PARTS, 10);
    expect(disk.written.join('')).toBe('abcdefgh');
    expect(disk.positions).toEqual(disk.written.map((_, index) => 10 + index * takesCount));
  });

  it('goes on behind what was written before where no position is given', async () => {
    const disk = handle(5);
    await writeWhole(disk.handle, PARTS);
    expect(disk.written).toEqual(['abcde', 'fgh']);
    expect(disk.positions).toEqual([undefined, undefined]);
  });

  it('says so when the disk takes no byte, and asks it for nothing when there is none', async () => {
    await expect(writeWhole(handle(0).handle, PARTS)).rejects.toThrow('the disk took no byte');
    const disk = handle(0);
    await writeWhole(disk.handle, []);
    expect(disk.written).toEqual([]);
  });
});
