import type { Statement } from '../client.ts';

export interface LoadedPersonsRow {
  readonly [key: string]: unknown;
  /** Some persons as one text, to be taken apart by {@link eachLoadedPerson}. */
  readonly persons: string;
}

/** The columns of one person, as text. */
export interface LoadedPerson {
  /** Position of the key, from 1. */
  readonly ord: number;
  readonly mappingVersion: number;
  readonly rowId: string;
  readonly id: string;
  readonly createdAtMs: number;
  readonly isIdentified: boolean;
  readonly version: number;
  /** JSON text. */
  readonly properties: string;
}

/** Between columns and between persons: no uuid or number has them, and jsonb writes them as `\u0001` and `\u0002`. */
const COLUMN_END = '\u0001';
const PERSON_END = '\u0002';
/** Persons that share a row: beyond this it gains nothing, and a text has to stay far below the gigabyte that PostgreSQL allows. */
const PERSONS_PER_ROW = 64;

/**
 * Persons by (team, distinct id): P-2. Answers only keys that have one. Many persons come as one text: a row with eight columns
 * each costs Node half of the whole load (2 of 4 us), and a kilobyte of garbage. Parameters: int4[] teams, text[] distinct ids.
 */
export const loadPersons: Statement = {
  name: 'load-persons',
  text: `
    SELECT string_agg(concat_ws(chr(1),
             k.ord,
             COALESCE(d.version, 0),
             p.id,
             p.uuid,
             floor(extract(epoch FROM p.created_at) * 1000)::float8,
             p.is_identified,
             COALESCE(p.version, 0),
             p.properties), chr(2)) || chr(2) AS "persons"
    FROM unnest($1::int4[], $2::text[]) WITH ORDINALITY AS k(team_id, distinct_id, ord)
    JOIN posthog_persondistinctid d ON d.team_id = k.team_id AND d.distinct_id = k.distinct_id
    JOIN posthog_person p ON p.id = d.person_id AND p.team_id = d.team_id
    GROUP BY k.ord / ${PERSONS_PER_ROW}`,
};

/** Every column is NOT NULL in PostHog's schema or made so above, so each person has all eight. */
export function eachLoadedPerson(text: string, visit: (person: LoadedPerson) => void): void {
  for (let at = 0; at < text.length;) {
    let end = at;
    const column = (): string => {
      const from = end;
      const to = text.indexOf(COLUMN_END, from);
      if (to === -1) throw new RangeError('a loaded person lacks a column');
      end = to + 1;
      return text.slice(from, to);
    };
    const ord = Number(column());
    const mappingVersion = Number(column());
    const rowId = column();
    const id = column();
    const createdAtMs = Number(column());
    const isIdentified = column() === 't';
    const version = Number(column());
    const last = text.indexOf(PERSON_END, end);
    if (last === -1) throw new RangeError('a loaded person has no end');
    visit({ ord, mappingVersion, rowId, id, createdAtMs, isIdentified, version, properties: text.slice(end, last) });
    at = last + 1;
  }
}
