import { createRoster, type Place } from '../domain/roster.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import { ProduceError, type OutgoingRecord } from './port.ts';

/**
 * Lanes: one per partition. A lane has one request in flight, to one partition; what comes meanwhile waits and is merged
 * into the next request. That is the use in which both Kafka clients lost, doubled and reordered nothing while leaders
 * were killed (docs/measured.md): a request over several partitions cannot follow them to different new leaders, and
 * two requests in flight to one partition can change places. Pure: `send` and the clock are given.
 *
 *   a lane is   idle → lingering → sending → (lingering → sending …) → idle
 *   a job is    waiting → in flight → done | failed      (the records of one call for one partition)
 *
 * L1  At most one `send` is in flight per lane, and its records are of that partition alone.
 * L2  Records leave a lane in the order they came. A job may span several requests, a request several jobs.
 * L3  No request is above `maxBatchBytes` or `maxBatchCount`, unless one record alone is.
 * L4  A job that misses its deadline is told so, at the deadline. If a request with some of its records is in flight,
 *     the lane still waits for that request to end: nothing behind it may overtake what may yet be written.
 * L5  `queuedBytes` counts a record from `push` until its request ended or it was given up unsent.
 * L6  A request refused as too large is halved until the one record that is too large stands alone: only its job fails.
 * L7  Lanes that linger go at one beat, `lingerMs` after the first of them began, so that requests leave together and are answered together:
 *     what they cost in system calls and wake-ups does not grow with the partitions. What came while a lane was sending lingers too,
 *     unless it fills a request.
 */
export interface LanesOptions {
  /**
   * Sends records of one partition. Resolves when all are acknowledged. Rejects only when no further attempt is made;
   * with ProduceError 'too-large' when the broker refused the request for its size.
   */
  readonly send: (topic: string, partition: number, records: readonly OutgoingRecord[]) => Promise<void>;
  readonly clock: Clock;
  readonly maxBatchBytes: number;
  readonly maxBatchCount: number;
  /** How long a record that is first in its lane waits for company at most; 0 merges only what comes in the same turn. */
  readonly lingerMs: number;
  /** How long a job may take from `push` to its acknowledgement. */
  readonly sendTimeoutMs: number;
}

export interface Lanes {
  /**
   * Hands in records of one partition. Resolves when all are acknowledged.
   * @throws ProduceError 'unavailable' at the deadline or when a request failed for good, 'too-large' as in L6, or what `send` rejected with when that is one.
   */
  push(topic: string, partition: number, records: readonly OutgoingRecord[]): Promise<void>;
  queuedBytes(): number;
  /** Resolves when no job is left, which is `sendTimeoutMs` after the last push at the latest. */
  drained(): Promise<void>;
}

/** What a record costs on the wire and in memory: its bytes and a little for the rest. */
export function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let bytes = value.length + (key?.length ?? 0) + RECORD_OVERHEAD_BYTES;
  for (const name in headers) {
    const header = headers[name];
    bytes += name.length + (header?.length ?? 0) + HEADER_OVERHEAD_BYTES;
  }
  return bytes;
}
const RECORD_OVERHEAD_BYTES = 32;
const HEADER_OVERHEAD_BYTES = 8;

interface Job {
  readonly records: readonly OutgoingRecord[];
  readonly deadlineAt: number;
  readonly resolve: () => void;
  readonly reject: (error: ProduceError) => void;
  readonly lane: Lane;
  /** Records taken into a request so far; as many as there are when the job has none waiting. */
  taken: number;
  /** Records not acknowledged so far. */
  left: number;
  /** Among those that have not ended. */
  place: Place<Job> | undefined;
}

interface Lane {
  readonly topic: string;
  readonly partition: number;
  waiting: Job[];
  waitingBytes: number;
  waitingCount: number;
  state: 'idle' | 'lingering' | 'sending';
}

/** A record on its way, with the job that waits for it. */
interface Passenger {
  readonly record: OutgoingRecord;
  readonly bytes: number;
  readonly job: Job;
}

