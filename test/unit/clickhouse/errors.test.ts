import { describe, expect, it } from 'vitest';
import { answeredError, codeIn, kindOfCode, toClickHouseError } from '../../../src/clickhouse/errors.ts';
import { ClickHouseError } from '../../../src/clickhouse/port.ts';

describe('what an answer of ClickHouse means', () => {
  it.each([
    ['bad-row', [6, 26, 27, 33, 38, 41, 53, 69, 117, 131, 376, 469]],
    ['unavailable', [202, 241, 242, 252, 285]],
    ['misconfigured', [16, 60, 62, 81, 497, 516]],
    ['unknown', [159, 209, 210, 319, 394, 999, 1000, 1001, 236, 12_345]],
  ] as const)('%s: %j', (kind, codes) => {
    for (const code of codes) expect([code, kindOfCode(code, 'text')]).toEqual([code, kind]);
  });

  it('tells too many parts to merge (wait) from too many partitions in one block (split it)', () => {
    expect(kindOfCode(252, 'Too many parts (3000). Merges are processing significantly slower than inserts')).toBe('unavailable');
    expect(kindOfCode(252, 'Too many partitions for single INSERT block (more than 100)')).toBe('bad-row');
  });

  it('reads the code out of the text', () => {
    expect(codeIn('Code: 27. DB::Exception: Cannot parse input')).toBe(27);
    expect(codeIn('<html>Code 27</html>')).toBeUndefined();
  });

  it('is unknown when something other than ClickHouse answered', () => {
    expect(answeredError(undefined, 'bad gateway')).toMatchObject({ kind: 'unknown', code: undefined });
  });

  it.each([
    [Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }), 'unavailable'],
    [new AggregateError([new Error('::1'), new Error('127.0.0.1')], ''), 'unknown'],
    [Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }), 'unavailable'],
    [Object.assign(new Error('read'), { code: 'ECONNRESET' }), 'unknown'],
    [Object.assign(new Error('No such column'), { code: '16' }), 'misconfigured'],
    [new Error('Code: 241. DB::Exception: memory'), 'unavailable'],
    ['a string', 'unknown'],
    [undefined, 'unknown'],
    [null, 'unknown'],
  ])('is total: %s', (error, kind) => {
    const known = toClickHouseError(error);
    expect(known).toBeInstanceOf(ClickHouseError);
    expect(known.kind).toBe(kind);
    expect(toClickHouseError(known)).toBe(known);
  });

  it('keeps no more of the message than a person reads: it may quote data', () => {
    expect(answeredError(27, `Code: 27. ${'x'.repeat(100_000)}`).message.length).toBeLessThanOrEqual(1_000);
  });
});
