/**
 * List A of rule 2.2 in generation [24]: event properties that describe the person too. Seen on an event, each is
 * copied to `$set`, and to `$set_once` under its `$initial_` name.
 */
const APP_AND_BROWSER = [
  '$app_build',
  '$app_name',
  '$app_namespace',
  '$app_version',
  '$browser',
  '$browser_version',
  '$device_type',
  '$current_url',
  '$pathname',
  '$os',
  '$os_name',
  '$os_version',
  '$referring_domain',
  '$referrer',
] as const;

const CAMPAIGN = [
  'utm_source',
  'utm_medium',
  'utm_campaign',
  'utm_content',
  'utm_name',
  'utm_term',
  'gclid',
  'gad_source',
  'gclsrc',
  'dclid',
  'gbraid',
  'wbraid',
  'fbclid',
  'msclkid',
  'twclid',
  'li_fat_id',
  'mc_cid',
  'igshid',
  'ttclid',
  'rdt_cid',
] as const;

/** property to its initial name, `$initial_` and the key without its first `$`. */
export const INITIAL_NAME: ReadonlyMap<string, string> = new Map(
  [...APP_AND_BROWSER, ...CAMPAIGN].map((key) => [key, `$initial_${key.replace('$', '')}`]),
);

const INITIAL_NAMES: ReadonlySet<string> = new Set(INITIAL_NAME.values());

/** A key of list A, or the initial name of one. */
export function isInListA(key: string): boolean {
  return INITIAL_NAME.has(key) || INITIAL_NAMES.has(key);
}

/** P-34: an existing value of this key that changes is no reason to write the person. */
export function isVolatile(key: string): boolean {
  return INITIAL_NAME.has(key) || key.startsWith('$geoip_');
}

/** P-39: label of `person_property_key_update_total`; bounded, whatever clients send. */
export function propertyKeyLabel(key: string): string {
  if (isInListA(key)) return key;
  return key.startsWith('$geoip_') || key.startsWith('$initial_geoip_') ? 'geoIP' : 'other';
}