export function createLanes(options: LanesOptions): Lanes {
  const { clock, maxBatchBytes, maxBatchCount, lingerMs, sendTimeoutMs } = options;
  const lanes = new Map<string, Lane>();
  let queuedBytes = 0;
  const whenDrained: (() => void)[] = [];
  /** Jobs that have not ended in the order of their deadlines, which is the order they came in. */
  const jobs = createRoster<Job>();
  let deadlineTimer: Timer | undefined;
  /** Lanes that wait for the next beat. */
  let lingering: Lane[] = [];

  function laneOf(topic: string, partition: number): Lane {
    const key = `${topic}/${partition}`;
    let lane = lanes.get(key);
    if (lane === undefined) {
      lane = { topic, partition, waiting: [], waitingBytes: 0, waitingCount: 0, state: 'idle' };
      lanes.set(key, lane);
    }
    return lane;
  }

  /** Ends a job once. Its records that still wait leave the lane unsent. */
  function endJob(job: Job, error?: ProduceError): void {
    if (job.place === undefined || !jobs.leave(job.place)) return;
    for (; job.taken < job.records.length; job.taken++) {
      const record = job.records[job.taken];
      if (record !== undefined) unqueue(job.lane, sizeOf(record));
    }
    if (error === undefined) job.resolve();
    else job.reject(error);
    if (jobs.size > 0) return;
    deadlineTimer?.cancel();
    deadlineTimer = undefined;
    for (const resolve of whenDrained.splice(0)) resolve();
  }

  function unqueue(lane: Lane, bytes: number): void {
    queuedBytes -= bytes;
    lane.waitingBytes -= bytes;
    lane.waitingCount--;
  }

  /** L4 */
  function expire(): void {
    deadlineTimer = undefined;
    const now = clock.monotonic();
    for (let job = jobs.oldest(); job !== undefined && job.deadlineAt <= now; job = jobs.oldest()) {
      const fate = job.taken === 0 ? 'they were not sent' : 'some may still be written';
      const where = `${job.lane.topic}/${job.lane.partition}`;
      endJob(job, new ProduceError('unavailable', `Kafka did not acknowledge records for ${where} within ${sendTimeoutMs} ms; ${fate}.`));
    }
    armDeadline();
  }

  function armDeadline(): void {
    const first = jobs.oldest();
    if (first === undefined || deadlineTimer !== undefined) return;
    deadlineTimer = clock.after(Math.max(0, first.deadlineAt - clock.monotonic()), expire);
  }

  /** Takes the next request out of a lane (L2, L3). */
  function takeBatch(lane: Lane): Passenger[] {
    const batch: Passenger[] = [];
    let batchBytes = 0;
    let emptied = 0;
    for (const job of lane.waiting) {
      while (job.taken < job.records.length) {
        const record = job.records[job.taken];
        if (record === undefined) break;
        const bytes = sizeOf(record);
        if (batch.length > 0 && (batch.length >= maxBatchCount || batchBytes + bytes > maxBatchBytes)) {
          lane.waiting = lane.waiting.slice(emptied);
          return batch;
        }
        job.taken++;
        batchBytes += bytes;
        lane.waitingBytes -= bytes;
        lane.waitingCount--;
        batch.push({ record, bytes, job });
      }
      emptied++;
    }
    lane.waiting = [];
    return batch;
  }

  /** Sends what waits in a lane, and while that fills requests. What is left lingers. */
  async function drain(lane: Lane): Promise<void> {
    lane.state = 'sending';
    do {
      const batch = takeBatch(lane);
      if (batch.length > 0) await sendBatch(lane, batch);
    } while (isFull(lane));
    lane.state = 'idle';
    if (lane.waiting.length > 0) linger(lane);
  }

  const isFull = ({ waitingCount, waitingBytes }: Lane): boolean => waitingCount >= maxBatchCount || waitingBytes >= maxBatchBytes;

  /** L7 */
  function linger(lane: Lane): void {
    lane.state = 'lingering';
    lingering.push(lane);
    if (lingering.length > 1) return;
    if (lingerMs === 0) queueMicrotask(beat);
    else clock.after(lingerMs, beat);
  }

  function beat(): void {
    const lanes = lingering;
    lingering = [];
    for (const lane of lanes) if (lane.state === 'lingering') void drain(lane);
  }

  function landed(batch: readonly Passenger[]): void {
    for (const { bytes } of batch) queuedBytes -= bytes;
  }

  /** Sends one request and tells its jobs. Never rejects. */
  async function sendBatch(lane: Lane, batch: readonly Passenger[]): Promise<void> {
    try {
      await options.send(
        lane.topic,
        lane.partition,
        batch.map(({ record }) => record),
      );
    } catch (thrown) {
      const error =
        thrown instanceof ProduceError ? thrown : new ProduceError('unavailable', 'Kafka refused the records.', { cause: thrown });
      if (error.code === 'too-large' && batch.length > 1) {
        const middle = batch.length >> 1;
        await sendBatch(lane, batch.slice(0, middle));
        await sendBatch(lane, batch.slice(middle));
        return;
      }
      landed(batch);
      for (const { job } of batch) endJob(job, error);
      return;
    }
    landed(batch);
    for (const { job } of batch) {
      job.left--;
      if (job.left === 0) endJob(job);
    }
  }

  return {
    push(topic, partition, records) {
      if (records.length === 0) return Promise.resolve();
      const lane = laneOf(topic, partition);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const deadlineAt = clock.monotonic() + sendTimeoutMs;
      const job: Job = { records, deadlineAt, resolve, reject, lane, taken: 0, left: records.length, place: undefined };
      job.place = jobs.add(job);
      armDeadline();
      lane.waiting.push(job);
      for (const record of records) {
        const bytes = sizeOf(record);
        queuedBytes += bytes;
        lane.waitingBytes += bytes;
        lane.waitingCount++;
      }
      if (lane.state === 'idle') linger(lane);
      if (lane.state === 'lingering' && lingerMs > 0 && isFull(lane)) void drain(lane);
      return promise;
    },

    queuedBytes: () => queuedBytes,

    drained: () => (jobs.size === 0 ? Promise.resolve() : new Promise((resolve) => void whenDrained.push(resolve))),
  };
}
