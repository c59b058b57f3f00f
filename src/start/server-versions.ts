/**
 * The oldest servers whose SQL Troupe speaks. PostgreSQL 15 and 18 and ClickHouse 26.7 are what the tests run on; the floors are
 * where the statements and settings in use first exist (PostgreSQL 12 is PostHog's own floor; ClickHouse 24.8 brings
 * `deduplicate_merge_projection_mode`, without which the projection of stored offsets would be wrong after merges).
 */
export const OLDEST = { PostgreSQL: '12', ClickHouse: '24.8' } as const;

/**
 * @param found as the server says it, e.g. '15.18 (Debian 15.18-0+deb12u1)' or '26.7.2.1'
 * @throws Error that names both versions when the server is too old, or when what it says is no version.
 */
export function requireVersion(system: keyof typeof OLDEST, found: string): void {
  const oldest = OLDEST[system];
  if (!/^\d+(?:\.\d+)*/.test(found)) throw new Error(`this ${system} says it is version '${found}', which is none`);
  if (compare(found, oldest) < 0) throw new Error(`this ${system} is version ${found}, and Troupe needs ${oldest} or newer`);
}

/** Below 0: `a` is older. Compares as many parts as `b` has. */
function compare(a: string, b: string): number {
  const left = numbersOf(a);
  return numbersOf(b).reduce((order, part, index) => (order === 0 ? (left[index] ?? 0) - part : order), 0);
}

function numbersOf(version: string): number[] {
  const [digits = ''] = /^\d+(?:\.\d+)*/.exec(version) ?? [];
  return digits.split('.').map(Number);
}
