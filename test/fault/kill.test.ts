import { describe, expect, test } from 'vitest';
import { requireSurroundings } from '../services/surroundings.ts';
import { runKills } from './kill.ts';
import { isClean } from './verdict.ts';

const surroundings = await requireSurroundings();
const SEED = Number(process.env['SEED'] ?? 1_000_003);

/** The short form of `node test/fault/kill.ts`; KILL.md says what the long form found. */
describe.skipIf(!surroundings.available)('killed in the middle of work', () => {
  test(`Troupe, the engine at a rename, a rolling restart: nothing lost, doubled, reordered, no person changed (seed ${SEED})`, async () => {
    const { verdict, skipped } = await runKills({ rounds: 3, seed: SEED, print: (line) => console.log(line) });
    for (const reason of skipped) console.warn(`SKIPPED: ${reason}`);
    expect(verdict.examples).toEqual([]);
    expect(isClean(verdict)).toBe(true);
    expect(verdict.sent).toBeGreaterThan(1_000);
  }, 180_000);
});
