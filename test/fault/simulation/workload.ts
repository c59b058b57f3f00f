/**
 * What clients send in one seed: events of a few teams, in offset order per distinct_id, with everything in between that a
 * pipeline meets. Each record says how it must end, so that nothing of the code under test decides what is right.
 *
 * The final state of persons must not depend on the order BETWEEN distinct_ids (partitions race on purpose), hence:
 * every property key is owned by one distinct_id, every anonymous id and alias is merged into one user only, and users that are
 * merged with one another form a chain.
 */
import type { SeededRandom } from '../../kit/clock.ts';

export interface PersonChange {
  readonly set: Readonly<Record<string, unknown>>;
  readonly setOnce: Readonly<Record<string, unknown>>;
  readonly unset: readonly string[];
  /** The other id of a merge event. */
  readonly other: string | undefined;
}

/** How a record must end. 'stored-or-dropped': equal records (all but one may be dropped as duplicates), and what a plugin that may be away would drop. */
export type Ending = 'stored' | 'stored-or-dropped' | 'dropped' | 'dead-lettered';

export interface SentRecord {
  readonly team: number;
  readonly distinctId: string;
  readonly uuid: string;
  readonly event: string;
  readonly ending: Ending;
  /** Undefined for records that touch no person. */
  readonly person: PersonChange | undefined;
  /** Number of this event among those of its distinct_id; what `seq` of the person must have reached when it is stored. */
  readonly sequence: number | undefined;
  readonly key: Buffer;
  readonly value: Buffer;
  /** Virtual ms after the start at which it is produced. */
  readonly atMs: number;
}

export interface Workload {
  readonly teams: readonly { readonly id: number; readonly token: string }[];
  readonly records: readonly SentRecord[];
}

/** The property in which each distinct_id counts its own events. */
export const sequenceKey = (distinctId: string): string => `${distinctId}/seq`;
/** A text by which the fake ClickHouse knows a row to refuse. */
export const BAD_ROW = 'refused-by-clickhouse';
/** And the fake PostgreSQL a person. */
export const BAD_PERSON = 'refused-by-postgres';

export interface WorkloadOptions {
  readonly random: SeededRandom;
  readonly startMs: number;
  readonly recordCount: number;
  readonly spreadMs: number;
}

/** Such events make no person. */
const personless = { $process_person_profile: false };

