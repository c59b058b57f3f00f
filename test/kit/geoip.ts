import { double, uint16, writeMmdb, type MmdbValue } from './mmdb-writer.ts';

/** A made-up place in the shape of GeoLite2-City. */
export function cityRecord(country: string, city: string): MmdbValue {
  return {
    city: { geoname_id: 4711, names: { en: city } },
    continent: { code: 'EU', names: { en: 'Europe' } },
    country: { iso_code: country, names: { en: `Land of ${country}` } },
    location: { accuracy_radius: uint16(20), latitude: double(59.5), longitude: double(-17.25), time_zone: 'Europe/Stockholm' },
    postal: { code: '123 45' },
    subdivisions: [{ iso_code: 'AB', names: { en: 'A Region' } }],
  };
}

/** A City database in which 89.160.20.0/24 and 2001:db8:1::/48 are in `city`, and nothing else is anywhere. */
export const cityDatabase = (city: string, country = 'SE'): Buffer =>
  writeMmdb('GeoLite2-City', [
    ['89.160.20.0/24', cityRecord(country, city)],
    ['2001:db8:1::/48', cityRecord(country, city)],
  ]);

export const KNOWN_IP = '89.160.20.112';
export const UNKNOWN_IP = '198.51.100.7';

/**
 * What PostHog's GeoIP plugin does, in our words and with its interface alone: `$geoip_*` on the event, and on the person the
 * same with `$set` and `$initial_` with `$set_once`; nothing when `$ip` is absent or `$geoip_disable` is set.
 */
export const GEOIP_PLUGIN = {
  'plugin.json': JSON.stringify({ name: 'GeoIP', main: 'index.ts' }),
  'index.ts': `
import type { Plugin, PluginEvent, Meta } from '@posthog/plugin-scaffold';

const plugin: Plugin = {
  async processEvent(event: PluginEvent, { geoip }: Meta): Promise<PluginEvent> {
    const properties = event.properties;
    if (!properties || !properties.$ip || properties.$geoip_disable) return event;
    const found = await geoip.locate(properties.$ip as string);
    if (!found) return event;
    const place: Record<string, unknown> = {
      city_name: found.city?.names?.en,
      country_name: found.country?.names?.en,
      country_code: found.country?.iso_code,
      continent_code: found.continent?.code,
      postal_code: found.postal?.code,
      latitude: found.location?.latitude,
      longitude: found.location?.longitude,
      time_zone: found.location?.time_zone,
      subdivision_1_code: found.subdivisions?.[0]?.iso_code,
    };
    event.$set = event.$set ?? {};
    event.$set_once = event.$set_once ?? {};
    for (const [name, value] of Object.entries(place)) {
      if (value === undefined) continue;
      properties['$geoip_' + name] = value;
      event.$set['$geoip_' + name] = value;
      event.$set_once['$initial_geoip_' + name] = value;
    }
    return event;
  },
};
export default plugin;
`,
};
