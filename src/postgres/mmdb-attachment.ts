import { brotliDecompress } from 'node:zlib';
import { promisify } from 'node:util';
import type { PostgresClient, Statement } from './client.ts';

/** PostHog's GeoIP database where PostHog keeps it (spec/ingestion.md 6.5); in the shape of a GeoIpSource. */
export interface MmdbAttachment {
  readonly name: string;
  version(): Promise<string | undefined>;
  read(): Promise<Buffer>;
}

/** A GeoLite2-City has about 60 MB. */
const MAX_BYTES = 512 * 1024 * 1024;

/**
 * The newest attachment `@posthog/mmdb` that belongs to no team and no plugin config, unpacked. It is read when a PostHog has put it there
 * and not downloaded by us.
 */
export function createMmdbAttachment(client: PostgresClient): MmdbAttachment {
  return {
    name: 'posthog_pluginattachment @posthog/mmdb',
    async version() {
      const [row] = await client.run<{ version: string }>(findAttachment, []);
      return row?.version;
    },
    async read() {
      const [row] = await client.run<{ contents: Buffer }>(readAttachment, []);
      if (row === undefined) throw new RangeError('the attachment was removed between two looks');
      return promisify(brotliDecompress)(row.contents, { maxOutputLength: MAX_BYTES });
    },
  };
}

const NEWEST = `FROM posthog_pluginattachment WHERE key = '@posthog/mmdb' AND team_id IS NULL AND plugin_config_id IS NULL ORDER BY id DESC LIMIT 1`;

// xmin changes with every write of the row: PostHog replaces the contents in place.
const findAttachment: Statement = {
  name: 'find-mmdb-attachment',
  text: `SELECT concat(id, '/', file_name, '/', xmin) AS "version" ${NEWEST}`,
};
const readAttachment: Statement = { name: 'read-mmdb-attachment', text: `SELECT contents AS "contents" ${NEWEST}` };
