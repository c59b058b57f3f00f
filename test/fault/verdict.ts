import { TOPIC, type Surroundings } from '../services/surroundings.ts';
import type { Load, SentEvent } from './load.ts';

/** What is wrong after a run: each number is 0 when the promise of delivery.md section 1 was kept. */
export interface Verdict {
  readonly sent: number;
  /** Acknowledged by Kafka, and no row. */
  readonly lost: number;
  /** Rows beyond one per uuid, read without FINAL. */
  readonly duplicates: number;
  /** Rows of events that nobody sent. */
  readonly strangers: number;
  /** Rows of one distinct_id that stand in another order than they were sent in, by offset or by time of insert. */
  readonly orderBreaks: number;
  /** Distinct ids whose person is another than the oracle's. */
  readonly personMismatches: number;
  /** Rows that do not lead to the person that PostgreSQL has for their distinct_id. */
  readonly unresolved: number;
  /** The first few of everything wrong, for a person to look into. */
  readonly examples: readonly string[];
}

export const isClean = (verdict: Verdict): boolean =>
  verdict.lost + verdict.duplicates + verdict.strangers + verdict.orderBreaks + verdict.personMismatches + verdict.unresolved === 0;

export const describeVerdict = (v: Verdict): string =>
  `sent ${v.sent}, lost ${v.lost}, duplicates ${v.duplicates}, strangers ${v.strangers}, order breaks ${v.orderBreaks}, ` +
  `person mismatches ${v.personMismatches}, unresolved ${v.unresolved}`;

interface Row {
  readonly uuid: string;
  readonly distinctId: string;
  readonly partition: number;
  readonly offset: number;
  readonly seq: number;
  readonly insertedAt: number;
  readonly personId: string;
  readonly override: string;
  readonly personMode: string;
}

/** Counts, after the topic is drained and everything runs again. */
export async function judge(surroundings: Surroundings, load: Load, team: number): Promise<Verdict> {
  const examples: string[] = [];
  const note = (text: string): number => (examples.length < 20 ? examples.push(text) : 0);
  const rows = await rowsOf(surroundings, team);
  const seen = new Map<string, number>();
  for (const { uuid } of rows) seen.set(uuid, (seen.get(uuid) ?? 0) + 1);

  let lost = 0;
  const sentUuids = new Set<string>();
  for (const [distinctId, events] of load.sent) {
    for (const { uuid } of events) {
      sentUuids.add(uuid);
      if (seen.has(uuid)) continue;
      lost++;
      note(`lost: ${uuid} of ${distinctId}`);
    }
  }
  for (const [uuid, count] of seen) if (count > 1) note(`${count} rows: ${uuid} at ${placesOf(rows, uuid)}`);
  const strangers = [...seen.keys()].filter((uuid) => !sentUuids.has(uuid));
  for (const uuid of strangers) note(`nobody sent ${uuid}, at ${placesOf(rows, uuid)}`);

  const persons = await personsOf(surroundings, team);
  return {
    sent: load.sentCount(),
    lost,
    duplicates: rows.length - seen.size,
    strangers: strangers.length,
    orderBreaks: orderBreaksOf(rows, note),
    personMismatches: personMismatchesOf(load.sent, persons, note),
    unresolved: unresolvedOf(rows, persons, note),
    examples,
  };
}

const placesOf = (rows: readonly Row[], uuid: string): string =>
  rows
    .filter((row) => row.uuid === uuid)
    .map(({ partition, offset, insertedAt }) => `${partition}/${offset} (${insertedAt})`)
    .join(', ');

/** Every visible row, without FINAL, with the person that the override table gives it. */
async function rowsOf({ rows }: Surroundings, team: number): Promise<Row[]> {
  return rows.query<Row>(
    `SELECT toString(uuid) AS uuid, e.distinct_id AS distinctId, toUInt32(_partition) AS partition, toFloat64(e._offset) AS offset,
            JSONExtractInt(properties, 'seq') AS seq, toFloat64(toUnixTimestamp64Micro(assumeNotNull(inserted_at))) AS insertedAt,
            toString(e.person_id) AS personId, toString(o.person_id) AS override, toString(person_mode) AS personMode
     FROM events AS e LEFT JOIN (
       SELECT distinct_id, argMax(person_id, version) AS person_id FROM person_distinct_id_overrides WHERE team_id = {team:Int64} GROUP BY distinct_id
     ) AS o ON o.distinct_id = e.distinct_id
     WHERE e.team_id = {team:Int64} AND _topic = {topic:String}
     ORDER BY distinctId, offset SETTINGS join_use_nulls = 0`,
    { team, topic: TOPIC },
  );
}

