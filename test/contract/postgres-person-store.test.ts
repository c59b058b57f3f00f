import { describe } from 'vitest';
import type { Statement } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import { createFakePersonDatabase, createFakePersonStore } from '../kit/fake-person-store.ts';
import { posthogSchema, posthogTeams, type PostHogShape } from '../kit/posthog-schema.ts';
import { requireService } from '../services/availability.ts';
import { type PostgresKind, probePostgres, startPostgres } from '../services/postgres.ts';
import { describePersonStore, type PersonStoreUnderTest } from './person-store.ts';

const countPersons: Statement = {
  name: 'test-count-persons',
  text: `
    SELECT count(*)::int4 AS persons,
           (count(*) FILTER (WHERE NOT EXISTS (SELECT FROM posthog_persondistinctid d WHERE d.person_id = p.id)))::int4 AS orphans
    FROM posthog_person p WHERE team_id = $1`,
};

/** @param shape tables as a PostHog leaves them, in place of those that Troupe makes */
async function onPostgres(kind: PostgresKind, shape?: PostHogShape): Promise<PersonStoreUnderTest> {
  const server = await startPostgres(kind);
  const [client, otherClient] = [server.client(), server.client()];
  if (shape !== undefined) {
    await client.script('test-posthog', posthogSchema(shape));
    const tokens = Array.from({ length: 200 }, (_, index) => `phc_${index}`);
    await client.script('test-teams', posthogTeams(tokens));
  }
  await ensureSchema(client, { migrate: false });
  return {
    stores: [createPersonStore(client), createPersonStore(otherClient)],
    async countPersons(team) {
      const [row] = await client.run<{ persons: number; orphans: number }>(countPersons, [team]);
      return row ?? { persons: NaN, orphans: NaN };
    },
    close: () => server.stop(),
  };
}

for (const kind of ['embedded', 'debian'] as const) {
  const service = await requireService(`postgres (${kind})`, () => probePostgres(kind));
  describe.skipIf(!service.available)('on a server', () => {
    describePersonStore(`PostgreSQL, ${kind}`, () => onPostgres(kind));
    if (kind === 'embedded') return;
    for (const shape of ['2024-10', 'by-project'] as const) {
      describePersonStore(`the tables of a PostHog, ${shape}`, () => onPostgres(kind, shape));
    }
  });
}

describePersonStore('fake', () => {
  const database = createFakePersonDatabase();
  return Promise.resolve({
    stores: [createFakePersonStore(database), createFakePersonStore(database)],
    countPersons(team) {
      const persons = [...database.persons].filter(([, row]) => row.teamId === team);
      const mapped = new Set([...database.mappings.values()].map((mapping) => mapping.rowId));
      return Promise.resolve({ persons: persons.length, orphans: persons.filter(([rowId]) => !mapped.has(rowId)).length });
    },
    close: () => Promise.resolve(),
  });
});
