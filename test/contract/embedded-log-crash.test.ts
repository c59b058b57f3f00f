import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openEmbeddedLog, type EmbeddedLog, type EmbeddedLogOptions } from '../../src/embedded/log.ts';
import { openOnDisk, type LogFile, type OpenLogFile } from '../../src/embedded/log/files.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createWitness, until } from './kafka-log-kit.ts';

const WRITER = new URL('./embedded-log-writer.ts', import.meta.url).pathname;

describe('what only the embedded log must survive', () => {
  let dir: string;
  const opened: EmbeddedLog[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troupe-log-'));
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((log) => log.close()));
    await rm(dir, { recursive: true });
  });

  async function open(options: Partial<EmbeddedLogOptions> = {}): Promise<EmbeddedLog> {
    const log = await openEmbeddedLog({ dir, clock: systemClock, ...options });
    opened.push(log);
    return log;
  }
  async function withTopic(options: Partial<EmbeddedLogOptions> = {}): Promise<EmbeddedLog> {
    const log = await open(options);
    await log.admin().ensureTopics([{ topic: 'events', partitions: 1 }]);
    return log;
  }
  const send = (log: EmbeddedLog, text: string): Promise<void> => log.producer().send('events', [{ key: null, value: Buffer.from(text) }]);
  const endOf = async (log: EmbeddedLog): Promise<number> => {
    const ends = await log.admin().endOffsets('events');
    return ends.reduce((sum, { offset }) => sum + offset, 0);
  };
  async function readAll(log: EmbeddedLog, groupId: string): Promise<{ partition: number; offset: number; text: string }[]> {
    const witness = createWitness();
    const consumer = log.consumer({ groupId, topics: ['events'] });
    await consumer.start(witness.handlers);
    const expected = await endOf(log);
    await until(() => witness.records.length >= expected || witness.crashes.length > 0, `${expected} records`);
    await consumer.stop();
    expect(witness.crashes).toEqual([]);
    return witness.records.map(({ partition, offset, value }) => ({ partition, offset, text: value?.toString() ?? '' }));
  }
  const segmentsOf = async (partition = 0): Promise<string[]> => (await readdir(join(dir, 'topics/events', String(partition)))).sort();
  const pathOf = (segment: string, partition = 0): string => join(dir, 'topics/events', String(partition), segment);

  test('I1: after kill -9 every acknowledged record is there once, in order per key; what was torn is cut', async () => {
    const acknowledged = new Set<number>();
    for (let round = 0; round < 3; round++) {
      const writer = spawn(process.execPath, [WRITER, dir, String(round * 1_000_000)], { stdio: ['ignore', 'pipe', 'inherit'] });
      let printed = '';
      writer.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
      const ended = once(writer, 'exit');
      await until(() => printed.length > 8_000, 'acknowledgements');
      writer.kill('SIGKILL');
      await ended;
      for (const line of printed.slice(0, printed.lastIndexOf('\n')).split('\n')) acknowledged.add(Number(line));
      // What the kill may leave besides: a batch of which only a part reached the disk.
      const last = (await segmentsOf()).at(-1) ?? '';
      await appendFile(pathOf(last), (await readFile(pathOf(last))).subarray(0, 500));
    }
    const log = await open();
    const found = (await readAll(log, 'reader')).map((record) => ({ ...record, number: parseInt(record.text, 10) }));
    const numbers = found.map(({ number }) => number);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect([...acknowledged].filter((number) => !numbers.includes(number))).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(100);
    expect((await segmentsOf()).length).toBeGreaterThan(1);
    for (const ofKey of Map.groupBy(found, ({ number }) => number % 10).values()) {
      const sequence = ofKey.map(({ number }) => number);
      expect(sequence).toEqual(sequence.toSorted((a, b) => a - b));
    }
  });

  test.for([
    ['half a frame', (frame: Buffer) => frame.subarray(0, frame.length - 3)],
    ['a frame with one changed byte', (frame: Buffer) => Buffer.concat([frame.subarray(0, 40), Buffer.from('?'), frame.subarray(41)])],
    ['zeroes', () => Buffer.alloc(5_000)],
    ['a whole frame that belongs elsewhere', (frame: Buffer) => frame],
    ['less than a header', (frame: Buffer) => frame.subarray(0, 7)],
  ] as const)('I4: opening cuts %s at the end of the last segment, and goes on behind the sound records', async ([, damage]) => {
    const before = await withTopic();
    await send(before, 'one, and long enough to have a fortieth byte');
    await before.close();
    const [segment = ''] = await segmentsOf();
    const sound = await readFile(pathOf(segment));
    await appendFile(pathOf(segment), damage(sound));
    const after = await open();
    expect((await stat(pathOf(segment))).size).toBe(sound.length);
    await send(after, 'two');
    expect((await readAll(after, 'reader')).map(({ offset, text }) => [offset, text.slice(0, 3)])).toEqual([
      [0, 'one'],
      [1, 'two'],
    ]);
  });

  test('a wrong byte in a sealed segment ends the consumer instead of being skipped', async () => {
    const before = await withTopic({ segmentBytes: 1 });
    for (const text of ['first', 'second', 'third']) await send(before, text);
    await before.close();
    const [, sealed = ''] = await segmentsOf();
    const bytes = await readFile(pathOf(sealed));
    bytes[bytes.length - 4] = 0x21;
    await writeFile(pathOf(sealed), bytes);
    const witness = createWitness();
    await (await open()).consumer({ groupId: 'g', topics: ['events'] }).start(witness.handlers);
    await until(() => witness.crashes.length > 0, 'a crash');
    expect(witness.records.map(({ value }) => value?.toString())).toEqual(['first']);
    expect(witness.crashes[0]?.message).toContain('wrong check sum');
  });

  /** A disk that, while `failing`, takes a part of the bytes and then reports the error. */
  function failingDisk(): { readonly openFile: OpenLogFile; failing: 'write' | 'sync' | 'write and truncate' | undefined } {
    const disk = { openFile, failing: undefined as 'write' | 'sync' | 'write and truncate' | undefined };
    const full = (): Error => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    async function openFile(path: string, mode: 'create' | 'append' | 'read'): Promise<LogFile> {
      const file = await openOnDisk(path, mode);
      return {
        ...file,
        async writeAll(buffers, position) {
          if (!disk.failing?.startsWith('write')) return file.writeAll(buffers, position);
          const all = Buffer.concat(buffers);
          await file.writeAll([all.subarray(0, all.length - 5)], position);
          throw full();
        },
        sync: () => (disk.failing === 'sync' ? Promise.reject(full()) : file.sync()),
        truncate: (bytes) => (disk.failing === 'write and truncate' ? Promise.reject(full()) : file.truncate(bytes)),
      };
    }
    return disk;
  }

  test.for(['write', 'sync', 'write and truncate'] as const)(
    'I3: when the disk is full (%s) the producer is told, nothing half-written is read, and writing goes on when there is room',
    async (failing) => {
      const disk = failingDisk();
      const log = await withTopic({ openFile: disk.openFile });
      const witness = createWitness();
      await log.consumer({ groupId: 'g', topics: ['events'] }).start(witness.handlers);
      await send(log, 'before');
      disk.failing = failing;
      for (let attempt = 0; attempt < 2; attempt++) {
        await expect(send(log, 'never seen')).rejects.toMatchObject({
          code: 'unavailable',
          message: expect.stringContaining('the disk is full') as string,
        });
      }
      disk.failing = undefined;
      await send(log, 'after');
      await until(() => witness.records.length === 2, 'both good records');
      expect(witness.records.map(({ offset, value }) => [offset, value?.toString()])).toEqual([
        [0, 'before'],
        [1, 'after'],
      ]);
      expect(witness.crashes).toEqual([]);
      await log.close();
      expect((await readAll(await open(), 'again')).map(({ text }) => text)).toEqual(['before', 'after']);
    },
  );

  test('a second process on the directory is refused by the pid of the first; a dead one holds nothing', async () => {
    const writer = spawn(process.execPath, [WRITER, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(writer, 'exit');
    await once(writer.stdout, 'data');
    await expect(openEmbeddedLog({ dir, clock: systemClock })).rejects.toThrow(`in use by the process with pid ${writer.pid}`);
    writer.kill('SIGKILL');
    await ended;
    const log = await open();
    await expect(openEmbeddedLog({ dir, clock: systemClock })).rejects.toThrow(`in use by this process (pid ${process.pid})`);
    await log.close();
    await open();
  });

  test('a lock whose pid was given to another process since is taken over', async () => {
    await (await open()).close();
    await writeFile(join(dir, 'lock'), JSON.stringify({ pid: process.pid, birth: 'an earlier boot/1' }));
    await open();
    expect(JSON.parse(await readFile(join(dir, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid });
  });

  test('I5: retention removes read segments beyond the kept bytes, and never one that a group has not read', async () => {
    const log = await withTopic({ segmentBytes: 1, retainBytes: 0 });
    for (let number = 0; number < 6; number++) await send(log, `${number}`);
    const fast = log.consumer({ groupId: 'fast', topics: ['events'] });
    const slow = log.consumer({ groupId: 'slow', topics: ['events'] });
    const [ofFast, ofSlow] = [createWitness(), createWitness()];
    await fast.start(ofFast.handlers);
    await slow.start(ofSlow.handlers);
    await until(() => ofFast.records.length === 6 && ofSlow.records.length === 6, 'all records');
    const commit = (consumer: typeof fast, witness: typeof ofFast, offset: number): Promise<unknown> =>
      consumer.commit(witness.assignments[0]?.generation ?? -1, [{ topic: 'events', partition: 0, offset }]);
    await commit(fast, ofFast, 6);
    expect(await segmentsOf()).toHaveLength(6);
    await commit(slow, ofSlow, 4);
    await until(async () => (await segmentsOf()).length === 2, 'four segments gone');
    await log.close();
    const again = await open();
    const witness = createWitness();
    await again.consumer({ groupId: 'slow', topics: ['events'] }).start(witness.handlers);
    await until(() => witness.records.length === 2, 'the unread ones');
    expect(witness.records.map(({ offset }) => offset)).toEqual([4, 5]);
  });

  test('group I1, I2: watermarks and the generation survive a restart, and each start has a generation of its own', async () => {
    const generations: number[] = [];
    for (let start = 0; start < 3; start++) {
      const log = await withTopic();
      const witness = createWitness();
      const consumer = log.consumer({ groupId: 'a group / with ü', topics: ['events'] });
      await consumer.start(witness.handlers);
      await until(() => witness.assignments.length === 1, 'the assignment');
      generations.push(witness.assignments[0]?.generation ?? -1);
      expect(witness.assignments[0]?.partitions[0]?.committed).toBe(start === 0 ? undefined : start - 1);
      await consumer.commit(generations.at(-1) ?? -1, [{ topic: 'events', partition: 0, offset: start }]);
      await log.close();
    }
    expect(generations).toEqual([1, 2, 3]);
  });

  test('group I3: a damaged watermark file is an error that names it, not a group that starts anew', async () => {
    const log = await withTopic();
    await log.consumer({ groupId: 'g', topics: ['events'] }).start(createWitness().handlers);
    await log.close();
    const [file = ''] = await readdir(join(dir, 'groups'));
    const path = join(dir, 'groups', file);
    await writeFile(path, (await readFile(path, 'utf8')).replace('"generation":1', '"generation":0'));
    await expect(openEmbeddedLog({ dir, clock: systemClock })).rejects.toThrow(`${path} are damaged`);
  });
});
