import { describe, expect, it } from 'vitest';
import { offsetsWithin, rangesOf, spanOf, storedRangesSql } from '../../../src/clickhouse/stored-offsets.ts';
import { insertId, insertPrefix, isNamed } from '../../../src/domain/insert-id.ts';

describe('the question of stored offsets', () => {
  it('groups as the projection does, and lets no cache answer', () => {
    const { sql, params } = storedRangesSql('`events`', [
      { topic: "it's", partition: 1, first: 5, last: 9 },
      { topic: 'b', partition: 2, first: 0, last: 1 },
    ]);
    expect(sql).toContain('GROUP BY _topic, _partition, _offset');
    expect(sql).toContain('use_query_condition_cache = 0');
    expect(sql).not.toContain("it's"); // only ever a parameter
    expect(params).toEqual({ topic0: "it's", partition0: 1, first0: 5, last0: 9, topic1: 'b', partition1: 2, first1: 0, last1: 1 });
  });

  it('reads ranges of one partition, whether numbers of 64 bits come as text or not', () => {
    const rows = [
      { topic: 'a', partition: '1', from: '0', to: '3' },
      { topic: 'a', partition: 1, from: 5, to: 6 },
      { topic: 'a', partition: 2, from: 0, to: 9 },
      { topic: 'b', partition: 1, from: 0, to: 9 },
    ];
    expect(rangesOf(rows, { topic: 'a', partition: 1 })).toEqual([
      { from: 0, to: 3 },
      { from: 5, to: 6 },
    ]);
  });

  it('finds offsets in ranges, their ends included and excluded as they say', () => {
    const ranges = [
      { from: 0, to: 3 },
      { from: 10, to: 11 },
      { from: 20, to: 30 },
    ];
    expect([...offsetsWithin([0, 2, 3, 9, 10, 11, 19, 20, 29, 30, 1_000], ranges)]).toEqual([0, 2, 10, 20, 29]);
    expect([...offsetsWithin([1], [])]).toEqual([]);
  });

  it('spans all offsets asked for, in any order', () => {
    expect(spanOf({ topic: 't', partition: 3, offsets: [7, 2, 9] })).toEqual({ topic: 't', partition: 3, first: 2, last: 9 });
    expect(() => spanOf({ topic: 't', partition: 3, offsets: [] })).toThrow(RangeError);
  });
});

describe('the name of an insert', () => {
  const id = insertId(
    [
      { topic: 'a', partition: 1, generation: 7 },
      { topic: 'b', partition: 11, generation: 7 },
    ],
    'nonce',
  );

  it('is found by each partition that it holds rows of, and by itself', () => {
    expect(id).toBe('troupe:a:1:7|troupe:b:11:7|nonce');
    expect(isNamed(id, insertPrefix({ topic: 'a', partition: 1 }))).toBe(true);
    expect(isNamed(id, insertPrefix({ topic: 'b', partition: 11 }))).toBe(true);
    expect(isNamed(id, id)).toBe(true);
  });

  it('is not found by a partition whose number begins or ends alike', () => {
    expect(isNamed(id, insertPrefix({ topic: 'b', partition: 1 }))).toBe(false);
    expect(isNamed(id, insertPrefix({ topic: 'a', partition: 11 }))).toBe(false);
  });
});
