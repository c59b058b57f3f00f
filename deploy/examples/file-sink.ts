/**
 * A consumer to start from: a topic of `/putmessage`, or any other one, becomes files of newline-delimited JSON in folders by hour, the layout that
 * Spark, Athena, DuckDB and their like read. Put a bucket in place of the folder, or sync the folder into one.
 *
 *     node deploy/examples/file-sink.ts --brokers kafka:9092 --topic putmessage --dir /archive
 *     curl http://127.0.0.1:8010/putmessage -H 'topic: putmessage' --data-binary @deploy/examples/sample-event.json
 *
 *     /archive/putmessage/date=2026-11-21/hour=12/0-00000000000000000000-00000000000000000199.ndjson     partition, first and last offset
 *
 * F1 A file is there whole or not at all, and on disk, before an offset past its records is committed.
 * F2 A record is in one file: what is committed late is read again, found in the names of the files, and left out.
 *    (Two members of the group that both take a partition for their own, for the moment of a rebalance, may write a record each: partition and offset tell.)
 * F3 Lines are in the order of their partition.
 *
 * The broker is the buffer: a fetch waits until there is a megabyte or its time is over, and each fetch of a partition becomes a file, or several where the hour changes.
 */
import { mkdir, open, readdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import kafkajs, { type EachBatchPayload } from 'kafkajs';
import { syncDirectory, writeWhole } from '../../src/files/durable.ts';
import { registerCodecs } from '../../src/kafka/codecs.ts';

export interface FileSinkOptions {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly groupId: string;
  readonly dir: string;
  /** How long records wait at the broker for others. */
  readonly fetchMs: number;
}

type KafkaMessage = EachBatchPayload['batch']['messages'][number];

const FETCH_BYTES = 1024 * 1024;
const NAME = /^(\d+)-(\d{20})-(\d{20})\.ndjson$/;

/** Reads from where the group stopped until `stop`. */
export async function startFileSink({ brokers, topic, groupId, dir, fetchMs }: FileSinkOptions): Promise<{ stop(): Promise<void> }> {
  registerCodecs();
  const kafka = new kafkajs.Kafka({ brokers: [...brokers], clientId: 'file-sink', logLevel: kafkajs.logLevel.WARN });
  const consumer = kafka.consumer({ groupId, minBytes: FETCH_BYTES, maxWaitTimeInMs: fetchMs });
  const stored = new Map<number, bigint>();
  consumer.on(consumer.events.GROUP_JOIN, () => stored.clear()); // others may have written meanwhile
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    async eachBatch(payload) {
      const { partition, messages } = payload.batch;
      const last = stored.get(partition) ?? (await lastStored(join(dir, topic), partition));
      const fresh = messages.filter(({ offset }) => BigInt(offset) > last);
      for (const { hour, run } of runsByHour(fresh)) {
        if (!payload.isRunning() || payload.isStale()) return;
        await store(join(dir, topic, hour), partition, run);
        stored.set(partition, BigInt(run.at(-1)?.offset ?? last));
        await payload.heartbeat();
      }
      const next = messages.at(-1)?.offset;
      if (next === undefined) return;
      await consumer.commitOffsets([{ topic, partition, offset: String(BigInt(next) + 1n) }]); // F1: here, and nowhere before
      payload.resolveOffset(next);
    },
  });
  return { stop: () => consumer.disconnect() };
}

/** F2: the highest offset of a partition that is in a file; -1 when there is none. */
async function lastStored(dir: string, partition: number): Promise<bigint> {
  const names = await readdir(dir, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []; // nothing was written yet
    throw error;
  });
  let last = -1n;
  for (const path of names) {
    const [, of, , end] = NAME.exec(path.slice(path.lastIndexOf('/') + 1)) ?? [];
    if (end !== undefined && Number(of) === partition && BigInt(end) > last) last = BigInt(end);
  }
  return last;
}

/** F2: runs without a gap, in the order of offsets, so that the last offset of the last file says that all before it are in files too. */
function runsByHour(messages: readonly KafkaMessage[]): { readonly hour: string; readonly run: KafkaMessage[] }[] {
  const runs: { readonly hour: string; readonly run: KafkaMessage[] }[] = [];
  for (const message of messages) {
    const hour = hourOf(Number(message.timestamp));
    const open = runs.at(-1);
    if (open?.hour === hour) open.run.push(message);
    else runs.push({ hour, run: [message] });
  }
  return runs;
}

/** By the broker's time of a record, in UTC. */
function hourOf(timestampMs: number): string {
  const [, date = '', hour = ''] = /^(.*)T(\d\d)/.exec(new Date(timestampMs).toISOString()) ?? [];
  return join(`date=${date}`, `hour=${hour}`);
}

/** F1: written beside its name, synced, named; then the name is synced. */
async function store(dir: string, partition: number, messages: readonly KafkaMessage[]): Promise<void> {
  const [first = '', last = ''] = [messages[0], messages.at(-1)].map((message) => message?.offset.padStart(20, '0'));
  const path = join(dir, `${partition}-${first}-${last}.ndjson`);
  await makeDurably(dir);
  const handle = await open(`${path}.tmp`, 'w');
  try {
    await writeWhole(handle, [Buffer.concat(messages.map((message) => lineOf(partition, message)))]);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${path}.tmp`, path);
  await syncDirectory(dir);
}

/** A folder, and the names of the folders that were made for it. */
async function makeDurably(dir: string): Promise<void> {
  const topmost = await mkdir(dir, { recursive: true });
  if (topmost === undefined) return;
  for (let made = dir; made.length >= topmost.length; made = dirname(made)) await syncDirectory(dirname(made));
}

/** The record's own JSON, byte by byte, with its place in front; what is no object on one line stands in base64. */
function lineOf(partition: number, { offset, timestamp, key, value }: KafkaMessage): Buffer {
  const place = { partition, offset: Number(offset), time: new Date(Number(timestamp)).toISOString(), key: key?.toString() ?? null };
  const open = JSON.stringify(place).slice(0, -1);
  const rest =
    value !== null && isObjectOnOneLine(value)
      ? value.subarray(1)
      : Buffer.from(`"value":${JSON.stringify(value?.toString('base64') ?? null)}}`);
  return Buffer.concat([Buffer.from(`${open},`), rest, Buffer.from('\n')]);
}

/** Bytes that are no UTF-8 may be in its strings: they stay as they are. */
function isObjectOnOneLine(value: Buffer): boolean {
  if (value[0] !== 0x7b || value.includes(0x0a)) return false;
  try {
    return Object.keys(JSON.parse(value.toString()) as object).length > 0;
  } catch (error) {
    if (error instanceof SyntaxError) return false;
    throw error;
  }
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      brokers: { type: 'string', default: 'localhost:9092' },
      topic: { type: 'string', default: 'putmessage' },
      group: { type: 'string', default: 'file-sink' },
      dir: { type: 'string', default: 'archive' },
      'fetch-ms': { type: 'string', default: '10000' },
    },
  });
  const { brokers, topic, group, dir } = values;
  const sink = await startFileSink({ brokers: brokers.split(','), topic, groupId: group, dir, fetchMs: Number(values['fetch-ms']) });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void sink.stop());
}
