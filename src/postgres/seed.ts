import { type TeamId, teamId } from '../domain/ids.ts';
import type { PostgresClient, Statement } from './client.ts';
import { jsonbText } from './json.ts';
import type { PluginFiles } from './plugin-config-store.ts';

const ORGANIZATION = '00000000-0000-4000-8000-000000000001';

/**
 * Makes a team with this token in a database that Troupe made (demo, tests), in an organization that may use plugins.
 * Done before: nothing changes. Resolves to the team's id.
 */
export async function seedTeam(client: PostgresClient, team: { readonly token: string; readonly name?: string }): Promise<TeamId> {
  return client.transaction('seed-team', async (transaction) => {
    await transaction.run(seedOrganization, [ORGANIZATION]);
    const [row] = await transaction.run<{ id: number }>(insertTeam, [ORGANIZATION, team.token, team.name ?? 'Demo']);
    if (row === undefined) throw new RangeError('an upsert that updates always answers');
    await transaction.run(insertProject, [row.id]);
    return teamId(row.id);
  });
}

/**
 * Makes a plugin with these files and enables it for a team; the same name again replaces files and config, and the
 * running server reloads it. Resolves to the id of the plugin config.
 */
export async function seedPlugin(
  client: PostgresClient,
  plugin: {
    readonly teamId: TeamId;
    readonly name: string;
    readonly files: PluginFiles;
    readonly config?: Readonly<Record<string, unknown>>;
    /** Plugins of a team run in ascending order. @defaultValue 0 */
    readonly order?: number;
  },
): Promise<number> {
  return client.transaction('seed-plugin', async (transaction) => {
    const [row] = await transaction.run<{ id: number }>(upsertPlugin, [
      `troupe://${plugin.teamId}/${plugin.name}`,
      plugin.name,
      ORGANIZATION,
    ]);
    if (row === undefined) throw new RangeError('an upsert that updates always answers');
    await transaction.run(replaceFiles, [row.id, jsonbText(plugin.files)]);
    const parameters = [plugin.teamId, row.id, plugin.order ?? 0, jsonbText(plugin.config ?? {})];
    const [updated] = await transaction.run<{ id: number }>(updateConfig, parameters);
    const [config] = updated === undefined ? await transaction.run<{ id: number }>(insertConfig, parameters) : [updated];
    if (config === undefined) throw new RangeError('an insert always answers');
    return config.id;
  });
}

const seedOrganization: Statement = {
  name: 'seed-organization',
  text: `INSERT INTO posthog_organization (id, name, plugins_access_level) VALUES ($1::uuid, 'Troupe', 9) ON CONFLICT (id) DO NOTHING`,
};
const insertTeam: Statement = {
  name: 'seed-team',
  text: `
    INSERT INTO posthog_team (organization_id, api_token, name) VALUES ($1::uuid, $2::text, $3::text)
    ON CONFLICT (api_token) DO UPDATE SET api_token = excluded.api_token
    RETURNING id`,
};
/** A team's first project has its number, as in PostHog. */
const insertProject: Statement = {
  name: 'seed-project',
  text: `
    WITH project AS (
      INSERT INTO posthog_project (id, organization_id, name) SELECT id, organization_id, name FROM posthog_team WHERE id = $1::int4
      ON CONFLICT (id) DO NOTHING
    )
    UPDATE posthog_team SET project_id = id WHERE id = $1::int4 AND project_id IS NULL`,
};
const upsertPlugin: Statement = {
  name: 'seed-plugin',
  text: `
    INSERT INTO posthog_plugin (url, name, organization_id, plugin_type, updated_at) VALUES ($1::text, $2::text, $3::uuid, 'source', now())
    ON CONFLICT (url) DO UPDATE SET updated_at = now()
    RETURNING id`,
};
const replaceFiles: Statement = {
  name: 'seed-plugin-files',
  text: `
    WITH files AS (SELECT key AS filename, value AS source FROM jsonb_each_text($2::text::jsonb)),
    gone AS (DELETE FROM posthog_pluginsourcefile WHERE plugin_id = $1::int4 AND filename NOT IN (SELECT filename FROM files))
    INSERT INTO posthog_pluginsourcefile (plugin_id, filename, source, updated_at)
    SELECT $1::int4, filename, source, now() FROM files
    ON CONFLICT (plugin_id, filename) DO UPDATE SET source = excluded.source, updated_at = now()`,
};
const updateConfig: Statement = {
  name: 'seed-plugin-config-update',
  text: `
    UPDATE posthog_pluginconfig SET enabled = true, deleted = false, "order" = $3::int4, config = $4::text::jsonb, updated_at = now()
    WHERE team_id = $1::int4 AND plugin_id = $2::int4
    RETURNING id`,
};
const insertConfig: Statement = {
  name: 'seed-plugin-config-insert',
  text: `
    INSERT INTO posthog_pluginconfig (team_id, plugin_id, enabled, deleted, "order", config, updated_at)
    VALUES ($1::int4, $2::int4, true, false, $3::int4, $4::text::jsonb, now())
    RETURNING id`,
};
