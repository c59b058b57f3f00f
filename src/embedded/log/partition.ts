import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ProduceError } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import { openCursor, type LogCursor } from './cursor.ts';
import { syncDirectory } from '../../files/durable.ts';
import type { LogFile, OpenLogFile } from './files.ts';
import { sealFrame } from './frame.ts';
import { scanFrames, type Segment } from './segment.ts';

/**
 * Role: one partition: an append-only run of segment files, `<offset of the first record>.log`.
 *
 *     open ──▶ writable ◀──repair── damaged        any ──close──▶ closed
 *                 └──a write or sync failed──▶┘
 *
 * I1 A record is visible, and its append resolved, only after fdatasync of all bytes up to its end.
 * I2 Offsets are dense: each frame begins where the one before it ended, over segments and restarts.
 * I3 After a failed write nothing is written before the file was cut back to its durable length: no reader, now or
 *    after a crash, meets half of a frame in front of a whole one.
 * I4 Only the last segment may have an unsound tail; opening cuts it. A segment is sealed only after its last sync.
 * I5 Retention removes whole segments, oldest first, each only when every group has read it to its end.
 *
 * Group commit: while one write and its sync are in flight, appends collect; then one writev and one sync serve all.
 * What it does not do: replicate, compact, expire by time, or retry a sync (after a failed one the kernel may have
 * dropped the pages and call them clean, so the bytes are cut off and the producer is told).
 */
export interface PartitionLog {
  readonly topic: string;
  readonly partition: number;
  startOffset(): number;
  /** One past the last durable record. */
  endOffset(): number;
  /** Resolves when the frame is durable (I1). @throws ProduceError 'unavailable' when the disk refuses. */
  append(frame: Buffer, count: number): Promise<void>;
  cursor(offset: number): Promise<LogCursor>;
  /** Calls `listener` after each durable append. Returns the function that ends it. */
  onAppend(listener: () => void): () => void;
  /** I5: removes read segments while more than `retainBytes` are kept. */
  retain(readBelowOffset: number): Promise<void>;
  close(): Promise<void>;
}

export interface PartitionOptions {
  readonly dir: string;
  readonly topic: string;
  readonly partition: number;
  readonly segmentBytes: number;
  readonly retainBytes: number;
  readonly fsync: boolean;
  readonly now: () => number;
  readonly openFile: OpenLogFile;
}

interface Waiter {
  readonly frame: Buffer;
  readonly count: number;
  resolve(): void;
  reject(error: Error): void;
}

/** The most that one write carries; the rest waits for the next one, so that a burst does not delay its first senders. */
const FLIGHT_BYTES = 16 << 20;
const SEGMENT_NAME = /^(\d{20})\.log$/;

