import { describe, expect, it } from 'vitest';
import { classify, isTransient } from '../../../src/postgres/errors.ts';
import { PostgresError } from '../../../src/postgres/port.ts';

const withCode = (code: string, message = 'said the server'): Error => Object.assign(new Error(message), { code });
const kindOf = (error: unknown): string => classify(error, 'test').kind;

describe('classify', () => {
  it.each([
    ['the server is being stopped or started, or a statement was cancelled', ['57P01', '57P02', '57P03', '57014']],
    ['the connection failed', ['08000', '08006', '08P01']],
    ['the server is full', ['53100', '53200', '53300']],
    ['a lock was not to be had', ['55P03']],
    ['our own retries did not help', ['40001', '40P01']],
    ['a failover left us on a read-only server', ['25006']],
    ['the plan is of yesterday', ['0A000']],
    ['its disk fails', ['58030', 'XX000']],
    ['it cannot be reached', ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EPIPE', 'EAI_AGAIN', 'ENOTFOUND', 'ENOENT', 'EHOSTUNREACH']],
  ])('unavailable: %s', (_, codes) => {
    for (const code of codes) expect([code, kindOf(withCode(code))]).toEqual([code, 'unavailable']);
  });

  it.each([
    'connection to server at "10.0.0.1" failed',
    'could not translate host name "db"',
    'server conn crashed?',
    'no more connections allowed (max_client_conn)',
    'server closed the connection unexpectedly',
    'getaddrinfo EAI_AGAIN db',
    'Connection terminated unexpectedly',
    'connect ECONNREFUSED 127.0.0.1:5432',
    'connect ETIMEDOUT 10.0.0.1:5432',
    'query_wait_timeout',
    'Query read timeout',
    'timeout exceeded when trying to connect',
    'Client has encountered a connection error and is not queryable',
  ])('5.0: unavailable by its message: %s', (message) => {
    expect(kindOf(new Error(message))).toBe('unavailable');
  });

  it('refused: the data is at fault', () => {
    for (const code of ['22001', '22P02', '22021', '22008', '23502', '23503', '23514', '54001'])
      expect([code, kindOf(withCode(code))]).toEqual([code, 'refused']);
  });

  it('refused: a rule of ours that cannot bear the data costs that data alone', () => {
    expect(kindOf(new TypeError('Cannot convert object to primitive value'))).toBe('refused');
    expect(kindOf(new RangeError('Invalid string length'))).toBe('refused');
  });

  it('misconfigured: a person must act', () => {
    for (const code of [
      '42P01',
      '42703',
      '42501',
      '28P01',
      '28000',
      '3D000',
      '3F000',
      '26000',
      'CERT_HAS_EXPIRED',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
    ]) {
      expect([code, kindOf(withCode(code))]).toEqual([code, 'misconfigured']);
    }
    expect(kindOf(new Error('The server does not support SSL connections'))).toBe('misconfigured');
    expect(kindOf(new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'))).toBe('misconfigured');
  });

  it('is total: anything at all gets a kind, and the unforeseen asks for a person', () => {
    for (const thing of [undefined, null, 'text', 42, {}, new Error('bug'), withCode('ZZZZZ')]) expect(kindOf(thing)).toBe('misconfigured');
  });

  it('sees through the AggregateError of a host with several addresses', () => {
    expect(kindOf(Object.assign(new AggregateError([withCode('ECONNREFUSED')]), { code: 'ECONNREFUSED' }))).toBe('unavailable');
    expect(kindOf(new AggregateError([new Error('connect ECONNREFUSED ::1:5432')]))).toBe('unavailable');
  });

  it('names the statement and keeps the cause', () => {
    const cause = withCode('42P01', 'relation "posthog_person" does not exist');
    const error = classify(cause, 'load-persons');
    expect(error).toBeInstanceOf(PostgresError);
    expect(error.message).toBe('load-persons: [42P01] relation "posthog_person" does not exist');
    expect(error.cause).toBe(cause);
    expect(classify(error, 'outer')).toBe(error);
  });

  it('tells a PgBouncer user what to set', () => {
    expect(classify(withCode('26000', 'prepared statement "x" does not exist'), 'x').message).toContain('max_prepared_statements');
  });

  it('only a deadlock and a serialization failure are run again at once', () => {
    expect([withCode('40P01'), withCode('40001'), withCode('40002'), withCode('57P01'), undefined].map(isTransient)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
