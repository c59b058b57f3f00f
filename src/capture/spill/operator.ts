import { join } from 'node:path';
import type { RecordProducer } from '../../kafka/port.ts';
import type { Clock } from '../../runtime/clock.ts';
import { replayAdopted } from './adopted.ts';
import type { SpillDisk } from './disk.ts';
import { isTopicName, parseSegment, segmentName } from './names.ts';
import type { Ownership, SurveyedFolder } from './ownership.ts';
import type { SpilledRecord } from './record.ts';
import { replaySegment } from './replay.ts';
import { readSegment } from './segment.ts';

/** What a person asks of a spill directory: `troupe spill list`, `inspect`, `replay`. */

/** The files of one topic in one folder. */
export interface Inventory {
  readonly folder: SurveyedFolder;
  readonly topic: string;
  readonly segments: number;
  readonly kept: number;
  readonly records: number;
  readonly bytes: number;
  /** When the first of them was spilled; undefined when there are none. */
  readonly oldestMs: number | undefined;
  /** What sent them there: codes, each once. */
  readonly codes: readonly string[];
}

/** Reads every file: takes as long as the disk does. What disappears meanwhile was replayed. */
export async function takeInventory(dir: string, disk: SpillDisk, ownership: Ownership): Promise<readonly Inventory[]> {
  const found: Inventory[] = [];
  for (const folder of await ownership.survey()) {
    for (const topic of (await disk.list(join(dir, folder.name))).filter(isTopicName)) {
      found.push(await inventoryOf(join(dir, folder.name, topic), folder, { topic, disk }));
    }
  }
  return found;
}

async function inventoryOf(path: string, folder: SurveyedFolder, { topic, disk }: { topic: string; disk: SpillDisk }): Promise<Inventory> {
  let segments = 0;
  let kept = 0;
  let bytes = 0;
  let records = 0;
  let oldestMs: number | undefined;
  const codes = new Set<string>();
  for (const name of (await disk.list(path)).toSorted()) {
    const parsed = parseSegment(name);
    const content = parsed && (await unlessReplayed(disk.read(join(path, name))));
    if (parsed === undefined || content === undefined) continue;
    if (parsed.state === 'kept') kept++;
    else segments++;
    bytes += content.length;
    for (const { timeMs, code } of readSegment(content).records) {
      records++;
      oldestMs = Math.min(oldestMs ?? timeMs, timeMs);
      codes.add(code);
    }
  }
  return { folder, topic, segments, kept, records, bytes, oldestMs, codes: [...codes] };
}

async function unlessReplayed(reading: Promise<Buffer>): Promise<Buffer | undefined> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** One record as a line of JSON. Bytes that are no UTF-8 stand as `{"base64":…}`, so that nothing is lost in the telling (16.2, row 8). */
export function lineOf({ timeMs, topic, code, error, key, partitionBy, headers, value }: SpilledRecord): string {
  return JSON.stringify({
    time: new Date(timeMs).toISOString(),
    topic,
    code,
    error,
    uuid: headers?.['uuid']?.toString(),
    key: key === null ? null : told(key),
    partitionBy: partitionBy === undefined || partitionBy === null ? undefined : told(partitionBy),
    headers: headers && Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, told(Buffer.from(header))])),
    value: told(value),
  });
}

function told(bytes: Buffer): string | { readonly base64: string } {
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') };
}

export interface ReplayAllOptions {
  readonly dir: string;
  readonly disk: SpillDisk;
  readonly ownership: Ownership;
  readonly producer: RecordProducer;
  readonly clock: Clock;
  readonly leaseMs: number;
  /** Try what was kept for a person once more, too. */
  readonly withKept: boolean;
}

/** Of how many folders nothing is left to replay, of how many something is, and who is alive and replays its own. */
export interface ReplayedAll {
  readonly emptied: readonly string[];
  readonly failed: readonly string[];
  readonly held: readonly string[];
}

const ATTEMPTS = 3;

/**
 * Adopts and replays whatever is nobody's, until all that is left has an owner that gives signs of life: of a silent one on another
 * machine that takes its lease.
 */
export async function replayAll(options: ReplayAllOptions): Promise<ReplayedAll> {
  const { dir, disk, ownership, producer, clock, leaseMs, withKept } = options;
  const emptied: string[] = [];
  const failed: string[] = [];
  const isStopped = (): boolean => false;
  const replay = (path: string, keptPath: string) => replaySegment(path, keptPath, { disk, producer, isStopped });
  for (;;) {
    for (const name of await ownership.adopt()) {
      if (withKept) await releaseKept(join(dir, name), disk);
      const isDone = await replayAdopted(join(dir, name), { disk, clock, replay, isStopped, attempts: ATTEMPTS });
      (isDone ? emptied : failed).push(name);
    }
    const others = (await ownership.survey()).filter(({ state }) => state !== 'mine');
    if (others.every(({ state }) => state === 'held')) return { emptied, failed, held: others.map(({ name }) => name) };
    await new Promise<void>((resolve) => void clock.after(leaseMs / 4, resolve));
  }
}

/** Kept segments of a folder wait for Kafka again. */
async function releaseKept(folder: string, disk: SpillDisk): Promise<void> {
  for (const topic of (await disk.list(folder)).filter(isTopicName)) {
    for (const name of await disk.list(join(folder, topic))) {
      const parsed = parseSegment(name);
      if (parsed?.state === 'kept') await disk.rename(join(folder, topic, name), join(folder, topic, segmentName(parsed.number)));
    }
  }
}
