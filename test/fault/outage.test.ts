import { beforeAll, describe, expect, test } from 'vitest';
import { requireSurroundings } from '../services/surroundings.ts';
import { runOutages, SERVERS, type OutageResult } from './outage.ts';
import { isClean } from './verdict.ts';

const here = await requireSurroundings();
const MiB = 2 ** 20;

/** The short form of `node test/fault/outage.ts`: each server 5 seconds away. */
describe.skipIf(!here.available)('a server that is away for a while', () => {
  let result: OutageResult;
  beforeAll(async () => {
    result = await runOutages({ servers: SERVERS, outageMs: 5_000, seed: 7, print: (line) => console.log(line) });
  }, 240_000);

  test('costs no event: none is lost, doubled, reordered or dead-lettered, and persons are right', () => {
    expect(result.verdict.examples).toEqual([]);
    expect(isClean(result.verdict)).toBe(true);
    expect(result.deadLetters).toBe(0);
  });

  test('shows as lag while PostgreSQL or ClickHouse is away, and not while Redis is', () => {
    const lagOf = (server: string): number => result.outages.find((outage) => outage.server === server)?.lagCount ?? Number.NaN;
    expect(lagOf('postgres')).toBeGreaterThan(1_000);
    expect(lagOf('clickhouse')).toBeGreaterThan(1_000);
    expect(lagOf('redis')).toBeLessThan(1_000);
  });

  test('leaves the process healthy, and it catches up by itself', () => {
    for (const { server, wasHealthy, recoveredMs } of result.outages) {
      expect([server, wasHealthy]).toEqual([server, true]);
      expect(recoveredMs).toBeLessThan(30_000);
    }
  });

  test('does not show as memory', () => {
    expect(result.outages.at(-1)?.peakRssBytes).toBeLessThan(result.rssBytes + 250 * MiB);
  });

  test('is accounted for: every record read has one end', () => {
    const { read, ended, inFlight } = result.account;
    expect(ended + inFlight).toBe(read);
    expect(inFlight).toBe(0);
  });
});
