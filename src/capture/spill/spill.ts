import { join } from 'node:path';
import { messageOf } from '../../domain/strings.ts';
import type { OutgoingRecord, RecordProducer } from '../../kafka/port.ts';
import { state } from '../../observe/facts.ts';
import type { Clock, Timer } from '../../runtime/clock.ts';
import { DEFAULT_LIMITS } from '../limits.ts';
import type { RecordsByTopic } from '../records.ts';
import type { EventSink, SinkResult, Spilled } from '../sink.ts';
import { replayAdopted } from './adopted.ts';
import { systemDisk, type SpillDisk } from './disk.ts';
import { thisLife, type Life } from './life.ts';
import { createOwnership } from './ownership.ts';
import { replaySegment, type ReplayResult } from './replay.ts';
import { createTopicLane, type LaneResult, type TopicLane } from './topic-lane.ts';
import { createTopicWriter, type SpillBudget } from './topic-writer.ts';

/**
 * Role: a sink whose records are durable in Kafka or, while Kafka does not take them, on disk, from where they go to Kafka when it does.
 * One lane for each topic (topic-lane.ts), so that a topic that is refused holds back no other; and what dead lives left in the same
 * directory is adopted and replayed (ownership.ts, adopted.ts).
 */
export interface Spill extends EventSink {
  /** Adopts and replays what others left; now, and then again and again. */
  watch(): void;
  /** Whether it would take records now, if Kafka did not. */
  isTaking(): boolean;
  /** No more records. What is pending stays on disk, free for others to adopt. */
  close(): Promise<void>;
}

export interface SpillOptions {
  readonly dir: string;
  /** Name of this process's place: pod, host. */
  readonly instance: string;
  readonly producer: RecordProducer;
  readonly clock: Clock;
  readonly segmentBytes: number;
  /** The most that waits for Kafka on this process's account. */
  readonly maxBytes: number;
  /** For so long a process of another machine may be silent before its segments are adopted. */
  readonly leaseMs: number;
  readonly disk?: SpillDisk;
  /** Who this process is, for tests that play several. */
  readonly life?: Life;
}

/** Adopted segments that are in memory at a time; of this life's own there is one for each topic that is diverted. */
const ADOPTED_COUNT = 2;
/** Of a request's whole time, the part that Kafka may have; the rest is for the disk. */
const KAFKA_SHARE = 0.8;
/** The whole time. */
const SEND_LIMIT_MS = DEFAULT_LIMITS.produceMs;
/** At the end of the process: how long Kafka has for what nobody waits for any more. */
const LAST_GRACE_MS = 1_000;
/** An adopted topic that failed so often is left to the next scan. */
const ADOPTED_ATTEMPTS = 8;

export async function openSpill(options: SpillOptions): Promise<Spill> {
  const { dir, producer, clock, segmentBytes, maxBytes, leaseMs, disk = systemDisk } = options;
  const ownership = createOwnership({ dir, disk, clock, life: options.life ?? (await thisLife(options.instance, leaseMs)) });
  const budget: SpillBudget = { maxBytes, pendingBytes: 0, isRefusing: false };
  const lanes = new Map<string, TopicLane>();
  const atATime = createGate(ADOPTED_COUNT);
  let closed = false;
  let scanTimer: Timer | undefined;
  /** Adopted folders at work. */
  const working = new Set<string>();
  /** Adopted folders that have something left. */
  const left = new Set<string>();

  const replay = (path: string, keptPath: string): Promise<ReplayResult> =>
    replaySegment(path, keptPath, { disk, producer, isStopped: () => closed });
  const replayOne: typeof replay = (path, keptPath) => atATime(() => replay(path, keptPath));

  function laneOf(topic: string): TopicLane {
    let lane = lanes.get(topic);
    if (lane === undefined) {
      const writer = createTopicWriter({ dir, topic, disk, ownership, budget, segmentBytes });
      lane = createTopicLane({
        topic,
        producer,
        writer,
        replay: ({ path }) => replay(path, path.replace(/segment$/, 'kept')),
        clock,
        kafkaMs: SEND_LIMIT_MS * KAFKA_SHARE,
      });
      lanes.set(topic, lane);
    }
    return lane;
  }

  async function sendAll(records: RecordsByTopic): Promise<SinkResult> {
    return resultOf(records, await Promise.all([...records].map(([topic, ofTopic]) => laneOf(topic).send(ofTopic))));
  }

  async function scan(): Promise<void> {
    try {
      for (const name of await ownership.adopt()) left.add(name);
      for (const name of left) if (!working.has(name)) void work(name);
    } catch (error) {
      const fields = { error: messageOf(error) };
      state('log-written', { level: 'warn', message: 'The spill directory could not be searched for what others left.', fields });
    }
    if (!closed) scanTimer = clock.after(leaseMs / 4, () => void scan());
  }

  async function work(name: string): Promise<void> {
    working.add(name);
    try {
      const isDone = await replayAdopted(join(dir, name), {
        disk,
        clock,
        replay: replayOne,
        isStopped: () => closed,
        attempts: ADOPTED_ATTEMPTS,
      });
      if (isDone) left.delete(name);
    } catch (error) {
      const fields = { folder: name, error: messageOf(error) };
      state('log-written', { level: 'warn', message: 'An adopted spill could not be read; it is tried again.', fields });
    } finally {
      working.delete(name);
    }
  }

  return {
    send: (records, limitMs) => withinMs(clock, limitMs, records, sendAll(records)),
    watch() {
      void scan();
    },
    roomBytes() {
      for (const lane of lanes.values()) if (!lane.isShut()) return Infinity;
      return lanes.size === 0 ? Infinity : maxBytes - budget.pendingBytes;
    },
    isTaking: () => !closed && !budget.isRefusing && budget.pendingBytes < maxBytes,
    async close() {
      closed = true;
      scanTimer?.cancel();
      await Promise.all([...lanes.values()].map((lane) => lane.stop(LAST_GRACE_MS)));
      await ownership.release();
    },
  };
}

/** `results` are in the order of the topics. */
function resultOf(records: RecordsByTopic, results: readonly LaneResult[]): SinkResult {
  const missing = new Map<string, readonly OutgoingRecord[]>();
  let error: Error | undefined;
  let spilled: Spilled | undefined;
  let at = 0;
  for (const [topic, ofTopic] of records) {
    const result = results[at++];
    if (result?.type === 'too-large') return { type: 'too-large', detail: result.detail };
    if (result?.type === 'spilled') spilled = result.spilled;
    if (result?.type !== 'unavailable') continue;
    missing.set(topic, ofTopic);
    error ??= result.error;
  }
  if (error !== undefined) return { type: 'unavailable', missing, error };
  return spilled === undefined ? { type: 'acknowledged' } : { type: 'acknowledged', spilled };
}

function withinMs(clock: Clock, limitMs: number, records: RecordsByTopic, work: Promise<SinkResult>): Promise<SinkResult> {
  return new Promise((resolve) => {
    const limit = clock.after(limitMs, () => {
      resolve({ type: 'unavailable', missing: records, error: new Error(`neither Kafka nor the spill answered within ${limitMs} ms`) });
    });
    void work.then(resolve).finally(() => limit.cancel());
  });
}

/** At most `count` at a time, the others in the order they came. */
function createGate(count: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = count;
  const queue: (() => void)[] = [];
  return async (work) => {
    if (free === 0) await new Promise<void>((resolve) => queue.push(resolve));
    else free--;
    try {
      return await work();
    } finally {
      const next = queue.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
