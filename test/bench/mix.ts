import type { OutgoingRecord } from '../../src/kafka/port.ts';

/**
 * The mix of docs/measured.md, from a seed of nothing but the index: 80 % events of known persons with `$set` (half of them
 * changing a property), 10 % of new persons, 5 % `$identify`, 5 % personless; about 730 bytes; `teams` teams.
 */
export interface MixOptions {
  readonly teams: number;
  readonly knownPersons: number;
  /** Put into new ids, so that two runs do not share them. */
  readonly run: string;
}

export type Kind = 'unchanged' | 'changed' | 'new' | 'identify' | 'personless';

const KINDS: readonly Kind[] = [
  'unchanged',
  'changed',
  'unchanged',
  'changed',
  'new',
  'unchanged',
  'changed',
  'unchanged',
  'changed',
  'identify',
  'unchanged',
  'changed',
  'unchanged',
  'changed',
  'new',
  'unchanged',
  'changed',
  'unchanged',
  'changed',
  'personless',
];

export const tokenOf = (team: number): string => `phc_bench_${team}`;

export function kindOf(index: number): Kind {
  return KINDS[index % KINDS.length] ?? 'unchanged';
}

/** A cheap scatter over 32 bits, so that neighbours are different persons of different teams. */
function scatter(index: number): number {
  return Math.imul(index ^ (index >>> 15), 0x9e3779b1) >>> 0;
}

export function recordOf(index: number, { teams, knownPersons, run }: MixOptions): OutgoingRecord {
  const kind = kindOf(index);
  const person = scatter(index) % knownPersons;
  const token = tokenOf(person % teams);
  const distinctId =
    kind === 'new'
      ? `new-${run}-${index}`
      : kind === 'identify'
        ? `user-${run}-${index}`
        : kind === 'personless'
          ? `visitor-${run}-${index % 20_000}`
          : `known-${person}`;
  const uuid = `${(0x0190_0000 + (index >>> 16)).toString(16).padStart(8, '0')}-${(index & 0xffff).toString(16).padStart(4, '0')}-7000-8000-${hash48(run, index)}`;
  const now = new Date(BASE_MS + index).toISOString();
  const properties: Record<string, unknown> = {
    $browser: 'Chrome',
    $browser_version: 126,
    $current_url: `https://shop.example/products/${index % 977}?ref=mail`,
    $pathname: `/products/${index % 977}`,
    $os: 'Mac OS X',
    $device_type: 'Desktop',
    $lib: 'web',
    $session_id: uuid,
    price: index % 1_000,
    seq: index,
  };
  if (kind === 'personless') properties['$process_person_profile'] = false;
  else properties['$set'] = { plan: kind === 'changed' ? `plan-${index}` : 'pro', email: `${distinctId}@shop.example` };
  if (kind === 'identify') properties['$anon_distinct_id'] = `anon-${run}-${index}`;
  const data = JSON.stringify({ event: kind === 'identify' ? '$identify' : 'product viewed', properties, timestamp: now });
  const envelope = { uuid, distinct_id: distinctId, ip: '203.0.113.7', data, now, sent_at: now, token };
  return { key: Buffer.from(`${token}:${distinctId}`), value: Buffer.from(JSON.stringify(envelope)) };
}

const BASE_MS = Date.UTC(2026, 10, 1);

/**
 * The last digits of a uuid decide whether Troupe traces an event that brings no `traceparent` (sampleByUuid). Those of a run
 * begin alike and decide no, so that tracing.bench.ts alone says which events are traced.
 */
function hash48(run: string, index: number): string {
  let hash = 0x811c9dc5;
  for (const character of run) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0') + (((index * 2654435761) >>> 16) & 0xffff).toString(16).padStart(4, '0');
}

/** Properties of a known person, about 500 bytes of JSON; `person` may be a placeholder that the database fills in. */
export function knownProperties(person: number | string): Record<string, unknown> {
  const properties: Record<string, unknown> = {
    plan: 'pro',
    email: `known-${person}@shop.example`,
    $creator_event_uuid: '01900000-0000-7000-8000-000000000000',
  };
  for (const [name, value] of Object.entries({
    browser: 'Chrome',
    browser_version: 126,
    current_url: 'https://shop.example/',
    pathname: '/',
    os: 'Mac OS X',
    device_type: 'Desktop',
  })) {
    properties[`$${name}`] = value;
    properties[`$initial_${name}`] = value;
  }
  properties['name'] = `Person number ${person} of the benchmark`;
  return properties;
}
