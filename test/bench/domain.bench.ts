/**
 * CPU microseconds per event from the Kafka value to the row object, for the mix of docs/measured.md: 80 % known persons with
 * `$set` (half of them change something), 10 % new, 5 % `$identify`, 5 % personless.
 *
 *     node test/bench/domain.bench.ts [--quick]
 *
 * Measured: parseEnvelope, parseEvent, normalise, person mode, timestamp, merge decision, fold, person text, row.
 * Beside it the bare loop: parse twice, stringify once. Not measured: Kafka, actors, plugins, the RowBinary encoder,
 * PostgreSQL, and the loading of persons (they are in memory, as if prefetched). Each figure is the best of the rounds
 * after one warm-up, 40,000 events a round; on a quiet core it repeats within 5 %. Shared cores show in the spread.
 */
import { parseEnvelope } from '../../src/domain/envelope.ts';
import type { Json } from '../../src/domain/event.ts';
import { offset, personId, teamId, type TeamId } from '../../src/domain/ids.ts';
import { asJsonObject } from '../../src/domain/json.ts';
import { decideMerge, mergeIdsOf } from '../../src/domain/merge.ts';
import { normalise } from '../../src/domain/normalise.ts';
import { parseEvent } from '../../src/domain/parse-event.ts';
import { foldPerson, newPerson, personPropertiesOf, personUpdateOf } from '../../src/domain/person-fold.ts';
import { decidePersonMode, storedPersonMode, stripPersonUpdates } from '../../src/domain/person-mode.ts';
import type { Person } from '../../src/domain/person.ts';
import { buildEventRow } from '../../src/domain/row.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { resolveTimestamp } from '../../src/domain/timestamp.ts';
import { isUuid } from '../../src/domain/uuid.ts';
import { deliver, isQuick, type Figure } from './figures.ts';

const EVENTS = 40_000;
const PERSONS = 5_000;
const ROUNDS = isQuick ? 1 : 7;
const TEAM: TeamId = teamId(1);
const NOW_MS = Date.UTC(2026, 10, 21, 10);

type Kind = 'changed' | 'unchanged' | 'new' | 'identify' | 'personless';
const KINDS: readonly Kind[] = Array.from({ length: 20 }, (_, i) =>
  i < 8 ? 'changed' : i < 16 ? 'unchanged' : i < 18 ? 'new' : i < 19 ? 'identify' : 'personless',
);

function valueOf(index: number, kind: Kind): Buffer {
  const distinctId = kind === 'new' ? `new-${index}` : `user-${index % PERSONS}`;
  const uuid = `01890000-0000-7000-8000-${String(index).padStart(12, '0')}`;
  const properties: Json = {
    $browser: 'Chrome',
    $browser_version: 120 + (index % 3),
    $current_url: `https://shop.example/products/${index}`,
    $pathname: `/products/${index}`,
    $os: 'Mac OS X',
    $device_type: 'Desktop',
    $lib: 'web',
    $session_id: uuid,
    price: index % 1_000,
  };
  if (kind === 'personless') properties['$process_person_profile'] = false;
  else properties['$set'] = { plan: kind === 'changed' ? `plan-${index}` : 'pro', email: `${distinctId}@shop.example` };
  if (kind === 'identify') properties['$anon_distinct_id'] = `anon-${index}`;
  const data = JSON.stringify({
    event: kind === 'identify' ? '$identify' : 'product viewed',
    properties,
    timestamp: new Date(NOW_MS - 500).toISOString(),
  });
  const now = new Date(NOW_MS + index).toISOString();
  return Buffer.from(JSON.stringify({ uuid, distinct_id: distinctId, ip: '203.0.113.7', data, token: 'phc_bench', now, sent_at: now }));
}

function knownPersons(): Map<string, Person> {
  const persons = new Map<string, Person>();
  for (let i = 0; i < PERSONS; i++) {
    const distinctId = `user-${i}`;
    const initial: Json = {
      $initial_browser: 'Chrome',
      $initial_os: 'Mac OS X',
      $initial_device_type: 'Desktop',
      $initial_browser_version: 120,
    };
    persons.set(distinctId, {
      rowId: String(i + 1),
      id: personId(`01890000-0000-7000-9000-${String(i).padStart(12, '0')}`),
      teamId: TEAM,
      createdAtMs: NOW_MS,
      properties: {
        ...initial,
        $initial_current_url: 'https://shop.example/',
        $initial_pathname: '/',
        $browser: 'Chrome',
        $browser_version: 120,
        $os: 'Mac OS X',
        $device_type: 'Desktop',
        $current_url: 'https://shop.example/',
        $pathname: '/',
        plan: 'pro',
        email: `${distinctId}@shop.example`,
      },
      isIdentified: false,
      version: 1,
    });
  }
  return persons;
}

