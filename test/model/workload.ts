/**
 * What clients send in one seed: everything that section 3 of the specification speaks of, on few ids, so that ids meet in persons
 * again and again. Unlike the workload of test/fault, nothing is arranged so that the order between distinct_ids does not matter:
 * all ids share property keys, and any id may be merged with any other, in both directions at once.
 */
import type { SeededRandom } from '../kit/clock.ts';
import type { Sent } from './oracle.ts';

export interface ModelRecord extends Sent {
  readonly key: Buffer;
  readonly value: Buffer;
  /** After the start of the load. */
  readonly atMs: number;
}
export interface ModelWorkload {
  readonly teams: readonly { readonly id: number; readonly token: string }[];
  readonly records: readonly ModelRecord[];
}

/** The property in which a distinct_id counts its events, most of them: by it a commit is recognised. */
export const counterOf = (distinctId: string): string => `#${distinctId}`;

const SHARED_KEYS = ['plan', 'city', 'score', 'tags'];
const VOLATILE_KEYS = ['$browser', '$current_url', '$geoip_city_name'];
/** As merge partners: illegal, and some that only look so. */
const ODD_IDS = ['null', 'Anonymous', '0', '"undefined"', ' ', 'NaN', ' null', 'nan'];
/** Late and early, so that created_at differs, and Q-3's minute is crossed both ways. */
const SHIFTS_MS = [0, 0, 0, 0, -40 * 86_400_000, -3_600_000, 2 * 3_600_000];

export function createWorkload(options: {
  readonly random: SeededRandom;
  readonly startMs: number;
  readonly recordCount: number;
  readonly spreadMs: number;
  /** Share of events that count themselves. */
  readonly countedShare: number;
}): ModelWorkload {
  const { random, startMs, recordCount, spreadMs, countedShare } = options;
  const teams = [
    { id: 1, token: 'phc_one' },
    { id: 2, token: 'phc_two' },
  ];
  const people = Array.from({ length: 2 + random.below(3) }, (_, n) => `user-${n}`);
  const ids = [...people, ...people.flatMap((_, n) => [`anon-${n}`, `quiet-${n}`])];
  const counts = new Map<string, number>();
  const records: ModelRecord[] = [];
  const chance = (share: number): boolean => random.next() < share;

  function push(team: number, distinctId: string, event: string, properties: Record<string, unknown>): void {
    const atMs = Math.floor((records.length / recordCount) * spreadMs);
    const timestampMs = startMs + atMs + random.pick(SHIFTS_MS);
    const uuid = `01900000-0000-7000-8000-${(records.length + 1).toString(16).padStart(12, '0')}`;
    const token = `phc_${team === 1 ? 'one' : 'two'}`;
    const data = JSON.stringify({ event, uuid, distinct_id: distinctId, properties, timestamp: new Date(timestampMs).toISOString() });
    const envelope = { uuid, distinct_id: distinctId, ip: '', data, now: new Date(startMs + atMs).toISOString(), token };
    const value = Buffer.from(JSON.stringify(envelope));
    records.push({ team, distinctId, event, uuid, timestampMs, properties, key: Buffer.from(`${token}:${distinctId}`), value, atMs });
  }

  function value(): unknown {
    const kind = random.below(12);
    return kind === 0 ? null : kind === 1 ? { deep: random.below(2) } : kind === 2 ? ['a', random.below(2)] : random.below(4);
  }

  /** `$set`, `$set_once`, `$unset` of what everybody shares. */
  function changes(distinctId: string, team: number, isCounted = true): Record<string, unknown> {
    const properties: Record<string, unknown> = {};
    const set: Record<string, unknown> = {};
    if (isCounted && chance(countedShare)) {
      const key = `${team}:${distinctId}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      set[counterOf(distinctId)] = counts.get(key);
    }
    if (chance(0.5)) set[random.pick(SHARED_KEYS)] = value();
    if (chance(0.3)) set[random.pick(VOLATILE_KEYS)] = `v${random.below(3)}`;
    if (Object.keys(set).length > 0) properties['$set'] = set;
    if (chance(0.35)) properties['$set_once'] = { [random.pick(SHARED_KEYS)]: value(), [random.pick(VOLATILE_KEYS)]: 'first' };
    if (chance(0.25)) {
      const keys = [random.pick(SHARED_KEYS), random.pick(VOLATILE_KEYS)];
      properties['$unset'] = chance(0.7) ? keys : Object.fromEntries(keys.map((key) => [key, '']));
    }
    if (chance(0.15)) properties['$browser'] = `b${random.below(3)}`;
    if (chance(0.05)) properties['utm_source'] = `s${random.below(2)}`;
    return properties;
  }

  function mergeEvent(team: number): void {
    const [into, other] = [random.pick(ids), chance(0.08) ? random.pick(ODD_IDS) : random.pick(ids)];
    const name = random.pick(['$identify', '$identify', '$identify', '$create_alias', '$merge_dangerously']);
    const properties = changes(into, team);
    if (chance(0.96)) properties[name === '$identify' ? '$anon_distinct_id' : 'alias'] = other;
    push(team, into, name, properties);
    // The same two at once from the other side, on another partition perhaps.
    if (chance(0.2)) {
      push(team, other.trim() === '' ? 'user-0' : other, '$merge_dangerously', { ...changes(other, team), alias: into });
    }
  }

  while (records.length < recordCount) {
    const team = chance(0.8) ? 1 : 2;
    const distinctId = random.pick(ids);
    const kind = random.next();
    if (kind < 0.25) mergeEvent(team);
    else if (kind < 0.4) push(team, distinctId, '$pageview', { $process_person_profile: false, $set: { never: 1 } });
    else if (kind < 0.45) push(team, distinctId, '$exception', changes(distinctId, team, false));
    else if (kind < 0.48) push(team, distinctId, '$groupidentify', changes(distinctId, team, false));
    else if (kind < 0.55) push(team, distinctId, '$pageview', { $set: { [random.pick(VOLATILE_KEYS)]: `v${random.below(3)}` } });
    else
      for (let burst = chance(0.25) ? 5 : 1; burst > 0; burst--)
        push(team, distinctId, chance(0.3) ? '$set' : '$pageview', changes(distinctId, team));
  }
  return { teams, records };
}
