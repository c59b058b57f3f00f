/**
 * The baseline: what any correct loop has to do. Consume, parse outer and inner, stringify, the same RowBinary block, the same
 * insert, commit. No actors, no teams, no persons, no ledger, no takeover. Reads its settings from the environment, prints
 * `rows <n>` as it goes, and ends at SIGTERM.
 */
import { createClickHouse } from '../../src/clickhouse/client.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { offset, teamId } from '../../src/domain/ids.ts';
import { createKafkaConsumer } from '../../src/kafka/consumer.ts';
import { systemClock } from '../../src/runtime/clock.ts';

const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};
const address = new URL(env('CLICKHOUSE_URL'));
const clickhouse = createClickHouse({
  url: address.origin,
  user: address.username,
  password: address.password,
  database: 'default',
  clock: systemClock,
});
const consumer = createKafkaConsumer({
  connection: { brokers: env('KAFKA_HOSTS').split(','), clientId: 'bare-loop' },
  groupId: env('GROUP_ID'),
  topics: [env('TOPIC')],
  clock: systemClock,
  partitionsConsumedConcurrently: 16,
  maxBatchBytes: 1 << 20,
});
const BLOCK_ROWS = 20_000;
const block = clickhouse.eventBlock();
let generation = 0;
let inserted = 0;
let watermarks = new Map<string, { topic: string; partition: number; offset: number }>();
let inserting: Promise<void> = Promise.resolve();
let firstRowMs = 0;

function flush(): Promise<void> {
  const { rowCount, table, columns } = block;
  if (rowCount === 0) return inserting;
  const body = Buffer.from(block.body(Array.from({ length: rowCount }, (_, index) => index)));
  const commits = [...watermarks.values()];
  block.clear();
  watermarks = new Map();
  inserting = inserting
    .then(() =>
      clickhouse.insert({ table, columns, body, rowCount, queryId: `bare:${inserted}:${process.pid}`, deduplicationToken: undefined }),
    )
    .then(async () => {
      inserted += rowCount;
      process.stdout.write(`rows ${inserted}\n`);
      await consumer.commit(generation, commits);
    });
  return inserting;
}

setInterval(() => {
  if (block.rowCount > 0 && performance.now() - firstRowMs > 300) void flush();
}, 50);

await consumer.start({
  assigned: (assignment) => {
    ({ generation } = assignment);
    return Promise.resolve();
  },
  revoked: () => Promise.resolve(),
  crashed: (error) => {
    throw error;
  },
  async batch(batch) {
    const settlement = { topic: batch.topic, partition: batch.partition, generation, active: true, settle: () => undefined };
    for (const record of batch.records) {
      const text = record.value?.toString('utf8') ?? '';
      const envelope = JSON.parse(text) as { uuid: string; distinct_id: string; data: string; now: string };
      const data = JSON.parse(envelope.data) as { event: string; properties: Record<string, unknown>; timestamp: string };
      const row = {
        uuid: envelope.uuid,
        event: data.event,
        properties: JSON.stringify(data.properties),
        timestampMs: Date.parse(data.timestamp),
        teamId: 1,
        distinctId: envelope.distinct_id,
        elementsChain: '',
        createdAtMs: record.timestampMs,
        personId: '00000000-0000-0000-0000-000000000000',
        personProperties: '{}',
        personCreatedAtMs: 0,
        personMode: 'full',
        pending: { settlement, offset: offset(record.offset), timestampMs: record.timestampMs, teamId: teamId(1) },
      } as unknown as EventRow;
      if (block.rowCount === 0) firstRowMs = performance.now();
      block.append(row);
    }
    const last = batch.records.at(-1);
    if (last !== undefined)
      watermarks.set(`${batch.topic}:${batch.partition}`, { topic: batch.topic, partition: batch.partition, offset: last.offset + 1 });
    if (block.rowCount >= BLOCK_ROWS) await flush();
  },
});
process.on('SIGTERM', () => void consumer.stop().then(() => process.exit(0)));
