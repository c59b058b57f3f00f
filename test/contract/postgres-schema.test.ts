import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { teamId } from '../../src/domain/ids.ts';
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { createGroupStore } from '../../src/postgres/group-store.ts';
import { ensureSchema, schemaProblems } from '../../src/postgres/migrate.ts';
import { createPluginConfigStore } from '../../src/postgres/plugin-config-store.ts';
import { TABLES } from '../../src/postgres/schema.ts';
import { isNeeded } from '../../src/postgres/table.ts';
import { createTeamStore } from '../../src/postgres/team-store.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { posthogSchema, posthogTeams, type PostHogShape } from '../kit/posthog-schema.ts';
import { requireService } from '../services/availability.ts';
import { type PostgresKind, probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const SHAPES = ['2024-10', 'by-project'] as const satisfies readonly PostHogShape[];

const tables: Statement = {
  name: 'test-tables',
  text: `SELECT relname AS name, reloptions AS options FROM pg_class WHERE relkind = 'r' AND relname LIKE 'posthog%' ORDER BY relname`,
};
/** Everything of the tables that a migration could change. */
const everything: Statement = {
  name: 'test-everything',
  text: `
    SELECT a.attrelid::regclass::text AS "table", a.attname::text AS "column", format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS mandatory
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relkind = 'r' AND c.relname LIKE 'posthog%' AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY 1, 2`,
};
const uniqueNames: Statement = {
  name: 'test-unique-names',
  text: `SELECT c.relname::text AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indisunique AND NOT i.indisprimary`,
};
const checkNames: Statement = { name: 'test-check-names', text: `SELECT conname::text AS name FROM pg_constraint WHERE contype = 'c'` };

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

    const clean = (): Promise<void> => client.script('test-clean', 'DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    const messages = async (): Promise<string[]> => (await schemaProblems(client)).map((problem) => problem.message);
    const complaint = (): Promise<string> =>
      ensureSchema(client, { migrate: false }).then(
        () => '',
        (error: Error) => error.message,
      );
    const names = async (statement: Statement): Promise<string[]> =>
      (await client.run<{ name: string }>(statement, [])).map(({ name }) => name);

    describe('of an empty database', () => {
      beforeEach(clean);

      it('are made by the start, by two processes at once, and a second start changes nothing', async () => {
        const said = await Promise.all([client, server.client()].map((each) => ensureSchema(each, { migrate: false })));
        expect(said.flat().length).toBeGreaterThan(0);
        const made = await client.run<{ name: string; options: string[] | null }>(tables, []);
        expect(made.map((row) => row.name)).toEqual(TABLES.map((table) => table.name).sort());
        expect(made.find((row) => row.name === 'posthog_person')?.options).toContain('fillfactor=70');
        expect(await ensureSchema(client, { migrate: false })).toEqual([]);
        expect(await ensureSchema(client, { migrate: true })).toEqual([]);
        expect(await client.run(tables, [])).toEqual(made);
      });

      it("have PostHog's names for what must be unique or must hold (5.1)", async () => {
        await ensureSchema(client, { migrate: false });
        expect(await names(uniqueNames)).toEqual(
          expect.arrayContaining([
            'unique distinct_id for team',
            'unique_filename_for_plugin',
            'posthog_unique_plugin_storage_key',
            'posthog_eventdefinition_team_id_name_80fa0b87_uniq',
            'posthog_propertydefinition_uniq',
          ]),
        );
        expect(await names(checkNames)).toEqual(expect.arrayContaining(['property_type_is_valid', 'group_type_index_set']));
        const define = (type: number, propertyType: string): Promise<unknown> =>
          client.script(
            'test-define',
            `INSERT INTO posthog_propertydefinition (id, name, type, property_type, team_id)
             VALUES (gen_random_uuid(), 'seats', ${type}, '${propertyType}', 1)`,
          );
        await define(1, 'Numeric');
        await expect(define(1, 'String')).rejects.toThrow('posthog_propertydefinition_uniq');
        await expect(define(2, 'Colour')).rejects.toThrow('property_type_is_valid');
        await expect(define(3, 'String')).rejects.toThrow('group_type_index_set');
      });

      it('have no column of ours: each is one of PostHog, and of a type that fits it', async () => {
        const typesOf = async (): Promise<Map<string, string>> =>
          new Map(
            (await client.run<{ table: string; column: string; type: string }>(everything, [])).map((row) => [
              `${row.table}.${row.column}`,
              row.type.replace('bigint', 'integer'),
            ]),
          );
        await client.script('test-posthog', posthogSchema('2024-10'));
        const theirs = await typesOf();
        await clean();
        await ensureSchema(client, { migrate: false });
        const ours = await typesOf();
        expect(ours.size).toBeGreaterThan(120);
        for (const [name, type] of ours) expect(`${name} ${theirs.get(name)}`).toBe(`${name} ${type}`);
      });
    });

    describe.each(SHAPES)('of a PostHog (%s)', (shape) => {
      beforeAll(async () => {
        await clean();
        await client.script('test-posthog', posthogSchema(shape));
      });

      it('are used as they are: neither the start nor --migrate finds anything to add', async () => {
        const before = await client.run(everything, []);
        expect(await messages()).toEqual([]);
        expect(await ensureSchema(client, { migrate: false })).toEqual([]);
        expect(await ensureSchema(client, { migrate: true })).toEqual([]);
        expect(await client.run(everything, [])).toEqual(before);
      });

      const needed = TABLES.flatMap((table) =>
        Object.entries(table.columns).flatMap(([column, { need }]) => (need === undefined ? [] : [{ table: table.name, column, need }])),
      );

      it('each column that is missing is named with its table and the statement that adds it, and nothing is added', async () => {
        for (const { table, column } of needed) {
          await client.script('test-hide', `ALTER TABLE ${table} RENAME "${column}" TO hidden`);
          const before = await client.run(everything, []);
          const message = await complaint();
          expect(message).toContain(
            `- column ${table}.${column} is missing. Run: ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS "${column}" `,
          );
          expect(message).toContain('--migrate');
          expect(await client.run(everything, [])).toEqual(before);
          await client.script('test-show', `ALTER TABLE ${table} RENAME hidden TO "${column}"`);
        }
        expect(await messages()).toEqual([]);
      });

      it('each column of another type is named with both types and the reason, and is not altered, not even by --migrate', async () => {
        for (const { table, column, need } of needed) {
          await client.script('test-hide', `ALTER TABLE ${table} RENAME "${column}" TO hidden; ALTER TABLE ${table} ADD "${column}" json`);
          const found = (await schemaProblems(client)).find((problem) => problem.table === table && problem.column === column);
          expect(found?.message).toBe(
            `column ${table}.${column} is json, Troupe needs ${need.types.join(' or ')}, because ${need.because}`,
          );
          expect(found?.statements).toBeUndefined();
          await client.script('test-show', `ALTER TABLE ${table} DROP "${column}"; ALTER TABLE ${table} RENAME hidden TO "${column}"`);
        }
        expect(await messages()).toEqual([]);
      });

      it('each table that is missing is named; without one that Troupe never looks at it works', async () => {
        for (const table of TABLES) {
          await client.script('test-hide', `ALTER TABLE ${table.name} RENAME TO hidden`);
          expect(await messages()).toEqual(isNeeded(table) ? [`table ${table.name} does not exist`] : []);
          await client.script('test-show', `ALTER TABLE hidden RENAME TO ${table.name}`);
        }
      });

      it("the stores of teams, groups and plugins read and write them: ids are numbers also where they are PostHog's bigint", async () => {
        await client.script('test-teams', posthogTeams([`phc_${shape}`], 7));
        const [team] = await createTeamStore(client).byToken([`phc_${shape}`]);
        expect(team).toEqual({
          id: 7,
          token: `phc_${shape}`,
          name: 'Shop 7',
          anonymizeIps: false,
          ingestedEvent: true,
          heatmapsOptIn: true,
          personProcessingOptOut: false,
          dropEventsOlderThanS: undefined,
        });
        const groups = createGroupStore(client, { clock: systemClock });
        expect([await groups.groupTypeIndex(teamId(7), 'company'), await groups.groupTypeIndex(teamId(7), 'project')]).toEqual([0, 1]);
        const group = { teamId: teamId(7), groupTypeIndex: 0, groupKey: 'acme', set: { seats: 3 }, createdAtMs: 0 };
        expect(await groups.upsertGroup(group)).toMatchObject({ changed: true, version: 1 });
        await client.script(
          'test-plugin',
          `INSERT INTO posthog_plugin (name, plugin_type, is_global, is_preinstalled, config_schema, capabilities, from_json, from_web, created_at)
             VALUES ('theirs', 'source', true, false, '{}', '{}', false, false, now());
           INSERT INTO posthog_pluginsourcefile (id, plugin_id, filename, source)
             SELECT gen_random_uuid(), id, 'index.ts', 'export {}' FROM posthog_plugin;
           INSERT INTO posthog_pluginconfig (team_id, plugin_id, enabled, "order", config, created_at, updated_at)
             SELECT 7, id, true, 1, '{}', now(), now() FROM posthog_plugin`,
        );
        const configs = await createPluginConfigStore(client).activePluginConfigs();
        expect(configs).toEqual([expect.objectContaining({ pluginConfigId: 1, teamId: 7, pluginId: 1, pluginName: 'theirs', order: 1 })]);
        expect(configs[0]?.files).toEqual({ 'index.ts': 'export {}' });
      });

      if (shape === 'by-project') {
        it('[N] group types that belong to projects are shared by the teams of one', async () => {
          await client.script(
            'test-teams',
            `${posthogTeams(['phc_a', 'phc_b'], 20)}; UPDATE posthog_team SET project_id = 20 WHERE id = 21`,
          );
          const [store, other] = [1, 2].map(() => createGroupStore(client, { clock: systemClock }));
          const [a, b] = [teamId(20), teamId(21)];
          expect([await store?.groupTypeIndex(a, 'company'), await store?.groupTypeIndex(a, 'project')]).toEqual([0, 1]);
          expect([await other?.groupTypeIndex(b, 'project'), await other?.groupTypeIndex(b, 'third')]).toEqual([1, 2]);
        });
      }
    });

    describe('of a PostHog that lacks some', () => {
      beforeEach(async () => {
        await clean();
        await client.script('test-posthog', posthogSchema('2024-10'));
        await client.script('test-teams', posthogTeams(['phc_rows']));
      });

      it('--migrate adds only what is missing, says so line by line, and a second run says nothing', async () => {
        await client.script(
          'test-change',
          `ALTER TABLE posthog_persondistinctid DROP version; ALTER TABLE posthog_plugin DROP url; DROP TABLE posthog_personlessdistinctid;
           ALTER TABLE posthog_eventdefinition DROP CONSTRAINT posthog_eventdefinition_team_id_name_80fa0b87_uniq`,
        );
        const before = await client.run(everything, []);
        const lines = await ensureSchema(client, { migrate: true });
        expect(lines).toEqual([
          'PostgreSQL: ran ALTER TABLE posthog_persondistinctid ADD COLUMN IF NOT EXISTS "version" bigint',
          expect.stringMatching(/^PostgreSQL: ran CREATE TABLE IF NOT EXISTS posthog_personlessdistinctid /),
          'PostgreSQL: ran CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "posthog_eventdefinition_team_id_name_80fa0b87_uniq" ON posthog_eventdefinition (team_id, name)',
          'PostgreSQL: ran ALTER TABLE posthog_plugin ADD COLUMN IF NOT EXISTS "url" varchar(800) UNIQUE',
        ]);
        expect(await ensureSchema(client, { migrate: true })).toEqual([]);
        const after = await client.run(everything, []);
        expect(after).toEqual(expect.arrayContaining([...before]));
        expect(after.length).toBe(before.length + 2 + 5);
      });

      it('what cannot be added beside rows is told with the reason of the server, and the rest is added', async () => {
        await client.script(
          'test-change',
          `ALTER TABLE posthog_eventproperty DROP CONSTRAINT posthog_event_property_unique_team_event_property;
           ALTER TABLE posthog_person DROP uuid, DROP version;
           INSERT INTO posthog_person (created_at, team_id, properties, is_identified) VALUES (now(), 1, '{}', false);
           INSERT INTO posthog_eventproperty (team_id, event, property) VALUES (1, 'a', 'b'), (1, 'a', 'b')`,
        );
        const migrate = (): Promise<unknown> => ensureSchema(client, { migrate: true });
        await expect(migrate()).rejects.toMatchObject({ kind: 'misconfigured' });
        // A second run meets what the first one's failed CREATE INDEX CONCURRENTLY left behind, and says the same.
        await expect(migrate()).rejects.toThrow(
          /column posthog_person\.uuid is missing, and cannot be added \(.*contains null values.*\)\.[^]*posthog_eventproperty has no unique index on \(team_id, event, property\)[^]*cannot be added \(.*could not create unique index.*\)\. Remove the rows/,
        );
        expect((await messages()).filter((message) => message.includes('version'))).toEqual([]);
        await client.script('test-repair', 'DELETE FROM posthog_person; DELETE FROM posthog_eventproperty WHERE id = 2');
        expect(await ensureSchema(client, { migrate: true })).toHaveLength(3);
        expect(await messages()).toEqual([]);
      });

      it('a mandatory column that Troupe does not fill is found before an insert fails on it', async () => {
        await client.script(
          'test-change',
          'ALTER TABLE posthog_group ADD COLUMN region text NOT NULL; ALTER TABLE posthog_plugin ADD COLUMN region text NOT NULL',
        );
        expect(await complaint()).toContain(
          'column posthog_group.region is NOT NULL without a default, and Troupe, which inserts rows, does not know what to give it. ' +
            'Give it a default: ALTER TABLE posthog_group ALTER COLUMN "region" SET DEFAULT ...',
        );
        expect(await messages()).toHaveLength(1);
      });

      it('more columns, wider or narrower numbers and texts, and a unique index in place of a constraint are all right', async () => {
        await client.script(
          'test-change',
          `ALTER TABLE posthog_person ADD COLUMN last_seen_at timestamptz, ADD COLUMN region text NOT NULL DEFAULT '', ALTER COLUMN id TYPE bigint;
           ALTER TABLE posthog_persondistinctid ALTER distinct_id TYPE text, ALTER person_id TYPE bigint;
           ALTER TABLE posthog_group DROP CONSTRAINT "unique team_id/group_key/group_type_index combo";
           CREATE UNIQUE INDEX ON posthog_group (group_type_index, team_id, group_key)`,
        );
        expect(await messages()).toEqual([]);
      });

      it('a unique index over some of the rows, or over fewer or other columns, does not do', async () => {
        await client.script(
          'test-change',
          `ALTER TABLE posthog_persondistinctid DROP CONSTRAINT "unique distinct_id for team";
           CREATE UNIQUE INDEX ON posthog_persondistinctid (team_id, distinct_id) WHERE version > 0;
           CREATE UNIQUE INDEX ON posthog_persondistinctid (team_id, distinct_id, version);
           CREATE UNIQUE INDEX ON posthog_persondistinctid (team_id, lower(distinct_id))`,
        );
        expect(await messages()).toEqual([
          expect.stringContaining('posthog_persondistinctid has no unique index on (team_id, distinct_id)'),
        ]);
      });
    });
  });
}
