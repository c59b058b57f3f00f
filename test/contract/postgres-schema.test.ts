import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { createGroupStore } from '../../src/postgres/group-store.ts';
import { ensureSchema, schemaProblems } from '../../src/postgres/migrate.ts';
import { TABLES } from '../../src/postgres/schema.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { type PostgresKind, probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const tables: Statement = {
  name: 'test-tables',
  text: `SELECT relname AS name, reloptions AS options FROM pg_class WHERE relkind = 'r' AND relname LIKE 'posthog%' ORDER BY relname`,
};

for (const kind of ['embedded', 'debian'] satisfies PostgresKind[]) {
  const service = await requireService(`postgres (${kind})`, () => probePostgres(kind));
  describe.skipIf(!service.available)(`the tables, on PostgreSQL (${kind})`, () => {
    let server: TestPostgres;
    let client: PostgresClient;
    beforeAll(async () => {
      server = await startPostgres(kind);
      client = server.client();
    });
    afterAll(() => server.stop());
    beforeEach(() => client.script('test-clean', 'DROP SCHEMA public CASCADE; CREATE SCHEMA public'));

    const messagesAfter = async (change: string): Promise<string[]> => {
      await ensureSchema(client, { create: 'missing-tables' });
      await client.script('test-change', change);
      return (await schemaProblems(client)).map((problem) => problem.message);
    };

    it('are made where absent, by two processes at once, and a second start changes nothing', async () => {
      await Promise.all([client, server.client()].map((each) => ensureSchema(each, { create: 'missing-tables' })));
      const made = await client.run<{ name: string; options: string[] | null }>(tables, []);
      expect(made.map((row) => row.name)).toEqual(TABLES.map((table) => table.name).sort());
      expect(made.find((row) => row.name === 'posthog_person')?.options).toContain('fillfactor=70');
      await ensureSchema(client, { create: 'missing-tables' });
      await ensureSchema(client, { create: 'never' });
      expect(await client.run(tables, [])).toEqual(made);
    });

    it('are not made when that is not wanted: every missing one is named', async () => {
      await expect(ensureSchema(client, { create: 'never' })).rejects.toMatchObject({ kind: 'misconfigured' });
      await expect(ensureSchema(client, { create: 'never' })).rejects.toThrow(
        /Table "posthog_team" does not exist\.[^]*Table "posthog_pluginstorage" does not exist\./,
      );
      expect(await client.run(tables, [])).toEqual([]);
    });

    it('a missing column is named with its table, what it should be, and what to do', async () => {
      expect(await messagesAfter('ALTER TABLE posthog_person DROP COLUMN version')).toEqual([
        `Table "posthog_person" has no column "version" (expected: bigint). Run PostHog's migrations up to October 2024 or later (Django migration 0483).`,
      ]);
    });

    it('a column of another type is named with both types', async () => {
      const [message] = await messagesAfter('ALTER TABLE posthog_person ALTER properties DROP DEFAULT, ALTER properties TYPE text');
      expect(message).toContain('Column "properties" of table "posthog_person" has type text, expected jsonb.');
    });

    it('a new mandatory column of a table that Troupe inserts into is found before an insert fails on it', async () => {
      const [message, ...more] = await messagesAfter(
        'ALTER TABLE posthog_group ADD COLUMN region text NOT NULL; ALTER TABLE posthog_plugin ADD COLUMN region text NOT NULL',
      );
      expect(message).toContain('"posthog_group" has a column "region" that is NOT NULL without a default');
      expect(more).toEqual([]);
    });

    it('a missing unique index is named with the statement that makes it', async () => {
      const [message] = await messagesAfter('ALTER TABLE posthog_persondistinctid DROP CONSTRAINT "unique distinct_id for team"');
      expect(message).toContain('CREATE UNIQUE INDEX CONCURRENTLY ON posthog_persondistinctid (team_id, distinct_id);');
    });

    it('[N] group types that belong to projects are shared by the teams of one', async () => {
      const change = `
        ALTER TABLE posthog_team ADD COLUMN project_id bigint;
        ALTER TABLE posthog_grouptypemapping
          ADD COLUMN project_id bigint NOT NULL,
          DROP CONSTRAINT "unique group types for team", DROP CONSTRAINT "unique event column indexes for team",
          ADD UNIQUE (project_id, group_type), ADD UNIQUE (project_id, group_type_index)`;
      expect(await messagesAfter(change)).toEqual([]);
      const [a, b] = [await seedTeam(client, { token: 'a' }), await seedTeam(client, { token: 'b' })];
      await client.script('test-project', 'UPDATE posthog_team SET project_id = 7');
      const [store, other] = [1, 2].map(() => createGroupStore(client, { clock: systemClock }));
      expect([await store?.groupTypeIndex(a, 'company'), await store?.groupTypeIndex(a, 'project')]).toEqual([0, 1]);
      expect([await other?.groupTypeIndex(b, 'project'), await other?.groupTypeIndex(b, 'third')]).toEqual([1, 2]);
    });

    it('more columns, wider or narrower integers, and a unique index in place of a constraint are all right', async () => {
      const change = `
        ALTER TABLE posthog_person ADD COLUMN last_seen_at timestamptz, ADD COLUMN region text NOT NULL DEFAULT '', ALTER COLUMN id TYPE integer;
        ALTER TABLE posthog_group DROP CONSTRAINT "unique team_id/group_key/group_type_index combo";
        CREATE UNIQUE INDEX ON posthog_group (group_type_index, team_id, group_key)`;
      expect(await messagesAfter(change)).toEqual([]);
    });
  });
}
