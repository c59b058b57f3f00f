import { describe } from 'vitest';
import type { Statement } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import { createFakePersonDatabase, createFakePersonStore } from '../kit/fake-person-store.ts';
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

async function onPostgres(kind: PostgresKind): Promise<PersonStoreUnderTest> {
  const server = await startPostgres(kind);
  const [client, otherClient] = [server.client(), server.client()];
  await ensureSchema(client, { create: 'missing-tables' });
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
  describe.skipIf(!service.available)('on a server', () => describePersonStore(`PostgreSQL, ${kind}`, () => onPostgres(kind)));
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
