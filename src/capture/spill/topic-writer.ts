import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import type { SpillDisk, SpillFile } from './disk.ts';
import { segmentName } from './names.ts';
import type { Ownership } from './ownership.ts';
import { sealFrame, segmentHeader, SEGMENT_HEADER_BYTES, type Salt } from './record.ts';

/**
 * Role: the segments of one topic that this process writes.
 *
 *     nothing ──append──▶ writing ──full, sealed, or the disk refused──▶ sealed … ──forget──▶ nothing
 *
 * W1 An append resolves only after fdatasync of all its bytes, and after the folder was found to be still ours (ownership.ts, N2).
 * W2 Frames are in the order of the appends, over segments and lives.
 * W3 After a failed write or sync nothing more is written to that file: what is sound in it stays in front of what is not.
 * W4 A sealed segment is never written to again; only sealed ones are replayed.
 * W5 No append is taken above the budget.
 *
 * Group commit: while one write and its sync are in flight, appends collect; then one write and one sync serve all of them.
 */
export interface TopicWriter {
  /** W1. @throws SpillError */
  append(frames: readonly Buffer[]): Promise<void>;
  /** Ends the segment that is being written, if there is one. */
  seal(): Promise<void>;
  /** The oldest sealed segment. */
  oldest(): Segment | undefined;
  /** Its records are where they belong: it is no longer pending. */
  forget(segment: Segment): void;
  /** Records taken and not forgotten, also those that are not durable yet. */
  pendingCount(): number;
}

export interface Segment {
  readonly folder: string;
  readonly path: string;
  /** Durable bytes and records. */
  bytes: number;
  records: number;
}

/** What the spill says when it takes nothing. */
export class SpillError extends Error {
  readonly code: 'full' | 'disk' | 'closed';
  constructor(code: SpillError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'SpillError';
    this.code = code;
  }
}

/** Bytes that wait for Kafka, of all topics. */
export interface SpillBudget {
  readonly maxBytes: number;
  pendingBytes: number;
  /** The last write failed. */
  isRefusing: boolean;
}

export interface TopicWriterOptions {
  readonly dir: string;
  readonly topic: string;
  readonly disk: SpillDisk;
  readonly ownership: Ownership;
  readonly budget: SpillBudget;
  /** A segment that has so many is sealed. */
  readonly segmentBytes: number;
}

interface Active extends Segment {
  readonly file: SpillFile;
  readonly salt: Salt;
}

interface Waiter {
  readonly frames: readonly Buffer[];
  readonly bytes: number;
  resolve(): void;
  reject(error: Error): void;
}

/** The most that one write carries, so that a burst does not delay its first senders. */
const FLIGHT_BYTES = 4 << 20;
/** Lives that a flight may lose before it is given up. */
const LIVES = 3;

