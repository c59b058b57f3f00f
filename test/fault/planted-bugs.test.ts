import { describe, expect, it } from 'vitest';
import { PLANTED_BUGS } from './simulation/planted-bugs.ts';
import { runSeed } from './simulation/run-seed.ts';

/** Each bug alone, seed after seed until it is caught: the suite must be able to fail, and for the right reason. */
describe('the simulation catches', () => {
  it.each(PLANTED_BUGS)('$name: $mistake', async ({ caughtBy, withinSeeds, ...options }) => {
    let broken: readonly string[] = [];
    let seed = 0;
    while (seed < withinSeeds && !broken.some((invariant) => (caughtBy as readonly string[]).includes(invariant))) {
      const { violations } = await runSeed(++seed, options);
      broken = violations.map(({ invariant }) => invariant);
    }
    expect(broken, `not caught within ${withinSeeds} seeds`).toEqual(expect.arrayContaining([expect.stringMatching(caughtBy.join('|'))]));
    console.info(`caught at seed ${seed} by ${[...new Set(broken)].join(', ')}`);
  });
});
