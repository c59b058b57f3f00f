/**
 * What ClickHouse makes of the output topics with its Kafka engine (deploy/clickhouse-kafka-engine.sql), at once and without fault: rows
 * in the tables of the fake server. It trusts nothing but the JSON: a field that is missing is missing in the row.
 */
import { outputTopics } from '../../../src/domain/output-topics.ts';
import type { FakeClickHouseServer } from '../../kit/fake-clickhouse.ts';
import type { FakeKafka } from '../../kit/fake-kafka.ts';
import type { BinaryRow } from '../../kit/row-binary-reader.ts';

export const OUTPUT_TOPICS = outputTopics({ prefix: '' });

/**
 * Returns the function that reads what is new. The topics do not say where a row came from: `placeOf` does, by its uuid, so that what is
 * checked of rows can be checked of these.
 */
export function createOutputReader(
  kafka: FakeKafka,
  clickhouse: FakeClickHouseServer,
  placeOf: (uuid: string) => { readonly partition: number; readonly offset: number } | undefined,
): () => void {
  const read = new Map<string, number>();

  function store(table: string, row: BinaryRow): void {
    const rows = clickhouse.tables.get(table);
    if (rows === undefined) clickhouse.tables.set(table, [row]);
    else rows.push(row);
  }

  return () => {
    for (const [table, topic] of Object.entries(OUTPUT_TOPICS)) {
      for (const of of kafka.partitionsOf(topic)) {
        const key = `${topic}/${of.partition}`;
        const log = kafka.log(of);
        for (let at = read.get(key) ?? 0; at < log.length; at++) {
          const row = JSON.parse(log[at]?.value?.toString() ?? '') as Record<string, BinaryRow[string]>;
          if (table === 'events') {
            const place = placeOf(String(row['uuid']));
            store('events', { ...row, _partition: place?.partition ?? -1, _offset: place?.offset ?? -1 });
          } else {
            store(table, row);
            if (table === 'person_distinct_id2' && Number(row['version']) > 0) store('person_distinct_id_overrides', row);
          }
        }
        read.set(key, log.length);
      }
    }
  };
}
