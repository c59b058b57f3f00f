import { describe, expect, it } from 'vitest';
import { postgresAccess } from '../../../src/postgres/tls.ts';

const HOST = 'postgres://ann:p%40@db:5432/posthog';
const files: Readonly<Record<string, string>> = { '/ca.pem': 'the authority', '/me.pem': 'my certificate', '/me.key': 'my key' };
const readFile = (path: string): string => files[path] ?? '';
const sslOf = (query: string, options: { ca?: string; isVerified?: boolean } = {}) =>
  postgresAccess(`${HOST}${query}`, { ...options, readFile }).ssl;

describe('TLS to PostgreSQL', () => {
  it.each(['', '?application_name=x', '?sslmode=disable', '?ssl=0', '?ssl=false'])('%j asks for none', (query) => {
    expect(sslOf(query)).toBe(false);
  });

  it.each(['?sslmode=require', '?sslmode=prefer', '?sslmode=allow', '?sslmode=verify-full', '?ssl=true', '?ssl=1'])(
    '%s is encrypted and verified, as in pg 8',
    (query) => {
      expect(sslOf(query)).toEqual({ rejectUnauthorized: true });
    },
  );

  it('sslmode=verify-ca verifies the authority and not the name', () => {
    expect(sslOf('?sslmode=verify-ca&sslrootcert=/ca.pem')).toEqual({
      rejectUnauthorized: true,
      ca: 'the authority',
      checkServerIdentity: expect.any(Function) as () => undefined,
    });
  });

  it.each([
    ['?sslmode=no-verify', {}],
    ['?sslmode=require', { isVerified: false }],
    ['?sslmode=verify-full', { isVerified: false }],
  ])('%s with %j accepts any certificate', (query, options) => {
    expect(sslOf(query, options)).toEqual({ rejectUnauthorized: false });
  });

  it.each(['', '?sslmode=disable', '?sslmode=require'])('a named authority makes %j encrypted and verified', (query) => {
    expect(sslOf(query, { ca: 'ours' })).toEqual({ rejectUnauthorized: true, ca: 'ours' });
  });

  it('reads the files that the address names', () => {
    const query = '?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/me.pem&sslkey=/me.key';
    expect(sslOf(query)).toEqual({ rejectUnauthorized: true, ca: 'the authority', cert: 'my certificate', key: 'my key' });
    expect(sslOf(query, { ca: 'ours' })).toMatchObject({ ca: 'ours' });
  });

  it('leaves a unix socket alone: PostgreSQL encrypts none', () => {
    expect(sslOf('?sslmode=require&host=/run/pg', { ca: 'ours' })).toBe(false);
  });

  it('refuses a mode that is none', () => {
    expect(() => sslOf('?sslmode=required')).toThrow('sslmode=required is none of disable');
  });

  it('leaves nothing of it in the connection string, whose own reading by pg would go first, and all the rest as it was', () => {
    const { connectionString } = postgresAccess(`${HOST}?sslmode=require&application_name=a%20b&host=/run/pg&uselibpqcompat=true`);
    expect(connectionString).toBe(`${HOST}?application_name=a+b&host=%2Frun%2Fpg`);
    expect(postgresAccess('postgres://ann@/db?host=/run/pg').connectionString).toBe('postgres://ann@/db?host=%2Frun%2Fpg');
  });
});
