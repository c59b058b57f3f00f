import { describe, expect, it } from 'vitest';
import { createBlockBuilder, createEventBlock, createSideBlocks } from '../../../src/clickhouse/block-builder.ts';
import { RowBinaryWriter } from '../../../src/clickhouse/row-binary.ts';
import { ENCODERS, EVENT_ENCODER } from '../../../src/clickhouse/rows.ts';
import { seededRandom } from '../../kit/clock.ts';
import { eventRow, testSettlement, uuidOf } from '../../kit/event-rows.ts';
import { readRowBinary } from '../../kit/row-binary-reader.ts';

const written = (write: (writer: RowBinaryWriter) => void): Buffer => {
  const writer = new RowBinaryWriter(1);
  write(writer);
  return Buffer.from(writer.view(0, writer.position));
};

describe('RowBinaryWriter', () => {
  it('writes the bytes that ClickHouse documents for each type', () => {
    expect(written((w) => w.uint8(255)).toString('hex')).toBe('ff');
    expect(written((w) => w.uint32(1)).toString('hex')).toBe('01000000');
    expect(written((w) => w.int64(-2)).toString('hex')).toBe('feffffffffffffff');
    expect(written((w) => w.int64(2 ** 52 + 1)).toString('hex')).toBe('0100000000001000');
    expect(written((w) => w.string('ab')).toString('hex')).toBe('026162');
    // toTypeName('61f0c404-5cb3-11e7-907b-a6006ad3dba0'::UUID) in RowBinary: each half reversed
    expect(written((w) => w.uuid('61f0c404-5cb3-11e7-907b-a6006ad3dba0')).toString('hex')).toBe('e711b35c04c4f061a0dbd36a00a67b90');
    expect(written((w) => w.uuid('61F0C404-5CB3-11e7-907B-A6006AD3DBA0')).toString('hex')).toBe('e711b35c04c4f061a0dbd36a00a67b90');
    expect(written((w) => w.milliseconds(1_700_000_000_123)).readBigInt64LE()).toBe(1_700_000_000_123n);
  });

  it.each([Date.UTC(2299, 11, 31, 23, 59, 59, 999), Date.UTC(1900, 0, 1), -1, 0, Date.UTC(2255, 5, 5, 23, 47, 34, 741)])(
    'writes DateTime64(6) exactly, also above 2^53 and before 1970: %i ms',
    (epochMs) => {
      expect(written((w) => w.microseconds(epochMs)).readBigInt64LE()).toBe(BigInt(epochMs) * 1000n);
    },
  );

  it('writes any text as UTF-8 behind its length in bytes', () => {
    const random = seededRandom(3);
    const alphabet = ['a', '\0', '\n', 'ü', '→', '🎭', '\uFFFF'];
    for (const length of [0, 1, 23, 24, 63, 64, 127, 128, 129, 5_461, 16_383, 16_384, 70_000]) {
      for (const letters of [1, 3, 4, 7]) {
        const text = Array.from({ length }, () => alphabet[random.below(letters)]).join('');
        const bytes = written((w) => {
          w.uint8(7);
          w.string(text);
          w.string('end');
        });
        expect(readRowBinary(['a', 'b', 'c'], ['UInt8', 'String', 'String'], bytes)).toEqual([{ a: 7, b: text, c: 'end' }]);
      }
    }
  });

  it('keeps what was written when its buffer grows', () => {
    const bytes = written((w) => {
      for (let i = 0; i < 1_000; i++) w.uint32(i);
    });
    expect(bytes.length).toBe(4_000);
    expect(bytes.readUInt32LE(999 * 4)).toBe(999);
  });
});

describe('blocks', () => {
  it('hold every column of an event, as an independent reader sees it', () => {
    const settlement = testSettlement('the.topic', 12, 3);
    const block = createEventBlock();
    const row = eventRow(settlement, 77, { personMode: 'force_upgrade', elementsChain: 'a:b', personCreatedAtMs: 1_700_000_000_999 });
    block.append(row);
    expect(readRowBinary(block.columns, EVENT_ENCODER.types, block.body([0]))).toEqual([
      {
        uuid: row.uuid,
        event: '$pageview',
        properties: '{"a":1}',
        timestamp: row.timestampMs,
        team_id: 2,
        distinct_id: 'user-0',
        elements_chain: 'a:b',
        created_at: row.createdAtMs,
        person_id: row.personId,
        person_created_at: 1_700_000_000_000, // second precision
        person_properties: '{}',
        person_mode: 2,
        _timestamp: Math.floor(row.pending.timestampMs / 1000) * 1000,
        _topic: 'the.topic',
        _partition: 12,
        _offset: 77,
      },
    ]);
  });

  it('give any ascending choice of their rows, and forget the last one or all', () => {
    const settlement = testSettlement();
    const block = createEventBlock();
    for (let offset = 0; offset < 10; offset++) block.append(eventRow(settlement, offset, { properties: 'p'.repeat(offset) }));
    const offsets = (indexes: readonly number[]): unknown[] =>
      readRowBinary(block.columns, EVENT_ENCODER.types, block.body(indexes)).map((row) => row['_offset']);
    expect(offsets([0, 1, 2])).toEqual([0, 1, 2]);
    expect(offsets([3, 7, 9])).toEqual([3, 7, 9]);
    expect(offsets([])).toEqual([]);
    block.dropLast();
    expect(block.rowCount).toBe(9);
    expect(() => block.body([9])).toThrow(RangeError);
    block.clear();
    expect([block.rowCount, block.byteCount]).toEqual([0, 0]);
    block.append(eventRow(settlement, 50));
    expect(offsets([0])).toEqual([50]);
  });

  it('of side rows name each table once, and the override of a moved distinct id too', () => {
    const side = createSideBlocks();
    const personId = uuidOf('p', 0, 1);
    for (const version of [0, 1, 2]) {
      side.append(
        { table: 'person_distinct_id2', teamId: 1, distinctId: `d${version}`, personId, isDeleted: version === 2, version },
        5_000,
      );
    }
    const read = Object.fromEntries(
      side.filled().map((block) => {
        const types = ENCODERS.find(({ table }) => table === block.table)?.types ?? [];
        return [block.table, readRowBinary(block.columns, types, block.body([...Array(block.rowCount).keys()]))];
      }),
    );
    expect(Object.keys(read)).toEqual(['person_distinct_id2', 'person_distinct_id_overrides']);
    expect(read['person_distinct_id2']?.map((row) => row['distinct_id'])).toEqual(['d0', 'd1', 'd2']);
    expect(read['person_distinct_id_overrides']).toEqual([
      { team_id: 1, distinct_id: 'd1', person_id: personId, is_deleted: 0, version: 1, _timestamp: 5_000 },
      { team_id: 1, distinct_id: 'd2', person_id: personId, is_deleted: 1, version: 2, _timestamp: 5_000 },
    ]);
    side.clear();
    expect([side.rowCount, side.byteCount, side.filled().length]).toEqual([0, 0, 0]);
  });

  it('give their memory back after one that was far larger than usual', () => {
    const block = createBlockBuilder(
      { table: 't', columns: ['a'], types: ['String'], encode: (writer, text: string) => writer.string(text) },
      16,
    );
    block.append('x'.repeat(70 * 1024 * 1024));
    block.clear();
    block.append('small');
    expect(block.body([0]).buffer.byteLength).toBeLessThan(1_000);
  });
});
