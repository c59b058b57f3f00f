import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TopicPartition } from '../domain/ids.ts';
import type { RecordConsumer, RecordProducer, TopicAdmin } from '../kafka/port.ts';
import type { Clock } from '../runtime/clock.ts';
import { createConsumer } from './log/consumer.ts';
import { createCoordinator, type Coordinator } from './log/coordinator.ts';
import { syncDirectory } from '../files/durable.ts';
import { openOnDisk, type OpenLogFile } from './log/files.ts';
import { groupOfFile, openGroup } from './log/group.ts';
import { lockDirectory } from './log/lock.ts';
import { openPartition, type PartitionLog } from './log/partition.ts';
import { createProducer } from './log/producer.ts';

/**
 * A durable log in one directory that stands in for Kafka when Troupe runs as one process: the ports of src/kafka with
 * the same partitioning, ordering, generations and acknowledgement. One process has the directory open at a time.
 *
 *     <dir>/lock                                   pid of the holder
 *     <dir>/topics/<topic>/<partition>/<offset>.log   segments (log/partition.ts, log/frame.ts)
 *     <dir>/groups/<group>.json                    generation and watermarks (log/group.ts)
 */
export interface EmbeddedLog {
  /** Limits given here replace the log's own for this producer. */
  producer(limits?: ProducerLimits): RecordProducer;
  consumer(options: EmbeddedConsumerOptions): RecordConsumer;
  admin(): TopicAdmin;
  /** Stops the consumers, waits for accepted records, gives the directory back. Idempotent. */
  close(): Promise<void>;
}

export interface ProducerLimits {
  /** Key, value and headers of one record. @defaultValue 1 MiB */
  readonly maxRecordBytes?: number;
  /** Accepted and not yet durable, per producer. @defaultValue 64 MiB */
  readonly maxQueuedBytes?: number;
}

export interface EmbeddedLogOptions extends ProducerLimits {
  /** Made when missing. */
  readonly dir: string;
  readonly clock: Clock;
  /** A segment is closed when it has this many bytes. Larger: retention frees less often and opening scans more. @defaultValue 64 MiB */
  readonly segmentBytes?: number;
  /** Whether an acknowledgement waits for the device. False only where the directory is thrown away afterwards. @defaultValue true */
  readonly fsync?: boolean;
  /** Read bytes kept per partition; beyond it whole read segments go. Unread ones never go. @defaultValue 256 MiB */
  readonly retainBytes?: number;
  /** For tests of failing disks. */
  readonly openFile?: OpenLogFile;
}

export interface EmbeddedConsumerOptions {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** @defaultValue 1 MiB */
  readonly maxBatchBytes?: number;
  /** @defaultValue 30,000 */
  readonly revokeLimitMs?: number;
}

const MIB = 1 << 20;
const TOPIC_NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/;

