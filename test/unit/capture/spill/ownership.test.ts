import { describe, expect, test } from 'vitest';
import { thisLife, type Life } from '../../../../src/capture/spill/life.ts';
import { createOwnership, type Ownership } from '../../../../src/capture/spill/ownership.ts';
import { manualClock, type ManualClock } from '../../../kit/clock.ts';
import { memoryDisk, type MemoryDisk } from '../../../kit/memory-disk.ts';

const DIR = '/shared';
const LEASE_MS = 10_000;

/** Pods on machines of their own: nobody can look whether another's process runs. */
function volume(): { disk: MemoryDisk; clock: ManualClock; pod: (instance: string, life?: Life) => Ownership } {
  const disk = memoryDisk();
  const clock = manualClock();
  return {
    disk,
    clock,
    pod: (instance, life = { instance, pid: 1, space: '', birth: '', leaseMs: LEASE_MS }) =>
      createOwnership({ dir: DIR, disk, clock, life }),
  };
}

/** Lets time pass with every timer's work done. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 500) {
    clock.advance(500);
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
}

describe('who owns a folder of the spill', () => {
  test('N4: nothing is made before a folder is wanted, nor by looking for orphans', async () => {
    const { disk, pod } = volume();
    expect(await pod('a').adopt()).toEqual([]);
    expect(disk.paths()).toEqual([]);
  });

  test('a life that gives signs is not adopted, however long it lasts', async () => {
    const { clock, pod } = volume();
    const a = pod('a');
    const folder = await a.folder();
    const b = pod('b');
    for (let n = 0; n < 20; n++) {
      expect(await b.adopt()).toEqual([]);
      await pass(clock, LEASE_MS / 4);
    }
    expect(await a.isMine(folder)).toBe(true);
  });

  test('N1: a life that is silent for its lease is adopted by one of those who look, and by one only', async () => {
    const { clock, disk, pod } = volume();
    await disk.put(`${DIR}/dead~1/~owner`, JSON.stringify({ instance: 'dead', pid: 1, space: '', birth: '', leaseMs: LEASE_MS }));
    const others = ['b', 'c', 'd'].map((name) => pod(name));
    for (const other of others) expect(await other.adopt()).toEqual([]);
    await pass(clock, LEASE_MS);
    const adopted = await Promise.all(others.map((other) => other.adopt()));
    expect(adopted.flat()).toHaveLength(1);
    expect(adopted.flat()[0]).toMatch(/^dead~1@[bcd]~/);
  });

  test('a lease that the other one was given counts when it is the longer', async () => {
    const { clock, disk, pod } = volume();
    await disk.put(`${DIR}/slow~1/~owner`, JSON.stringify({ instance: 'slow', pid: 1, space: '', birth: '', leaseMs: 3 * LEASE_MS }));
    const b = pod('b');
    await b.adopt();
    await pass(clock, 2 * LEASE_MS);
    expect(await b.adopt()).toEqual([]);
    await pass(clock, LEASE_MS);
    expect(await b.adopt()).toHaveLength(1);
  });

  test('N3: what a life left in order is free at once; also what it had adopted', async () => {
    const { disk, pod } = volume();
    const a = pod('a');
    const folder = await a.folder();
    await disk.put(`${DIR}/${folder}/events/00000001.segment`, 'x');
    await disk.put(`${DIR}/dead~1@${folder}/events/00000001.segment`, 'y');
    await a.release();
    const b = pod('b');
    expect((await b.adopt()).map((name) => name.split('@')[0])).toEqual([folder, 'dead~1'].toSorted());
  });

  test('N1: an orphan of an orphan is found: no folder is without somebody who may take it', async () => {
    const { disk, clock, pod } = volume();
    await disk.put(`${DIR}/first~1@second~1/events/00000001.segment`, 'x');
    await disk.put(`${DIR}/second~1/~owner`, JSON.stringify({ instance: 'second', pid: 1, space: '', birth: '', leaseMs: LEASE_MS }));
    const third = pod('third');
    expect(await third.adopt()).toEqual([]);
    await pass(clock, LEASE_MS);
    const adopted = await third.adopt();
    expect(adopted.map((name) => name.replace(/@.*/, ''))).toEqual(['first~1', 'second~1']);
    expect(disk.paths().filter((path) => path.includes('first~1'))).toEqual([
      expect.stringMatching(/first~1@third~.*\/events\/0+1.segment/),
    ]);
  });

  test('N2: who slept through its lease finds its folder gone, before it promises anything, and begins another life', async () => {
    const { clock, disk, pod } = volume();
    const asleep = manualClock(); // frozen with all its timers
    const sleeper = createOwnership({
      dir: DIR,
      disk,
      clock: asleep,
      life: { instance: 'a', pid: 1, space: '', birth: '', leaseMs: LEASE_MS },
    });
    const folder = await sleeper.folder();
    const b = pod('b');
    expect(await b.adopt()).toEqual([]);
    await pass(clock, LEASE_MS);
    expect(await b.adopt()).toHaveLength(1);
    expect(await sleeper.isMine(folder)).toBe(false);
    expect(await sleeper.folder()).not.toBe(folder);
  });

  test('a process of this machine that runs is never adopted, one that is gone is at once', async () => {
    const { disk, clock, pod } = volume();
    const here = await thisLife('here', LEASE_MS);
    await disk.put(`${DIR}/running~1/~owner`, JSON.stringify(here));
    await disk.put(`${DIR}/gone~1/~owner`, JSON.stringify({ ...here, birth: '1' }));
    const b = pod('b', here);
    expect((await b.adopt()).map((name) => name.split('@')[0])).toEqual(['gone~1']);
    await pass(clock, 3 * LEASE_MS);
    expect(await b.adopt()).toEqual([]);
  });
});
