import { describe, expect, it } from 'vitest';
import { runSeed } from './simulation/run-seed.ts';

/** The short fixed part of the simulation; the long one is `npm run test:fault -- --rounds N`. */
const SEEDS = Array.from({ length: 30 }, (_, index) => index + 1);

describe('simulation', () => {
  it.each(SEEDS)('seed %i: no promise of delivery.md is broken', async (seed) => {
    const { violations, counts } = await runSeed(seed);
    expect(violations).toEqual([]);
    expect(counts.rows).toBeGreaterThan(0);
  });

  it('gives the same run for the same seed, and another one for another', async () => {
    const [first, again, other] = [await runSeed(7), await runSeed(7), await runSeed(8)];
    expect(again.traceHash).toBe(first.traceHash);
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  it('makes the trouble it is meant to make', async () => {
    const results = [];
    for (const seed of [11, 12, 13, 14, 15]) results.push(await runSeed(seed));
    const lines = results.flatMap(({ trace }) => trace);
    const has = (what: RegExp): boolean => lines.some((line) => what.test(line));
    expect(has(/ dies$/)).toBe(true);
    expect(has(/ pauses$/)).toBe(true);
    expect(has(/insert events \d+ lost/)).toBe(true);
    expect(has(/engine dies/)).toBe(true);
    expect(has(/ merge .*ok/)).toBe(true);
    expect(has(/"alreadyStored":[1-9]/)).toBe(true);
    expect(Math.max(...results.map(({ counts }) => counts.generations))).toBeGreaterThan(3);
  });
});

describe('simulation with output kafka', () => {
  it.each(Array.from({ length: 100 }, (_, index) => index + 1))('seed %i: at least once, and one row after collapsing', async (seed) => {
    const { violations, counts } = await runSeed(seed, { output: 'kafka', recordCount: 80 });
    expect(violations).toEqual([]);
    expect(counts.rows).toBeGreaterThan(0);
  });

  it('makes what it is about: rows that are in the topic more than once', async () => {
    let copies = 0;
    for (const seed of [2, 3, 7, 8]) copies += (await runSeed(seed, { output: 'kafka', recordCount: 80 })).counts.copies;
    expect(copies).toBeGreaterThan(10);
  });
});