export function createWorkload({ random, startMs, recordCount, spreadMs }: WorkloadOptions): Workload {
  const teams = [
    { id: 1, token: 'phc_one' },
    { id: 2, token: 'phc_two' },
  ];
  const people = teams.flatMap((team) => peopleOf(team.id, random));
  const sequences = new Map<string, number>();
  const records: SentRecord[] = [];
  let uuidCount = 0;
  let atMs = 0;

  const newUuid = (): string => `01900000-0000-7000-8000-${(++uuidCount).toString(16).padStart(12, '0')}`;
  const tokenOf = (team: number): string => teams.find(({ id }) => id === team)?.token ?? '';

  function push(parts: {
    readonly team: number;
    readonly distinctId: string;
    readonly event: string;
    readonly ending: Ending;
    readonly properties?: Record<string, unknown>;
    readonly person?: PersonChange;
    readonly sequence?: number;
    readonly uuid?: string;
    readonly envelopeUuid?: string;
    readonly token?: string;
    readonly timestampMs?: number;
    readonly value?: Buffer;
  }): SentRecord {
    const { team, distinctId, event, ending, properties = {} } = parts;
    const uuid = parts.uuid ?? newUuid();
    const token = parts.token ?? tokenOf(team);
    const nowText = new Date(startMs + atMs).toISOString();
    const timestamp = new Date(parts.timestampMs ?? startMs + atMs).toISOString();
    const inner = { event, uuid, distinct_id: distinctId, properties, timestamp };
    const envelope = {
      uuid: parts.envelopeUuid ?? uuid,
      distinct_id: distinctId,
      ip: '',
      data: JSON.stringify(inner),
      now: nowText,
      ...(token === '' ? {} : { token }),
    };
    const record: SentRecord = {
      team,
      distinctId,
      uuid,
      event,
      ending,
      person: parts.person,
      sequence: parts.sequence,
      key: Buffer.from(`${token}:${distinctId}`),
      value: parts.value ?? Buffer.from(JSON.stringify(envelope)),
      atMs,
    };
    records.push(record);
    return record;
  }

  /** An ordinary event of an id: counts itself, and changes what it owns. */
  function personEvent(team: number, distinctId: string, event: string, merge?: { name: string; other: string }): void {
    const sequence = (sequences.get(`${team}:${distinctId}`) ?? 0) + 1;
    sequences.set(`${team}:${distinctId}`, sequence);
    const set: Record<string, unknown> = { [sequenceKey(distinctId)]: sequence };
    const setOnce: Record<string, unknown> = {};
    const unset: string[] = [];
    const mutable = `${distinctId}/value-${random.below(2)}`;
    if (random.next() < 0.5) set[mutable] = random.below(3);
    else if (random.next() < 0.4) unset.push(mutable);
    if (random.next() < 0.4) setOnce[`${distinctId}/first`] = sequence;
    const properties: Record<string, unknown> = { n: sequence, $set: set };
    if (Object.keys(setOnce).length > 0) properties['$set_once'] = setOnce;
    if (unset.length > 0) properties['$unset'] = unset;
    if (merge !== undefined) properties[merge.name] = merge.other;
    // Some events are late by months: their blocks span table partitions.
    const timestampMs = random.next() < 0.06 ? startMs - 40 * 86_400_000 : startMs + atMs;
    const person = { set, setOnce, unset, other: merge?.other };
    push({ team, distinctId, event, ending: 'stored', properties, person, sequence, timestampMs });
  }

  function oddRecord(team: number, distinctId: string): void {
    const kind = random.below(10);
    if (kind === 0) push({ team, distinctId, event: 'odd', ending: 'dropped', token: 'phc_nobody' });
    else if (kind === 1) push({ team, distinctId, event: 'odd', ending: 'dropped', token: '' });
    else if (kind === 2) push({ team, distinctId, event: 'odd', ending: 'dead-lettered', value: Buffer.from('{"not": json') });
    else if (kind === 3) push({ team, distinctId, event: 'odd', ending: 'dropped', envelopeUuid: 'no-uuid' });
    else if (kind === 4) push({ team, distinctId, event: '$$client_ingestion_warning', ending: 'dropped' });
    else if (kind === 5) push({ team, distinctId, event: 'odd', ending: 'dead-lettered', properties: { [BAD_ROW]: true, ...personless } });
    else if (kind === 6) push({ team, distinctId: 'x'.repeat(401), event: 'odd', ending: 'dropped' });
    else if (kind === 7) {
      const uuid = newUuid();
      const event = 'sent twice';
      const timestampMs = startMs + atMs;
      for (let n = 0; n < 2; n++)
        push({ team, distinctId, event, uuid, timestampMs, ending: 'stored-or-dropped', properties: { ...personless } });
    } else if (kind === 8) push({ team, distinctId, event: 'odd', ending: 'dead-lettered', properties: { $set: { [BAD_PERSON]: true } } });
    else push({ team, distinctId, event: 'drop me', properties: { ...personless }, ending: team === 1 ? 'stored-or-dropped' : 'stored' });
  }

  while (records.length < recordCount) {
    atMs = Math.floor((records.length / recordCount) * spreadMs);
    const person = random.pick(people);
    const { team, user } = person;
    const chance = random.next();
    if (chance < 0.1) oddRecord(team, user);
    else if (chance < 0.28) {
      const merge = person.merges[random.below(person.merges.length)];
      if (merge !== undefined) personEvent(team, user, merge.event, { name: merge.property, other: merge.other });
    } else if (chance < 0.38) {
      const id = random.pick(person.personless);
      push({ team, distinctId: id, event: '$pageview', ending: 'stored', properties: { ...personless } });
    } else {
      const ids = [user, user, ...person.anonymous];
      const distinctId = random.pick(ids);
      for (let burst = random.next() < 0.2 ? 6 : 1; burst > 0; burst--)
        personEvent(team, distinctId, burst % 2 === 0 ? '$set' : '$pageview');
    }
  }
  return { teams, records };
}

interface Someone {
  readonly team: number;
  readonly user: string;
  readonly anonymous: readonly string[];
  readonly personless: readonly string[];
  readonly merges: readonly { readonly event: string; readonly property: string; readonly other: string }[];
}

function peopleOf(team: number, random: SeededRandom): Someone[] {
  const count = 3 + random.below(4);
  return Array.from({ length: count }, (_, n) => {
    const user = `user-${n}`;
    const anonymous = [`anon-${n}-a`, `anon-${n}-b`];
    const personless = [`quiet-${n}`, `anon-${n}-b`];
    const merges = [
      ...[...anonymous, `quiet-${n}`].map((other) => ({ event: '$identify', property: '$anon_distinct_id', other })),
      { event: '$create_alias', property: 'alias', other: `alias-${n}` },
    ];
    // Some users turn out to be the one before them.
    if (n > 0 && random.next() < 0.3) merges.push({ event: '$merge_dangerously', property: 'alias', other: `user-${n - 1}` });
    return { team, user, anonymous, personless, merges };
  });
}
