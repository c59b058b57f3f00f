import type { Json } from '../../src/domain/event.ts';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TeamId, teamId } from '../../src/domain/ids.ts';
import { TEAM_DEFAULTS } from '../../src/domain/team.ts';
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { createGroupStore } from '../../src/postgres/group-store.ts';
import { localPluginReader } from '../../src/postgres/local-plugins.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import { createPluginConfigStore } from '../../src/postgres/plugin-config-store.ts';
import type { GroupStore } from '../../src/postgres/port.ts';
import { seedPlugin, seedTeam } from '../../src/postgres/seed.ts';
import { createTeamStore } from '../../src/postgres/team-store.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { requireService } from '../services/availability.ts';
import { type PostgresKind, probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const sql = (name: string, text: string): Statement => ({ name: `test-${name}`, text });

for (const kind of ['embedded', 'debian'] satisfies PostgresKind[]) {
  const service = await requireService(`postgres (${kind})`, () => probePostgres(kind));
  describe.skipIf(!service.available)(`on PostgreSQL (${kind})`, () => {
    let server: TestPostgres;
    let client: PostgresClient;
    beforeAll(async () => {
      server = await startPostgres(kind);
      client = server.client();
      await ensureSchema(client, { migrate: false });
    });
    afterAll(() => server.stop());

    describe('TeamStore', () => {
      it('finds teams by token and by id, in the order asked; seeding again gives the same team', async () => {
        const store = createTeamStore(client);
        const [a, b] = [await seedTeam(client, { token: 'phc_a', name: 'A' }), await seedTeam(client, { token: 'phc_b' })];
        expect(await seedTeam(client, { token: 'phc_a' })).toBe(a);
        const teamA = { ...TEAM_DEFAULTS, id: a, token: 'phc_a', name: 'A' };
        expect(await store.byToken(['phc_b', 'nobody', 'phc_a', 'phc_a'])).toEqual([
          expect.objectContaining({ id: b }),
          undefined,
          teamA,
          teamA,
        ]);
        expect(await store.byId([b, 999_999, a])).toEqual([expect.objectContaining({ id: b }), undefined, teamA]);
        expect(await store.byToken([])).toEqual([]);
      });

      it('a token or an id that no column can hold is nobody, not an error', async () => {
        const store = createTeamStore(client);
        expect(await store.byToken(['nul\0', '\uD800', 'x'.repeat(10_000)])).toEqual([undefined, undefined, undefined]);
        expect(await store.byId([2 ** 40, 1.5, -7, NaN])).toEqual([undefined, undefined, undefined, undefined]);
      });
    });

    describe('PluginConfigStore', () => {
      it('V-1, V-2: enabled plugins come team by team in their order, with their files; others do not', async () => {
        const store = createPluginConfigStore(client);
        const team = await seedTeam(client, { token: 'phc_plugins' });
        const files = { 'plugin.json': '{"name":"x"}', 'index.js': 'function processEvent(e) { return e }' };
        const second = await seedPlugin(client, { teamId: team, name: 'second', files, order: 2, config: { key: 'v' } });
        const first = await seedPlugin(client, { teamId: team, name: 'first', files: { 'index.ts': 'export {}' }, order: 1 });
        const off = await seedPlugin(client, { teamId: team, name: 'off', files });
        await client.run(sql('off', 'UPDATE posthog_pluginconfig SET enabled = false WHERE id = $1'), [off]);
        const rows = await store.activePluginConfigs();
        expect(rows.map((row) => row.pluginConfigId)).toEqual([first, second]);
        expect(rows[1]).toMatchObject({ teamId: team, pluginName: 'second', order: 2, config: { key: 'v' }, files });

        await client.run(sql('level', 'UPDATE posthog_organization SET plugins_access_level = 0'), []);
        expect(await store.activePluginConfigs()).toEqual([]);
        await client.run(sql('level-back', 'UPDATE posthog_organization SET plugins_access_level = 9'), []);
      });

      it('the fingerprint changes exactly with config and source', async () => {
        const store = createPluginConfigStore(client);
        const team = await seedTeam(client, { token: 'phc_fingerprint' });
        const plugin = { teamId: team, name: 'p', files: { 'index.js': '1' } };
        const id = await seedPlugin(client, plugin);
        const fingerprint = async (): Promise<string | undefined> =>
          (await store.activePluginConfigs()).find((row) => row.pluginConfigId === id)?.fingerprint;
        const before = await fingerprint();
        expect(await fingerprint()).toBe(before);
        expect(await seedPlugin(client, { ...plugin, files: { 'index.js': '2' } })).toBe(id);
        expect(await fingerprint()).not.toBe(before);
      });

      it('V-3: a local plugin is read from its folder; one that is not there has no files and harms nobody', async () => {
        const baseDir = mkdtempSync(join(tmpdir(), 'troupe-local-plugin-'));
        writeFileSync(join(baseDir, 'plugin.json'), JSON.stringify({ main: 'lib.js' }));
        writeFileSync(join(baseDir, 'lib.js'), 'exports.processEvent = (event) => event');
        writeFileSync(join(baseDir, 'frontend.tsx'), 'never read');
        const team = await seedTeam(client, { token: 'phc_local' });
        for (const [name, path] of [
          ['local', '.'],
          ['gone', './nowhere'],
        ] as const) {
          await seedPlugin(client, { teamId: team, name, files: {} });
          await client.run(
            sql('local', `UPDATE posthog_plugin SET plugin_type = 'local', url = 'file:' || $2::text WHERE name = $1::text`),
            [name, path],
          );
        }
        const store = createPluginConfigStore(client, { readLocalPlugin: localPluginReader(baseDir) });
        const rows = (await store.activePluginConfigs()).filter((row) => row.teamId === team);
        expect(rows.map((row) => [row.pluginName, Object.keys(row.files)])).toEqual([
          ['local', ['plugin.json', 'lib.js']],
          ['gone', []],
        ]);
        rmSync(baseDir, { recursive: true });
      });
    });

    describe('GroupStore', () => {
      let nextTeam = 1_000;
      const stores = (): { team: TeamId; store: GroupStore; other: GroupStore } => ({
        team: teamId(nextTeam++),
        store: createGroupStore(client, { clock: systemClock }),
        other: createGroupStore(server.client(), { clock: systemClock }),
      });

      it('G-2: types get indexes in the order of their first use, the sixth gets none', async () => {
        const { team, store, other } = stores();
        const indexes: (number | undefined)[] = [];
        for (const type of ['company', 'project', 'company', 'a', 'b', 'c', 'sixth', 'a'])
          indexes.push(await store.groupTypeIndex(team, type));
        expect(indexes).toEqual([0, 1, 0, 2, 3, 4, undefined, 2]);
        expect(await other.groupTypeIndex(team, 'project')).toBe(1);
        expect(await other.groupTypeIndex(team, 'seventh')).toBeUndefined();
      });

      it('G-2: two processes that meet new types at once agree on them', async () => {
        const { team, store, other } = stores();
        const types = ['a', 'b', 'c', 'd', 'e'];
        const ask = (each: GroupStore, order: string[]): Promise<(number | undefined)[]> =>
          Promise.all(order.map((type) => each.groupTypeIndex(team, type)));
        const [mine, theirs] = await Promise.all([ask(store, types), ask(other, [...types].reverse())]);
        expect(mine).toEqual([...theirs].reverse());
        expect([...mine].sort()).toEqual([0, 1, 2, 3, 4]);
      });

      it('GU-1, GU-2: the version grows only when something changes, compared loosely; created_at is the earliest', async () => {
        const { team, store } = stores();
        const group = (set: Record<string, unknown>, createdAtMs = 2_000): Parameters<GroupStore['upsertGroup']>[0] => ({
          ...{ teamId: team, groupTypeIndex: 0, groupKey: 'acme', set, createdAtMs },
        });
        expect(await store.upsertGroup(group({ seats: 1 }))).toEqual({
          changed: true,
          version: 1,
          createdAtMs: 2_000,
          properties: { seats: 1 },
        });
        expect(await store.upsertGroup(group({ seats: '1' }))).toEqual({
          changed: false,
          version: 1,
          createdAtMs: 2_000,
          properties: { seats: 1 },
        });
        expect(await store.upsertGroup(group({ plan: 'x' }, 1_000))).toEqual({
          changed: true,
          version: 2,
          createdAtMs: 1_000,
          properties: { seats: 1, plan: 'x' },
        });
        expect(await store.upsertGroup(group({ plan: null }))).toMatchObject({
          changed: true,
          version: 3,
          properties: { seats: 1, plan: null },
        });
        expect(await store.upsertGroup(group({ list: [] }))).toMatchObject({ changed: true, version: 4 });
        expect(await store.upsertGroup(group({ list: [] }))).toMatchObject({ changed: true, version: 5 });
      });

      it('GU-3: a group that many make at once exists once, with what all of them set', async () => {
        const { team, store, other } = stores();
        const upserts = Array.from({ length: 20 }, (_, index) =>
          (index % 2 === 0 ? store : other).upsertGroup({
            teamId: team,
            groupTypeIndex: 1,
            groupKey: 'k',
            set: { [`p${index}`]: index },
            createdAtMs: 0,
          }),
        );
        const versions = (await Promise.all(upserts)).map((result) => result.version).sort((a, b) => a - b);
        expect(versions).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
        const last = await store.upsertGroup({ teamId: team, groupTypeIndex: 1, groupKey: 'k', set: {}, createdAtMs: 0 });
        expect(Object.keys(last.properties)).toHaveLength(20);
      });

      it('GU-2: values without a text of their own, and keys named like inherited ones, are compared and written like others', async () => {
        const { team, store } = stores();
        const upsert = (set: Json) => store.upsertGroup({ teamId: team, groupTypeIndex: 2, groupKey: 'k', set, createdAtMs: 0 });
        const odd = JSON.parse('{"a":{"toString":null,"valueOf":1},"toString":null,"__proto__":{"b":1}}') as Json;
        await upsert({ a: 'text', toString: 1 });
        expect(await upsert(odd)).toMatchObject({ changed: true, version: 2 });
        const stored = await upsert({});
        expect(JSON.stringify(stored.properties)).toContain('"__proto__":{"b":1}');
      });

      it('I1: an index is not asked for again within the time it is remembered, and is afterwards', async () => {
        const { team } = stores();
        let nowMs = 0;
        const clock = { ...systemClock, monotonic: () => nowMs };
        const store = createGroupStore(client, { clock, rememberMs: 1_000 });
        await store.groupTypeIndex(team, 'company');
        const other = createGroupStore(client, { clock });
        await other.groupTypeIndex(team, 'project');
        await client.run(
          sql('rename', `UPDATE posthog_grouptypemapping SET group_type = 'firm' WHERE team_id = $1 AND group_type = 'company'`),
          [team],
        );
        expect(await store.groupTypeIndex(team, 'company')).toBe(0);
        nowMs = 1_000;
        expect(await store.groupTypeIndex(team, 'firm')).toBe(0);
      });
    });

    describe('M-3 in the tables beside', () => {
      it('a merge takes along cohorts and feature flag overrides; the survivor keeps its own', async () => {
        const team = teamId(77);
        const store = createPersonStore(client);
        const made = await store.create(
          ['into', 'from'].map((distinctId, index) => ({
            ...{
              teamId: team,
              createdAtMs: 0,
              properties: {},
              propertiesLastUpdatedAt: {},
              propertiesLastOperation: {},
              isIdentified: false,
            },
            id: `00000000-0000-4000-8000-00000000000${index}` as never,
            distinctIds: [{ distinctId, version: 0 }],
          })),
        );
        const [into, from] = made.map((result) => (result.type === 'created' ? result.person : undefined));
        if (into === undefined || from === undefined) throw new Error('expected two persons');
        await client.script(
          'test-beside',
          `INSERT INTO posthog_cohortpeople (cohort_id, person_id) VALUES (5, ${from.rowId});
           INSERT INTO posthog_featureflaghashkeyoverride (team_id, person_id, feature_flag_key, hash_key)
           VALUES (77, ${from.rowId}, 'both', 'of from'), (77, ${into.rowId}, 'both', 'of into'), (77, ${from.rowId}, 'only', 'of from')`,
        );
        expect(await store.merge({ teamId: team, into, from, properties: {}, createdAtMs: 0 })).toMatchObject({ type: 'merged' });
        const people = await client.run(
          sql('cohorts', 'SELECT cohort_id, person_id::text FROM posthog_cohortpeople WHERE cohort_id = 5'),
          [],
        );
        expect(people).toEqual([{ cohort_id: 5, person_id: into.rowId }]);
        const flags = sql(
          'flags',
          'SELECT person_id::text AS p, feature_flag_key AS f, hash_key AS h FROM posthog_featureflaghashkeyoverride WHERE team_id = 77 ORDER BY f',
        );
        expect(await client.run(flags, [])).toEqual([
          { p: into.rowId, f: 'both', h: 'of into' },
          { p: into.rowId, f: 'only', h: 'of from' },
        ]);
      });
    });
  });
}