/**
 * Opens the log in `dir`, cutting what a crash left unfinished.
 * @throws Error when another process has it open (naming its pid), or when what is stored is damaged.
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const { dir, clock, segmentBytes = 64 * MIB, fsync = true, retainBytes = 256 * MIB } = options;
  const { maxRecordBytes = MIB, maxQueuedBytes = 64 * MIB, openFile = openOnDisk } = options;
  const topicsDir = join(dir, 'topics');
  const groupsDir = join(dir, 'groups');
  await mkdir(topicsDir, { recursive: true });
  await mkdir(groupsDir, { recursive: true });
  const unlock = await lockDirectory(dir);
  const topics = new Map<string, readonly PartitionLog[]>();
  const groups = new Map<string, Coordinator>();
  const consumers = new Set<RecordConsumer>();
  const producers = new Set<RecordProducer>();
  let closing: Promise<void> | undefined;
  let creating: Promise<void> = Promise.resolve();
  let memberCount = 0;

  async function openTopic(topic: string, count: number): Promise<void> {
    const partitions: PartitionLog[] = [];
    for (let partition = 0; partition < count; partition++) {
      const partitionDir = join(topicsDir, topic, String(partition));
      partitions.push(
        await openPartition({ dir: partitionDir, topic, partition, segmentBytes, retainBytes, fsync, now: () => clock.now(), openFile }),
      );
    }
    topics.set(topic, partitions);
  }

  /** A topic appears with all its partitions or not at all: it is laid out aside and renamed into place. */
  async function createTopic(topic: string, partitions: number): Promise<void> {
    if (topics.has(topic)) return;
    if (!TOPIC_NAME.test(topic)) throw new Error(`not a topic name: ${JSON.stringify(topic)}`);
    if (!Number.isInteger(partitions) || partitions < 1) throw new Error(`topic ${topic} needs at least one partition, not ${partitions}`);
    const draft = join(dir, `topic.draft`);
    await rm(draft, { recursive: true, force: true });
    for (let partition = 0; partition < partitions; partition++) await mkdir(join(draft, String(partition)), { recursive: true });
    await syncDirectory(draft);
    await rename(draft, join(topicsDir, topic));
    await syncDirectory(topicsDir);
    await openTopic(topic, partitions);
  }

  function partitionLog({ topic, partition }: TopicPartition): PartitionLog {
    const found = topics.get(topic)?.[partition];
    if (found === undefined) throw new Error(`the embedded log has no partition ${partition} of topic ${topic}`);
    return found;
  }

  async function coordinatorOf(groupId: string): Promise<Coordinator> {
    const known = groups.get(groupId);
    if (known !== undefined) return known;
    const opened = createCoordinator(await openGroup(groupsDir, groupId), (topic) => topics.get(topic)?.length ?? 0);
    return groups.get(groupId) ?? (groups.set(groupId, opened), opened);
  }

  /** Everything below it was read by every group that reads the topic; 0 while one of them has not committed yet. */
  function readBelow({ topic, partition }: TopicPartition): number {
    const readers = [...groups.values()].filter(({ store }) => store.reads(topic));
    if (readers.length === 0) return 0;
    return Math.min(...readers.map(({ store }) => store.committed(topic, partition) ?? 0));
  }

  function retain(partitions: readonly TopicPartition[]): void {
    for (const where of partitions) {
      const log = topics.get(where.topic)?.[where.partition];
      // A segment that cannot be removed now is removed after a later commit; nothing depends on it.
      log?.retain(readBelow(where)).catch(() => undefined);
    }
  }

  try {
    for (const topic of await readdir(topicsDir)) await openTopic(topic, (await readdir(join(topicsDir, topic))).length);
    for (const name of await readdir(groupsDir)) {
      const groupId = groupOfFile(name);
      if (groupId !== undefined) await coordinatorOf(groupId);
    }
  } catch (error) {
    await unlock();
    throw error;
  }

  return {
    producer(limits) {
      const made = createProducer({ partitionsOf: (topic) => topics.get(topic), maxRecordBytes, maxQueuedBytes, clock, ...limits });
      producers.add(made);
      return made;
    },
    consumer({ groupId, topics: subscribed, maxBatchBytes = MIB, revokeLimitMs = 30_000 }) {
      const memberId = `embedded-${process.pid}-${++memberCount}`;
      let made: RecordConsumer | undefined;
      let starting: Promise<void> = Promise.resolve();
      const outer: RecordConsumer = {
        start(handlers) {
          const begun = coordinatorOf(groupId).then((coordinator) => {
            made = createConsumer({
              ...{ memberId, topics: subscribed, maxBatchBytes, revokeLimitMs, clock, coordinator, partitionLog },
              committed: retain,
            });
            return made.start(handlers);
          });
          starting = begun.catch(() => undefined);
          return begun;
        },
        commit: (generation, watermarks) => made?.commit(generation, watermarks) ?? Promise.resolve('stale'),
        sinceHeartbeatMs: () => made?.sinceHeartbeatMs() ?? Infinity,
        sincePollMs: () => made?.sincePollMs() ?? Infinity,
        pause: (partitions) => made?.pause(partitions),
        resume: (partitions) => made?.resume(partitions),
        async stop() {
          await starting;
          await made?.stop();
          consumers.delete(outer);
        },
      };
      consumers.add(outer);
      return outer;
    },
    admin: () => ({
      ensureTopics(wanted) {
        const created = creating.then(async () => {
          for (const { topic, partitions } of wanted) await createTopic(topic, partitions);
        });
        creating = created.catch(() => undefined);
        return created;
      },
      describeTopics: (names) =>
        Promise.resolve(
          new Map(names.flatMap((name): [string, number][] => (topics.has(name) ? [[name, topics.get(name)?.length ?? 0]] : []))),
        ),
      endOffsets: (topic) =>
        Promise.resolve((topics.get(topic) ?? []).map((log) => ({ partition: log.partition, offset: log.endOffset() }))),
      async committedOffsets(groupId, topic) {
        const { store } = await coordinatorOf(groupId);
        return (topics.get(topic) ?? []).map(({ partition }) => ({ partition, offset: store.committed(topic, partition) }));
      },
      close: () => Promise.resolve(),
    }),
    close() {
      closing ??= (async () => {
        await Promise.all([...consumers].map((consumer) => consumer.stop()));
        await Promise.all([...producers].map((producer) => producer.close()));
        await Promise.all([...topics.values()].flat().map((log) => log.close()));
        await unlock();
      })();
      return closing;
    },
  };
}
