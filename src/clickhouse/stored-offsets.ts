import type { TopicPartition } from '../domain/ids.ts';
import type { OffsetRange } from './port.ts';

/** Beyond this the planner gives up the projection's index for a filter over all of it (delivery.md section 3). */
export const PARTITIONS_PER_QUERY = 8;

/** Offsets of one partition between two, both included. */
export interface OffsetSpan extends TopicPartition {
  readonly first: number;
  readonly last: number;
}

/** A row of the answer to {@link storedRangesSql}. Numbers of 64 bits may come as text. */
export interface StoredRangeRow {
  readonly topic: string;
  readonly partition: number | string;
  readonly from: number | string;
  readonly to: number | string;
}

/** Above it the engine goes on on disk: a group that has never committed asks for all offsets of a partition at once. */
const MEMORY_BYTES = 1_000_000_000;
/** A result that was cached while a part was on its way would be a lie. */
const SETTINGS = `SETTINGS use_query_condition_cache = 0, use_query_cache = 0, max_bytes_before_external_group_by = ${MEMORY_BYTES}, max_bytes_before_external_sort = ${MEMORY_BYTES}`;

/**
 * Asks which offsets of the spans have a visible row. The inner query has the very GROUP BY of the projection, so that
 * the engine reads it instead of the table (8 ms instead of a scan); the outer ones fold offsets into ranges, so that an
 * answer of a million offsets is one row.
 */
export function storedRangesSql(
  table: string,
  spans: readonly OffsetSpan[],
): { readonly sql: string; readonly params: Readonly<Record<string, unknown>> } {
  const params: Record<string, unknown> = {};
  const conditions = spans.map((span, i) => {
    params[`topic${i}`] = span.topic;
    params[`partition${i}`] = span.partition;
    params[`first${i}`] = span.first;
    params[`last${i}`] = span.last;
    return `(_topic = {topic${i}:String} AND _partition = {partition${i}:UInt64} AND _offset BETWEEN {first${i}:UInt64} AND {last${i}:UInt64})`;
  });
  const sql = `
SELECT topic, partition, min(stored) AS from, max(stored) + 1 AS to
FROM (
  SELECT topic, partition, stored, stored - row_number() OVER (PARTITION BY topic, partition ORDER BY stored) AS island
  FROM (
    SELECT toString(_topic) AS topic, _partition AS partition, _offset AS stored
    FROM ${table}
    WHERE ${conditions.join(' OR ')}
    GROUP BY _topic, _partition, _offset
  )
)
GROUP BY topic, partition, island
ORDER BY topic, partition, from
${SETTINGS}`;
  return { sql, params };
}

/** The ranges of one partition among the rows of an answer. */
export function rangesOf(rows: readonly StoredRangeRow[], partition: TopicPartition): OffsetRange[] {
  return rows
    .filter((row) => row.topic === partition.topic && Number(row.partition) === partition.partition)
    .map((row) => ({ from: Number(row.from), to: Number(row.to) }));
}

/** Those of `offsets` that lie in one of the ranges. Both ascending is not required. */
export function offsetsWithin(offsets: readonly number[], ranges: readonly OffsetRange[]): Set<number> {
  const within = new Set<number>();
  for (const offset of offsets) {
    if (isWithin(offset, ranges)) within.add(offset);
  }
  return within;
}

function isWithin(offset: number, ranges: readonly OffsetRange[]): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (range === undefined) return false;
    if (offset < range.from) high = middle - 1;
    else if (offset >= range.to) low = middle + 1;
    else return true;
  }
  return false;
}

/** The smallest span that holds all offsets. @throws RangeError when there are none. */
export function spanOf(partition: TopicPartition & { readonly offsets: readonly number[] }): OffsetSpan {
  let first = Number.POSITIVE_INFINITY;
  let last = Number.NEGATIVE_INFINITY;
  for (const offset of partition.offsets) {
    if (offset < first) first = offset;
    if (offset > last) last = offset;
  }
  if (first > last) throw new RangeError('a span of no offsets');
  return { topic: partition.topic, partition: partition.partition, first, last };
}