/** Opens (or begins) the partition in `dir`: scans the last segment, cuts its tail at the first unsound frame (I4). */
export async function openPartition(options: PartitionOptions): Promise<PartitionLog> {
  const { dir, topic, partition, segmentBytes, retainBytes, fsync, now, openFile } = options;
  await mkdir(dir, { recursive: true });
  const segments = await listSegments(dir, openFile);
  let active: LogFile;
  let end: number;
  const last = segments.at(-1);
  if (last === undefined) {
    end = 0;
    active = await begin(0);
  } else {
    active = await openFile(last.path, 'append');
    end = await recover(last, active, `${topic}-${partition}`);
  }

  let damaged = false;
  let flying: Promise<void> | undefined;
  let closed = false;
  let retaining = false;
  const waiting: Waiter[] = [];
  const listeners = new Set<() => void>();

  /** Creates the segment that begins at `baseOffset` and makes its name durable. */
  async function begin(baseOffset: number): Promise<LogFile> {
    const path = join(dir, `${String(baseOffset).padStart(20, '0')}.log`);
    const file = await openFile(path, 'create');
    try {
      if (fsync) await syncDirectory(dir);
    } catch (error) {
      await file.close();
      throw error;
    }
    segments.push({ baseOffset, path, durableBytes: 0 });
    return file;
  }

  async function repair(segment: Segment): Promise<void> {
    await active.truncate(segment.durableBytes);
    if (fsync) await active.sync();
    damaged = false;
  }

  async function write(flight: readonly Waiter[]): Promise<void> {
    let segment = lastOf(segments);
    if (damaged) await repair(segment);
    if (segment.durableBytes >= segmentBytes) {
      const sealed = active;
      active = await begin(end);
      segment = lastOf(segments);
      await sealed.close();
    }
    let nextOffset = end;
    let bytes = 0;
    const timestampMs = now();
    for (const { frame, count } of flight) {
      sealFrame(frame, nextOffset, timestampMs);
      nextOffset += count;
      bytes += frame.length;
    }
    try {
      const frames = flight.map((waiter) => waiter.frame);
      await active.writeAll(frames, segment.durableBytes);
      if (fsync) await active.sync();
    } catch (cause) {
      damaged = true;
      // A full disk lets us shrink a file; when even this fails the next write tries again before anything else (I3).
      await repair(segment).catch(() => undefined);
      throw cause;
    }
    segment.durableBytes += bytes;
    end = nextOffset;
  }

  async function fly(): Promise<void> {
    while (waiting.length > 0) {
      const flight = takeFlight(waiting);
      try {
        await write(flight);
      } catch (cause) {
        const error = refusal(topic, partition, cause);
        for (const waiter of flight) waiter.reject(error);
        continue;
      }
      for (const waiter of flight) waiter.resolve();
      for (const listener of listeners) listener();
    }
    flying = undefined;
  }

  return {
    topic,
    partition,
    startOffset: () => segments[0]?.baseOffset ?? 0,
    endOffset: () => end,
    append(frame, count) {
      if (closed) return Promise.reject(new ProduceError('unavailable', `the log of ${topic}-${partition} is closed`));
      const done = new Promise<void>((resolve, reject) => waiting.push({ frame, count, resolve, reject }));
      flying ??= fly();
      return done;
    },
    cursor: (offset) => openCursor({ segments, openFile, offset, where: `${topic}-${partition}` }),
    onAppend(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async retain(readBelowOffset) {
      if (retaining || closed) return;
      retaining = true;
      try {
        let kept = segments.reduce((sum, segment) => sum + segment.durableBytes, 0);
        for (;;) {
          const [oldest, next] = segments;
          if (oldest === undefined || next === undefined || kept <= retainBytes || next.baseOffset > readBelowOffset) return;
          segments.shift();
          kept -= oldest.durableBytes;
          await unlink(oldest.path);
        }
      } finally {
        retaining = false;
      }
    },
    async close() {
      closed = true;
      await flying;
      await active.close();
    },
  };
}

async function listSegments(dir: string, openFile: OpenLogFile): Promise<Segment[]> {
  const bases = (await readdir(dir)).flatMap((name) => SEGMENT_NAME.exec(name)?.[1] ?? []).sort();
  const segments: Segment[] = [];
  for (const base of bases) {
    const path = join(dir, `${base}.log`);
    const file = await openFile(path, 'read');
    segments.push({ baseOffset: Number(base), path, durableBytes: await file.sizeBytes() });
    await file.close();
  }
  return segments;
}

/** I4. Resolves to the end offset. */
async function recover(segment: Segment, file: LogFile, where: string): Promise<number> {
  let end = segment.baseOffset;
  let soundBytes = 0;
  for await (const frame of scanFrames(file, segment.durableBytes)) {
    if (frame.header.baseOffset !== end || !frame.isSound()) break;
    end += frame.header.count;
    soundBytes = frame.at + frame.header.bytes;
  }
  const cutBytes = segment.durableBytes - soundBytes;
  if (cutBytes > 0) await file.truncate(soundBytes);
  // Also without a cut: a killed process may have left whole frames that only the page cache holds.
  await file.sync();
  segment.durableBytes = soundBytes;
  if (cutBytes > 0) {
    state('log-written', {
      level: 'warn',
      message: 'The embedded log cut an unfinished append, which nobody was told had succeeded.',
      fields: { partition: where, cutBytes, endOffset: end },
    });
  }
  return end;
}

function takeFlight(waiting: Waiter[]): readonly Waiter[] {
  let bytes = 0;
  let count = 0;
  for (const { frame } of waiting) {
    if (count > 0 && bytes + frame.length > FLIGHT_BYTES) break;
    bytes += frame.length;
    count++;
  }
  return waiting.splice(0, count);
}

function lastOf(segments: readonly Segment[]): Segment {
  const last = segments.at(-1);
  if (last === undefined) throw new Error('a partition log always has a last segment');
  return last;
}

function refusal(topic: string, partition: number, cause: unknown): ProduceError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : message;
  return new ProduceError('unavailable', `the embedded log cannot write ${topic}-${partition}: ${why}`, { cause });
}
