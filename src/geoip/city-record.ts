import type { CityRecord } from './port.ts';

/**
 * Brings a record into MaxMind's City shape. Databases of the ip-location-db packages (DB-IP among them) hold flat records,
 * such as `{country_code: 'SE'}`; everything else is taken as it is.
 */
export function toCityRecord(record: Readonly<Record<string, unknown>>): CityRecord {
  const { country_code: code } = record;
  if (typeof code !== 'string' || record['country'] !== undefined) return record;
  const { city, state1, state2, postcode, latitude, longitude, timezone } = record;
  const subdivisions = [state1, state2].filter(isText).map((name) => ({ names: { en: name } }));
  return {
    country: { iso_code: code, ...named(countryName(code)) },
    ...(isText(city) ? { city: named(city) } : {}),
    ...(isText(postcode) ? { postal: { code: postcode } } : {}),
    ...(subdivisions.length > 0 ? { subdivisions } : {}),
    ...(typeof latitude === 'number' && typeof longitude === 'number'
      ? { location: { latitude, longitude, ...(isText(timezone) ? { time_zone: timezone } : {}) } }
      : {}),
  };
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const named = (name: string | undefined): { readonly names?: { readonly en: string } } =>
  name === undefined ? {} : { names: { en: name } };

const englishNames = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });

/** Undefined for what is no region's code. */
function countryName(code: string): string | undefined {
  return /^[A-Z]{2}$/.test(code) ? englishNames.of(code) : undefined;
}