interface StoredPerson {
  readonly uuid: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly isIdentified: boolean;
}

async function personsOf({ sql }: Surroundings, team: number): Promise<Map<string, StoredPerson>> {
  const found = await sql.run<{ distinct_id: string; uuid: string; properties: Record<string, unknown>; is_identified: boolean }>(
    {
      name: 'test-persons-of',
      text: `SELECT d.distinct_id, p.uuid::text AS uuid, p.properties, p.is_identified FROM posthog_persondistinctid d
             JOIN posthog_person p ON p.id = d.person_id WHERE d.team_id = $1`,
    },
    [team],
  );
  return new Map(
    found.map(({ distinct_id, uuid, properties, is_identified }) => [distinct_id, { uuid, properties, isIdentified: is_identified }]),
  );
}

/** Rows are ordered by distinct_id and offset: `seq` and the time of insert must not fall. */
function orderBreaksOf(rows: readonly Row[], note: (text: string) => void): number {
  let breaks = 0;
  for (const [i, row] of rows.entries()) {
    const before = rows[i - 1];
    if (before === undefined || before.distinctId !== row.distinctId) continue;
    if (row.seq >= before.seq && row.insertedAt >= before.insertedAt) continue;
    breaks++;
    note(
      `order of ${row.distinctId}: ${before.offset} seq ${before.seq} at ${before.insertedAt}, then ${row.offset} seq ${row.seq} at ${row.insertedAt}`,
    );
  }
  return breaks;
}

/** The oracle: what the events of one distinct_id, one after another, make of the properties that carry its name. */
function propertiesAfter(events: readonly SentEvent[]): Record<string, unknown> {
  const properties: Record<string, unknown> = {};
  for (const { properties: event } of events) {
    for (const [key, value] of Object.entries((event['$set_once'] as object | undefined) ?? {})) properties[key] ??= value;
    Object.assign(properties, event['$set']);
    for (const key of (event['$unset'] as string[] | undefined) ?? []) Reflect.deleteProperty(properties, key);
  }
  return properties;
}

function personMismatchesOf(
  sent: ReadonlyMap<string, readonly SentEvent[]>,
  persons: ReadonlyMap<string, StoredPerson>,
  note: (text: string) => void,
): number {
  const mismatched = new Set<string>();
  const differs = (distinctId: string, what: string): void => {
    mismatched.add(distinctId);
    note(`person of ${distinctId}: ${what}`);
  };
  for (const [distinctId, events] of sent) {
    const person = persons.get(distinctId);
    if (distinctId.startsWith('ghost')) {
      if (person !== undefined) differs(distinctId, 'exists, though every event was personless');
      continue;
    }
    if (person === undefined) {
      differs(distinctId, 'is missing');
      continue;
    }
    const expected = propertiesAfter(events);
    const own = Object.entries(person.properties).filter(([key]) => key.startsWith(`${distinctId} `));
    const sorted = (entries: [string, unknown][]): string => JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
    if (sorted(own) !== sorted(Object.entries(expected)))
      differs(distinctId, `has ${sorted(own)}, should have ${sorted(Object.entries(expected))}`);
    const merged = events.some(({ event }) => event === '$identify');
    if (!distinctId.startsWith('user') || !merged) continue;
    const anonymous = persons.get(distinctId.replace('user', 'anon'));
    if (anonymous?.uuid !== person.uuid) differs(distinctId, `is ${person.uuid}, and its anonymous id has ${anonymous?.uuid}`);
    if (!person.isIdentified) differs(distinctId, 'is not identified');
  }
  return mismatched.size;
}

/** As a reader of PostHog does it: the override of the distinct_id where there is one, else the row's own person. */
function unresolvedOf(rows: readonly Row[], persons: ReadonlyMap<string, StoredPerson>, note: (text: string) => void): number {
  let unresolved = 0;
  for (const { uuid, distinctId, personId, override, personMode } of rows) {
    if (personMode !== 'full') continue;
    const resolved = override === '00000000-0000-0000-0000-000000000000' || override === '' ? personId : override;
    if (resolved === persons.get(distinctId)?.uuid) continue;
    unresolved++;
    note(`${uuid} of ${distinctId} leads to ${resolved}, PostgreSQL has ${persons.get(distinctId)?.uuid}`);
  }
  return unresolved;
}