function bare(value: Buffer): number {
  const outer = JSON.parse(value.toString('utf8')) as { data: string };
  const inner = JSON.parse(outer.data) as { properties: Json };
  return JSON.stringify(inner.properties).length;
}

const settlement = { topic: 'events', partition: 0, generation: 1, active: true, settle: () => undefined };

function full(value: Buffer, index: number, persons: Map<string, Person>): EventRow {
  const parsed = parseEnvelope(value);
  if (!parsed.ok) throw new Error(parsed.detail);
  const { envelope } = parsed;
  if (!isUuid(envelope.uuid)) throw new Error('bad uuid');
  const pending = {
    offset: offset(index),
    settlement,
    envelope,
    teamId: TEAM,
    raw: value,
    key: null,
    headers: undefined,
    timestampMs: NOW_MS,
    maybeReplayed: false,
    trace: undefined,
  };
  const read = parseEvent(envelope, TEAM);
  if (!read.ok) throw new Error(read.detail);
  const { event } = read;
  normalise(event);
  const mode = decidePersonMode(event).mode === 'full' ? 'full' : 'personless';
  if (mode === 'personless') stripPersonUpdates(event);
  const { timestampMs } = resolveTimestamp(event, NOW_MS);
  let person = persons.get(event.distinct_id);
  const update = personUpdateOf(event);
  const ids = mergeIdsOf(event);
  let identified = false;
  if (ids !== undefined) {
    identified =
      decideMerge({ ...ids, eventName: event.event, eventUuid: event.uuid, intoPerson: person, otherPerson: undefined }).type ===
      'add-distinct-id';
  }
  if (person === undefined) {
    person = newPerson({
      teamId: TEAM,
      distinctId: event.distinct_id,
      createdAtMs: timestampMs,
      eventUuid: event.uuid,
      update,
      isIdentified: false,
    }).person;
  } else if (mode === 'full') {
    const folded = foldPerson(person, identified ? { ...update, isIdentified: true } : update);
    if (folded.changed) persons.set(event.distinct_id, (person = folded.person));
  }
  return buildEventRow(event, {
    pending,
    timestampMs,
    createdAtMs: NOW_MS,
    personId: person.id,
    personCreatedAtMs: person.createdAtMs,
    personProperties: mode === 'full' ? JSON.stringify(personPropertiesOf(person, asJsonObject(event.properties['$set']))) : '{}',
    personMode: storedPersonMode(mode, { forceUpgrade: false }),
    processing: mode,
    anonymizeIps: false,
  });
}

function bestUs(values: readonly Buffer[], run: (value: Buffer, index: number, persons: Map<string, Person>) => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round++) {
    const persons = knownPersons();
    const started = process.cpuUsage();
    for (let i = 0; i < values.length; i++) {
      const value = values[i];
      if (value !== undefined) run(value, i, persons);
    }
    const { user, system } = process.cpuUsage(started);
    if (round > 0) best = Math.min(best, (user + system) / values.length);
  }
  return best;
}

const mix = Array.from({ length: EVENTS }, (_, i) => valueOf(i, KINDS[i % KINDS.length] ?? 'new'));
const bytes = mix.reduce((sum, value) => sum + value.length, 0) / EVENTS;
const bareUs = bestUs(mix, bare);
const fullUs = bestUs(mix, full);
const unit = 'us/event';
const kinds = (['unchanged', 'changed', 'new', 'identify', 'personless'] as const).map((kind): Figure => {
  const values = Array.from({ length: EVENTS / 4 }, (_, i) => valueOf(i, kind));
  return { what: `… ${kind}`, value: bestUs(values, full), unit };
});
await deliver([
  {
    what: 'the rules, from the Kafka value to the row object',
    value: fullUs,
    unit,
    beside: { what: 'parse twice, stringify', value: bareUs },
    note: `${EVENTS.toLocaleString('en')} events of ${bytes.toFixed(0)} bytes, best of ${ROUNDS} rounds`,
  },
  ...kinds,
]);
process.exit(0);
