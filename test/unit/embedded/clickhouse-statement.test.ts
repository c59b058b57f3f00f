import { describe, expect, it } from 'vitest';
import { literal, readStatement, settingsStatement } from '../../../src/embedded/clickhouse/statement.ts';

const nothing = Buffer.alloc(0);

describe('how chdb is given a request', () => {
  it('takes a statement from the URL or from the body', () => {
    expect(readStatement('SELECT 1 FORMAT JSON', nothing)).toMatchObject({
      sql: 'SELECT 1 FORMAT JSON',
      kind: 'other',
      answerFormat: 'JSON',
    });
    expect(readStatement('', Buffer.from(' SELECT 1; '))).toMatchObject({ sql: 'SELECT 1', kind: 'other', answerFormat: undefined });
  });

  it.each([
    ['INSERT INTO t FORMAT RowBinary', 'INSERT INTO t', 'RowBinary'],
    ['insert into t (a, b) format JSONEachRow', 'insert into t (a, b)', 'JSONEachRow'],
    ['/* who */ INSERT INTO t SETTINGS a = 1 FORMAT CSV\n', '/* who */ INSERT INTO t SETTINGS a = 1', 'CSV'],
    ['INSERT INTO t (a) VALUES', 'INSERT INTO t (a)', 'Values'],
  ])('keeps data apart from its INSERT: %s', (query, sql, format) => {
    const body = Buffer.from('\n\nDROP TABLE t');
    expect(readStatement(query, body)).toMatchObject({ sql, kind: 'insert-data', data: { format, body } });
  });

  it('cuts data that stands behind its INSERT off, byte by byte', () => {
    const data = Buffer.from([0x0a, 0x0a, 0xff, 0x00, 0xc3]);
    const statement = readStatement('', Buffer.concat([Buffer.from('INSERT INTO t FORMAT RowBinary\n'), data]));
    expect(statement).toMatchObject({ sql: 'INSERT INTO t', kind: 'insert-data', data: { format: 'RowBinary' } });
    expect(statement.data?.body.toString('hex')).toBe('0a0aff00c3');
  });

  it('lets an INSERT without data be a statement like any other', () => {
    for (const sql of ["INSERT INTO t VALUES (1, 'FORMAT x')", "INSERT INTO t SELECT 'a FORMAT CSV b'", 'INSERT INTO t SELECT 1']) {
      expect(readStatement('', Buffer.from(sql))).toMatchObject({ sql, kind: 'other' });
    }
  });

  it('refuses data whose format is not named', () => {
    expect(() => readStatement('INSERT INTO t', Buffer.from('1'))).toThrow('Code: 62.');
  });

  it('makes one SET of all settings and parameters, and none of what belongs to HTTP', () => {
    const params = new URLSearchParams({
      query: 'x',
      database: 'd',
      max_threads: '2',
      param_a: "o'neil\\",
      wait_end_of_query: '1',
      password: 'p',
    });
    expect(settingsStatement(params, 'the id')).toBe("SET log_comment = 'the id', max_threads = '2', param_a = 'o\\'neil\\\\'");
    expect(settingsStatement(new URLSearchParams({ log_comment: 'mine' }), 'id')).toBe("SET log_comment = 'mine'");
  });

  it('lets nothing but a name be a setting', () => {
    expect(() => settingsStatement(new URLSearchParams({ 'a = 1, b': '2' }), 'id')).toThrow('Code: 115.');
  });

  it('quotes text', () => {
    expect(literal("a'b\\c")).toBe("'a\\'b\\\\c'");
  });
});
