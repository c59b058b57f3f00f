import { describe, expect, it } from 'vitest';
import { requireVersion } from '../../../src/start/server-versions.ts';

describe('server versions', () => {
  it.each([
    ['PostgreSQL', '12'],
    ['PostgreSQL', '15.18 (Debian 15.18-0+deb12u1)'],
    ['PostgreSQL', '18.4'],
    ['ClickHouse', '24.8.1.2684'],
    ['ClickHouse', '24.10.1.1'],
    ['ClickHouse', '26.7.2.1'],
  ] as const)('%s %s will do', (system, found) => {
    expect(() => requireVersion(system, found)).not.toThrow();
  });

  it.each([
    ['PostgreSQL', '11.22', 'this PostgreSQL is version 11.22, and Troupe needs 12 or newer'],
    ['PostgreSQL', '9.6.24', 'this PostgreSQL is version 9.6.24, and Troupe needs 12 or newer'],
    ['ClickHouse', '24.7.6.8', 'this ClickHouse is version 24.7.6.8, and Troupe needs 24.8 or newer'],
    ['ClickHouse', '23.12', 'this ClickHouse is version 23.12, and Troupe needs 24.8 or newer'],
    ['ClickHouse', '', "this ClickHouse says it is version '', which is none"],
  ] as const)('%s %s is refused, and both versions are named', (system, found, message) => {
    expect(() => requireVersion(system, found)).toThrow(message);
  });
});
