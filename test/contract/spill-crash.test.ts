import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSpill, type Spill } from '../../src/capture/spill/spill.ts';
import type { OutgoingRecord, RecordProducer } from '../../src/kafka/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { until } from './kafka-log-kit.ts';

const WRITER = new URL('./spill-writer.ts', import.meta.url).pathname;

/** A real disk, and real kills. */
describe('a spill whose process is killed', () => {
  let dir: string;
  const opened: Spill[] = [];

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'troupe-spill-'));
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((spill) => spill.close()));
    await rm(dir, { recursive: true });
  });

  const open = async (producer: RecordProducer, instance: string, farLeaseMs?: number): Promise<Spill> => {
    const spill = await openSpill({
      dir,
      instance,
      producer,
      clock: systemClock,
      segmentBytes: 100_000,
      maxBytes: 1 << 30,
      leaseMs: farLeaseMs ?? 30_000,
      ...(farLeaseMs === undefined ? {} : { life: { instance, pid: 1, space: '', birth: '', leaseMs: farLeaseMs } }),
    });
    opened.push(spill);
    return spill;
  };
  const taking = (into: OutgoingRecord[]): RecordProducer => ({
    send: (_topic, records) => Promise.resolve(void into.push(...records)),
    queuedBytes: () => 0,
    close: () => Promise.resolve(),
  });
  const segmentsLeft = async (): Promise<string[]> =>
    (await readdir(dir, { recursive: true })).filter((path) => /\.(segment|kept)$/.test(path));

  test('W1, N1, P2: kill -9 of two writers on one directory: what was answered is replayed by one of two survivors, in order per key', async () => {
    const answered = new Set<number>();
    await Promise.all(
      [0, 1_000_000].map(async (from) => {
        const writer = spawn(process.execPath, [WRITER, dir, String(from)], { stdio: ['ignore', 'pipe', 'inherit'] });
        let printed = '';
        writer.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
        const ended = once(writer, 'exit');
        await until(() => printed.length > 8_000, 'answers');
        writer.kill('SIGKILL');
        await ended;
        for (const line of printed.slice(0, printed.lastIndexOf('\n')).split('\n')) answered.add(Number(line));
      }),
    );
    expect((await segmentsLeft()).length).toBeGreaterThan(2);

    // Both look at the same moment. The processes are gone from this machine, so nobody waits for a lease.
    const took: OutgoingRecord[][] = [[], []];
    const survivors = await Promise.all(took.map((into, n) => open(taking(into), `survivor-${n}`)));
    for (const survivor of survivors) survivor.watch();
    await until(async () => (await segmentsLeft()).length === 0, 'everything is replayed');

    const numbers = took.flat().map(({ value }) => Number.parseInt(value.toString(), 10));
    expect(numbers).toEqual(expect.arrayContaining([...answered]));
    expect(new Set(numbers).size).toBe(numbers.length); // one of the two, never both
    for (const [index, { key, value, headers }] of took.flat().entries()) {
      expect(value).toHaveLength(700);
      expect(String(headers?.['uuid'])).toBe(`uuid-${numbers[index]}`);
      expect(key?.toString()).toBe(`key-${(numbers[index] ?? 0) % 10}`);
    }
    for (const into of took) {
      for (const ofKey of Map.groupBy(into, ({ key }) => key?.toString()).values()) {
        for (const half of [0, 1]) {
          const inOrder = ofKey
            .map(({ value }) => Number.parseInt(value.toString(), 10))
            .filter((number) => Math.floor(number / 1_000_000) === half);
          expect(inOrder).toEqual(inOrder.toSorted((a, b) => a - b));
        }
      }
    }
  });

  test('N2: a writer that is frozen beyond its lease, replayed by another one, and thawed: nothing it ever answered for is lost', async () => {
    const leaseMs = 1_000;
    const writer = spawn(process.execPath, [WRITER, dir, '0', String(leaseMs)], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(writer, 'exit');
    let printed = '';
    writer.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
    await until(() => printed.length > 4_000, 'answers');
    writer.kill('SIGSTOP');

    const took: OutgoingRecord[] = [];
    const survivor = await open(taking(took), 'survivor', leaseMs);
    survivor.watch();
    await until(async () => took.length > 0 && (await segmentsLeft()).length === 0, 'all of the frozen one is replayed');

    const before = printed.length;
    writer.kill('SIGCONT');
    await until(() => printed.length > before + 4_000, 'answers of the thawed one');
    writer.kill('SIGKILL');
    await ended;
    await until(async () => (await segmentsLeft()).length === 0, 'its second life is replayed');
    const answered = printed.slice(0, printed.lastIndexOf('\n')).split('\n');
    const found = new Set(took.map(({ value }) => Number.parseInt(value.toString(), 10)));
    expect(answered.filter((number) => !found.has(Number(number)))).toEqual([]);
  });
});
