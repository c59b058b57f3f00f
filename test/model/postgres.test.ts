import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Plant } from '../fault/simulation/simulated-process.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres } from '../services/postgres.ts';
import { startPostgresModel, type PostgresModel } from './run-on-postgres.ts';

const SEEDS = process.env['SEED'] === undefined ? [1, 2, 3, 4] : [Number(process.env['SEED'])];
const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));

/** A write that met another version is taken for done: the same bug as in planted-bugs.test.ts, on the real store. */
const lostUpdates: Plant = (deps) => ({
  ...deps,
  persons: {
    ...deps.persons,
    update: async (writes) =>
      (await deps.persons.update(writes)).map((result, index) =>
        result.type === 'conflict' ? { type: 'updated', version: (writes[index]?.version ?? 0) + 1 } : result,
      ),
  },
});

describe.skipIf(!service.available)('persons on a real PostgreSQL, by the sequential oracle', () => {
  let model: PostgresModel;
  beforeAll(async () => {
    model = await startPostgresModel();
  });
  afterAll(() => model.stop());

  it.each(SEEDS)('seed %i: every commit of two processes is what the rules make of some events in order', async (seed) => {
    const { violations, counts, isQuiet } = await model.run(seed);
    expect(violations).toEqual([]);
    if (isQuiet) expect(counts.repeats).toBe(0);
    expect(counts.applied + counts.reads).toBeGreaterThanOrEqual(counts.events);
    // It met what it is meant to meet: merges, somebody else's hand, versions that were overtaken, and, in odd seeds, cut connections.
    expect(Math.min(counts.merges, counts.rivals, counts.conflicts)).toBeGreaterThan(0);
    if (!isQuiet) expect(counts.incidents).toBeGreaterThan(0);
  });

  it('catches a planted bug: an update that met another version is taken for done', async () => {
    let found: readonly string[] = [];
    for (let seed = 2; seed <= 8 && found.length === 0; seed += 2) {
      const { violations } = await model.run(seed, lostUpdates);
      found = violations.map(({ invariant }) => invariant);
    }
    expect(['unexplained', 'lost-effect', 'row', 'person-rows', 'version']).toContain(found[0]);
  });
});
