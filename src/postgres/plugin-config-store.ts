import { createHash } from 'node:crypto';
import { teamId } from '../domain/ids.ts';
import { int4Array } from './arrays.ts';
import type { PostgresClient, Statement } from './client.ts';
import type { PluginConfigRow, PluginConfigStore } from './port.ts';

/** File name to source text. */
export type PluginFiles = Readonly<Record<string, string>>;

/**
 * Enabled plugins of all teams (V-1), each team's in the order in which they run (V-2), with their sources (V-3): from
 * `posthog_pluginsourcefile`, or, for a plugin of type local, from the folder that its url names.
 * A plugin without any source comes with no files; whoever loads it says what is missing.
 */
export function createPluginConfigStore(
  client: PostgresClient,
  options: {
    /** Reads the files of a local plugin, whose url is `file:<path>`; undefined: local plugins come without files. */
    readonly readLocalPlugin?: (path: string) => Promise<PluginFiles>;
  } = {},
): PluginConfigStore {
  return {
    async activePluginConfigs() {
      const rows = await client.run<ConfigRow>(activeConfigs, []);
      const filesByPlugin = await storedFiles(client, rows);
      const localFiles = new Map<string, PluginFiles>();
      for (const { pluginType, url } of rows) {
        if (pluginType !== 'local' || !url?.startsWith('file:') || localFiles.has(url)) continue;
        localFiles.set(url, (await options.readLocalPlugin?.(url.slice('file:'.length))) ?? {});
      }
      return rows.map((row) => configOf(row, localFiles.get(row.url ?? '') ?? filesByPlugin.get(row.pluginId) ?? {}));
    },
  };
}

interface ConfigRow {
  readonly [key: string]: unknown;
  readonly pluginConfigId: number;
  readonly teamId: number;
  readonly pluginId: number;
  readonly pluginName: string | null;
  readonly pluginType: string | null;
  readonly url: string | null;
  readonly order: number;
  readonly logLevel: number | null;
  readonly config: Record<string, unknown> | null;
  /** When config and plugin last changed. */
  readonly changed: string;
}
interface FileRow {
  readonly [key: string]: unknown;
  readonly pluginId: number;
  readonly filename: string;
  readonly source: string | null;
}

const activeConfigs: Statement = {
  name: 'active-plugin-configs',
  text: `
    SELECT c.id::int4 AS "pluginConfigId", c.team_id::int4 AS "teamId", c.plugin_id::int4 AS "pluginId", p.log_level::int4 AS "logLevel", p.name AS "pluginName", p.plugin_type AS "pluginType",
           p.url AS "url", c."order"::int4 AS "order", c.config AS "config", concat(c.updated_at, '/', p.updated_at) AS "changed"
    FROM posthog_pluginconfig c
    JOIN posthog_plugin p ON p.id = c.plugin_id
    JOIN posthog_team t ON t.id = c.team_id
    JOIN posthog_organization o ON o.id = t.organization_id
    WHERE c.enabled AND c.deleted IS NOT TRUE AND o.plugins_access_level > 0
    ORDER BY c.team_id, c."order", c.id`,
};
const sourceFiles: Statement = {
  name: 'plugin-source-files',
  text: `
    SELECT plugin_id::int4 AS "pluginId", filename AS "filename", source AS "source"
    FROM posthog_pluginsourcefile
    WHERE plugin_id = ANY ($1::int4[])
    ORDER BY plugin_id, filename`,
};

/** Once per plugin: one that all teams use is not sent once for each. */
async function storedFiles(client: PostgresClient, rows: readonly ConfigRow[]): Promise<ReadonlyMap<number, PluginFiles>> {
  const files = new Map<number, Record<string, string>>();
  const ids = [...new Set(rows.map((row) => row.pluginId))];
  if (ids.length === 0) return files;
  for (const { pluginId, filename, source } of await client.run<FileRow>(sourceFiles, [int4Array(ids)])) {
    const ofPlugin = files.get(pluginId) ?? {};
    files.set(pluginId, ofPlugin);
    ofPlugin[filename] = source ?? '';
  }
  return files;
}

function configOf(row: ConfigRow, files: PluginFiles): PluginConfigRow {
  const { pluginConfigId, pluginId, order } = row;
  const config = row.config ?? {};
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([row.changed, order, row.pluginName, config, files]))
    .digest('hex');
  const named = {
    pluginConfigId,
    teamId: teamId(row.teamId),
    pluginId,
    pluginName: row.pluginName ?? '',
    order,
    logLevel: row.logLevel ?? undefined,
    config,
    files,
    fingerprint,
  };
  return row.url === null ? named : { ...named, url: row.url };
}
