import { join } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import type { SpillDisk } from './disk.ts';
import { isTopicName, OWNER_FILE, parseSegment, segmentName } from './names.ts';
import type { ReplayResult } from './replay.ts';

/** Replays one segment file; `keptPath` is its name when something of it must be kept. */
export type ReplayFile = (path: string, keptPath: string) => Promise<ReplayResult>;

export interface AdoptedOptions {
  readonly disk: SpillDisk;
  readonly clock: Clock;
  readonly replay: ReplayFile;
  readonly isStopped: () => boolean;
  /** How many failures in a row of one topic end the work on it. */
  readonly attempts: number;
}

const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Replays a folder that another life left: topics beside each other, so that one that Kafka refuses holds back no other, the segments of each
 * in the order of their numbers. Resolves to true when nothing is left to replay; the folder is removed then, unless something is kept in it.
 */
export async function replayAdopted(folder: string, options: AdoptedOptions): Promise<boolean> {
  const { disk } = options;
  await disk.remove(join(folder, OWNER_FILE));
  const topics = (await disk.list(folder)).filter(isTopicName);
  const results = await Promise.all(topics.map((topic) => replayTopic(join(folder, topic), options)));
  await disk.removeFolder(folder);
  return results.every(Boolean);
}

async function replayTopic(topicDir: string, options: AdoptedOptions): Promise<boolean> {
  const { disk, replay, isStopped } = options;
  let failures = 0;
  for (const number of await segmentNumbers(disk, topicDir)) {
    for (;;) {
      if (isStopped()) return false;
      const result = await replay(join(topicDir, segmentName(number)), join(topicDir, segmentName(number, 'kept')));
      if (result.type === 'gone') return true; // all of the folder is another's
      if (result.type === 'done') break;
      failures++;
      if (failures >= options.attempts) return false;
      await pause(options.clock, Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 8), LONGEST_PAUSE_MS));
    }
    failures = 0;
  }
  await disk.removeFolder(topicDir);
  return true;
}

/** Of the segments that wait for Kafka, oldest first. */
export async function segmentNumbers(disk: SpillDisk, topicDir: string): Promise<readonly number[]> {
  const names = (await disk.list(topicDir)).flatMap((name) => parseSegment(name) ?? []);
  return names
    .filter(({ state }) => state === 'segment')
    .map(({ number }) => number)
    .sort((a, b) => a - b);
}

const pause = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));
