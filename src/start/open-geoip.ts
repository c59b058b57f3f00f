import { resolve } from 'node:path';
import type { Closers } from './closers.ts';
import type { Config } from '../config/schema.ts';
import { bundledDatabase, fileSource } from '../geoip/file-source.ts';
import { createGeoIp } from '../geoip/hot-swap.ts';
import type { GeoIpSource } from '../geoip/port.ts';
import { startGeoIpService } from '../geoip/service.ts';
import type { PostgresClient } from '../postgres/client.ts';
import { createMmdbAttachment } from '../postgres/mmdb-attachment.ts';
import type { Clock } from '../runtime/clock.ts';

/** A file is looked at often, for that is one stat(); PostHog's attachment changes every few weeks. */
const FILE_POLL_MS = 2_000;
const ATTACHMENT_POLL_MS = 60_000;

/**
 * Opens the GeoIP database and its service for the sandbox (ADR 0015); undefined when DISABLE_MMDB is set.
 * @throws Error when TROUPE_MMDB_FILE cannot be used. PostHog's attachment may come, or be mended, later.
 */
export async function openGeoIp(deps: {
  readonly config: Config;
  readonly postgres: PostgresClient;
  readonly clock: Clock;
  readonly closers: Closers;
}): Promise<{ readonly port: number; readonly summary: string } | undefined> {
  const { config, postgres, clock, closers } = deps;
  if (config.geoip.disabled) return undefined;
  const file = config.geoip.file ?? (config.postgres.url === undefined ? bundledDatabase() : undefined);
  const source: GeoIpSource = file === undefined ? createMmdbAttachment(postgres) : fileSource(resolve(file));
  const geoip = await createGeoIp({ source, clock, pollMs: file === undefined ? ATTACHMENT_POLL_MS : FILE_POLL_MS });
  closers.push('the GeoIP database', () => Promise.resolve(geoip.close()));
  if (file !== undefined && !geoip.ready()) {
    throw new Error(
      `The GeoIP database ${source.name} cannot be used: ${geoip.refusal() ?? 'there is no such file'}. Correct TROUPE_MMDB_FILE, or set DISABLE_MMDB.`,
    );
  }
  const service = await startGeoIpService({ geoip, port: config.geoip.port });
  closers.push('the MMDB service', () => service.close());
  return { port: service.port, summary: `GeoIP       ${summaryOf(config, source, geoip.ready())}` };
}

function summaryOf({ geoip: { file } }: Config, { name }: GeoIpSource, isReady: boolean): string {
  if (!isReady) return `no database yet in ${name}: plugins are told so`;
  return file === undefined && name.includes('dbip') ? 'IP Geolocation by DB-IP (https://db-ip.com), countries' : name;
}
