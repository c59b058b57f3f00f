import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ClickHouse } from '../../src/clickhouse/port.ts';
import { CREATE_STATEMENTS } from '../../src/clickhouse/tables.ts';
import { outputTopics, type OutputTopics } from '../../src/domain/output-topics.ts';
import { until, type Surroundings } from './surroundings.ts';

const SQL = readFileSync(join(import.meta.dirname, '../../deploy/clickhouse-kafka-engine.sql'), 'utf8');

/** The output topics and the tables that ClickHouse fills from them, by its Kafka engine. */
export interface EngineTables {
  /** A client of the database that holds them. */
  readonly rows: ClickHouse;
  /** Waits until ClickHouse has read everything that is in the topics now. */
  caughtUp(limitMs: number): Promise<void>;
}

/**
 * Runs deploy/clickhouse-kafka-engine.sql as an operator would, in a database of its own, with these brokers in place of its example.
 * `prefix` is Troupe's KAFKA_PREFIX. The topics must be there: the engine of a missing one waits for its metadata.
 */
export async function createEngineTables(
  { clickhouse, kafka, admin }: Surroundings,
  { database, prefix }: { readonly database: string; readonly prefix: string },
): Promise<EngineTables> {
  await clickhouse.client().command(`CREATE DATABASE ${database}`);
  const rows = clickhouse.client({ database });
  for (const statement of CREATE_STATEMENTS.values()) await rows.command(statement);
  const sql = SQL.replaceAll('kafka:9092', kafka.brokers().join(','))
    .replaceAll(/kafka_group_name = '/g, `$&${database}-`)
    .replaceAll(/kafka_topic_list = '/g, `$&${prefix}`)
    .replaceAll(/^\s*--.*$/gm, '')
    // The default of seven seconds is for throughput.
    .replaceAll("kafka_format = 'JSONEachRow'", '$&, kafka_flush_interval_ms = 300, kafka_poll_timeout_ms = 100');
  for (const statement of sql.split(';').filter((part) => part.trim() !== '')) await rows.command(statement);

  const groups = [...SQL.matchAll(/kafka_topic_list = '(\w+)', kafka_group_name = '([\w-]+)'/g)].map(([, topic = '', group = '']) => ({
    topic: prefix + topic,
    group: `${database}-${group}`,
  }));
  return {
    rows,
    async caughtUp(limitMs) {
      await until(
        async () => {
          for (const { topic, group } of groups) {
            const [ends, committed] = await Promise.all([admin.endOffsets(topic), admin.committedOffsets(group, topic)]);
            for (const { partition, offset } of ends) {
              const read = committed.find((one) => one.partition === partition)?.offset ?? 0;
              if (read < offset) throw new Error(`${topic}/${partition}: ${read} of ${offset} are read`);
            }
          }
          return true;
        },
        'ClickHouse has read all output topics',
        limitMs,
      );
    },
  };
}

/** Makes output topics before anybody writes or reads them: all, or those of `tables`. */
export async function createOutputTopics(
  { admin }: Surroundings,
  prefix: string,
  partitions: number,
  tables?: readonly (keyof OutputTopics)[],
): Promise<void> {
  const topics = outputTopics({ prefix });
  const names = tables === undefined ? Object.values(topics) : tables.map((table) => topics[table]);
  await admin.ensureTopics(names.map((topic) => ({ topic, partitions })));
}