export function createTopicWriter(options: TopicWriterOptions): TopicWriter {
  const { dir, topic, disk, ownership, budget, segmentBytes } = options;
  const sealed: Segment[] = [];
  const waiting: Waiter[] = [];
  const sealers: (() => void)[] = [];
  let active: Active | undefined;
  let flying: Promise<void> | undefined;
  let nextNumber = 1;
  let pending = 0;

  async function begin(): Promise<Active> {
    const folder = await ownership.folder();
    const topicDir = join(dir, folder, topic);
    await disk.makeFolder(topicDir);
    const path = join(topicDir, segmentName(nextNumber++));
    const file = await disk.create(path);
    try {
      await disk.syncFolder(topicDir);
      await disk.syncFolder(join(dir, folder));
    } catch (error) {
      await file.close();
      throw error;
    }
    return { folder, path, file, salt: randomBytes(8), bytes: 0, records: 0 };
  }

  /** W3, W4 */
  async function end(): Promise<void> {
    if (active === undefined) return;
    const { file, folder, path, bytes, records } = active;
    active = undefined;
    // Before anything is waited for: whoever asks for the oldest one finds it.
    if (records > 0) sealed.push({ folder, path, bytes, records });
    await file.close();
    if (records === 0) await disk.remove(path);
  }

  /** Segments of a life that was adopted are its adopter's to replay. */
  function giveUp(folder: string): void {
    for (const segment of sealed.filter((one) => one.folder === folder)) forget(segment);
  }

  function forget(segment: Segment): void {
    const at = sealed.indexOf(segment);
    if (at < 0) return;
    sealed.splice(at, 1);
    pending -= segment.records;
    budget.pendingBytes -= segment.bytes;
  }

  async function write(flight: readonly Waiter[]): Promise<void> {
    for (let life = 1; life <= LIVES; life++) {
      if (active !== undefined && active.bytes >= segmentBytes) await end();
      active ??= await begin();
      const segment = active;
      const frames = flight.flatMap((waiter) => waiter.frames);
      const flightAt = segment.bytes === 0 ? SEGMENT_HEADER_BYTES : segment.bytes;
      for (const frame of frames) sealFrame(frame, segment.salt, flightAt);
      await segment.file.append(segment.bytes === 0 ? [segmentHeader(segment.salt), ...frames] : frames);
      await segment.file.sync();
      if (await ownership.isMine(segment.folder)) {
        const bytes = flightAt - segment.bytes + bytesOf(flight);
        segment.bytes += bytes;
        segment.records += frames.length;
        // What was taken from the budget was the frames; the header is the segment's.
        budget.pendingBytes += bytes - bytesOf(flight);
        return;
      }
      await end();
      giveUp(segment.folder);
    }
    throw new Error(`the folder was adopted ${LIVES} times in a row`);
  }

  async function fly(): Promise<void> {
    while (waiting.length > 0 || sealers.length > 0) {
      if (sealers.length > 0) {
        await end().catch(() => undefined); // what is in it is durable: closing adds nothing
        for (const resolve of sealers.splice(0)) resolve();
        continue;
      }
      const flight = takeFlight(waiting);
      try {
        await write(flight);
      } catch (cause) {
        await end().catch(() => undefined);
        const error = refusal(topic, cause);
        budget.isRefusing = true;
        for (const waiter of flight) {
          release(waiter);
          waiter.reject(error);
        }
        continue;
      }
      budget.isRefusing = false;
      for (const waiter of flight) waiter.resolve();
    }
    flying = undefined;
  }

  function release({ frames, bytes }: Waiter): void {
    pending -= frames.length;
    budget.pendingBytes -= bytes;
  }

  return {
    append(frames) {
      const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
      if (budget.pendingBytes + bytes > budget.maxBytes) {
        return Promise.reject(new SpillError('full', `the spill holds ${budget.pendingBytes} of ${budget.maxBytes} bytes`));
      }
      budget.pendingBytes += bytes;
      pending += frames.length;
      const done = new Promise<void>((resolve, reject) => waiting.push({ frames, bytes, resolve, reject }));
      flying ??= fly();
      return done;
    },
    seal() {
      const done = new Promise<void>((resolve) => sealers.push(resolve));
      flying ??= fly();
      return done;
    },
    oldest: () => sealed[0],
    forget,
    pendingCount: () => pending,
  };
}

const bytesOf = (flight: readonly Waiter[]): number => flight.reduce((sum, waiter) => sum + waiter.bytes, 0);

function takeFlight(waiting: Waiter[]): readonly Waiter[] {
  let bytes = 0;
  let count = 0;
  for (const waiter of waiting) {
    if (count > 0 && bytes + waiter.bytes > FLIGHT_BYTES) break;
    bytes += waiter.bytes;
    count++;
  }
  return waiting.splice(0, count);
}

function refusal(topic: string, cause: unknown): SpillError {
  if (cause instanceof SpillError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : message;
  return new SpillError('disk', `the spill cannot keep records for '${topic}': ${why}`, { cause });
}
