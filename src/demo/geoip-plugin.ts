/** A plugin for the demo's shop: the country of an event's `$ip`, on the event and on its person. Written against PostHog's interface only. */
export const GEOIP_PLUGIN: Readonly<Record<string, string>> = {
  'plugin.json': JSON.stringify({ name: 'GeoIP', main: 'index.js' }),
  'index.js': `
export async function processEvent(event, { geoip }) {
  const { $ip, $geoip_disable } = event.properties;
  if (!$ip || $geoip_disable) return event;
  const country = (await geoip.locate($ip))?.country;
  if (!country) return event;
  const place = { $geoip_country_code: country.iso_code, $geoip_country_name: country.names?.en };
  Object.assign(event.properties, place);
  event.$set = { ...event.$set, ...place };
  return event;
}
`,
};
