import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { personId, teamId } from '../../src/domain/ids.ts';
import type { Person } from '../../src/domain/person.ts';
import type { PostgresClient } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import type { PersonStore } from '../../src/postgres/port.ts';
import { createFakePersonStore } from '../kit/fake-person-store.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));
const seeds = process.env['SEED'] === undefined ? [1, 2, 3, 4] : [Number(process.env['SEED'])];
const STEPS = 150;

/**
 * The fake of the simulations against the real store: the same random calls, good and bad (stale versions, persons that
 * are gone, keys twice), must get the same answers. Row ids are the stores' own and compared by the person they name.
 */
describe.skipIf(!service.available)('the fake PersonStore answers as the real one', () => {
  let server: TestPostgres;
  let client: PostgresClient;
  beforeAll(async () => {
    server = await startPostgres('embedded');
    client = server.client();
    await ensureSchema(client, { migrate: false });
  });
  afterAll(() => server.stop());

  it.each(seeds)('seed %i', async (seed) => {
    const random = mulberry32(seed);
    const below = (limit: number): number => Math.floor(random() * limit);
    const stores: readonly PersonStore[] = [createPersonStore(client), createFakePersonStore()];
    const team = teamId(seed);
    /** The same persons as each store knows them; some are out of date, on purpose. */
    const known: (readonly Person[])[] = [];
    const name = (): string => `id${below(25)}`;
    const keys = (): { teamId: typeof team; distinctId: string }[] =>
      Array.from({ length: 1 + below(4) }, () => ({ teamId: team, distinctId: name() }));
    const pick = (): readonly Person[] | undefined => known[below(known.length)];
    const each = async <T>(call: (store: PersonStore, index: number) => Promise<T>): Promise<readonly T[]> => {
      const answers: T[] = [];
      for (const [index, store] of stores.entries()) answers.push(await call(store, index));
      return answers;
    };
    const learn = (persons: readonly (Person | undefined)[]): void => {
      const both = persons.filter((person) => person !== undefined);
      if (both.length === stores.length) known.push(both);
    };

    let step = '';
    const expectSame = (answers: readonly unknown[]): void => {
      const [real, fake] = answers.map(
        (answer) => JSON.parse(JSON.stringify([answer], (key, value: unknown) => (key === 'rowId' ? '' : value))) as unknown,
      );
      expect(fake, step).toEqual(real);
    };

    const steps: Record<string, () => Promise<void>> = {
      async create() {
        const ids = [...new Set([name(), name()])].slice(0, 1 + below(2));
        const person = {
          ...{ teamId: team, createdAtMs: below(1e12), properties: { n: below(9) }, isIdentified: random() < 0.5 },
          ...{ id: personId(uuid(random)), propertiesLastUpdatedAt: {}, propertiesLastOperation: {} },
          distinctIds: ids.map((distinctId) => ({ distinctId, version: below(2) })),
        };
        const batch = [person, { ...person, id: personId(uuid(random)) }].slice(0, 1 + below(2));
        const answers = await each((store) => store.create(batch));
        expectSame(answers);
        learn(answers.map(([answer]) => (answer?.type === 'created' ? answer.person : undefined)));
      },
      async load() {
        const asked = keys();
        const answers = await each((store) => store.load(asked));
        expectSame(answers);
        asked.forEach((_, index) => learn(answers.map((answer) => answer[index]?.person)));
      },
      async update() {
        const chosen = [pick(), pick()];
        const properties = { n: below(9), s: '\0' };
        expectSame(
          await each((store, index) =>
            store.update(
              chosen.flatMap((persons) => {
                const person = persons?.[index];
                return person === undefined ? [] : [{ person: { ...person, properties }, version: person.version }];
              }),
            ),
          ),
        );
      },
      async add() {
        const chosen = pick();
        const [first, second] = [name(), name()];
        expectSame(
          await each((store, index) => {
            const person = chosen?.[index];
            return person === undefined
              ? Promise.resolve([])
              : store.addDistinctIds([first, second].map((distinctId) => ({ person, distinctId })));
          }),
        );
      },
      async merge() {
        const [intos, froms] = [pick(), pick()];
        const answers = await each((store, index) => {
          const [into, from] = [intos?.[index], froms?.[index]];
          if (into === undefined || from === undefined) return Promise.resolve(undefined);
          return store.merge({ teamId: team, into, from, properties: { merged: true }, createdAtMs: 5 });
        });
        expectSame(answers);
        learn(answers.map((answer) => (answer?.type === 'merged' ? answer.person : undefined)));
      },
      async personless() {
        const asked = keys();
        expectSame(await each((store) => store.markPersonless(asked)));
      },
      async merged() {
        const asked = keys();
        expectSame(await each((store) => store.markMerged(asked)));
      },
    };
    const names = Object.keys(steps);
    for (let count = 0; count < STEPS; count++) {
      const operation = names[below(names.length)] ?? 'load';
      step = `SEED=${seed}, step ${count}: ${operation}`;
      await steps[operation]?.();
    }
    step = `SEED=${seed}, at the end`;
    expectSame(await each((store) => store.load(Array.from({ length: 25 }, (_, index) => ({ teamId: team, distinctId: `id${index}` })))));
    expect(known.length).toBeGreaterThan(10);
  });
});

function uuid(random: () => number): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A small generator of numbers in [0, 1): the same seed, the same run. */
function mulberry32(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
