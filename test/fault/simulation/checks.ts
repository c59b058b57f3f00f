/**
 * The invariants of delivery.md section 1, looked at while a seed runs and at its end. Each has a name, by which planted bugs and
 * README.md refer to it:
 *
 * one-outcome     every record ended as it must, once: a row, a drop, or a dead letter; no record is left
 * early-commit    a watermark moved past a record that is not settled, or moved back
 * duplicate       an offset, or a uuid that was sent once, is visible twice without FINAL
 * order           rows of one distinct_id became visible in another order than that of their offsets
 * row-before-person  a row became visible before its person was in PostgreSQL, or before ClickHouse knew of it
 * persons         the persons in PostgreSQL are not those of the oracle
 * resolve         a row does not lead to the person that survived
 * person-rows     ClickHouse's newest row of a person differs from PostgreSQL's, or a person that is gone still shows
 * account         read ≠ already stored + outcomes + abandoned + in flight; or a record was settled twice
 * bounds          more is in flight than credit allows
 * crash           an actor crashed, or the tree had to be built anew
 * stuck           after all trouble had ended, the work did not
 *
 * With output kafka rows are read out of the topics, and three of them mean less (docs/delivery.md section 9): a row may be there again
 * (duplicate: only if the copies would not collapse into one, or differ in what a replay must not change), the topics keep no order
 * between events, and of records with one uuid one row is enough. And a record that a zombie sent long ago may arrive while its successor
 * does the same events again, which takes a person back to what it was for a moment (sharp edge 37): row-before-person asks there whether
 * PostgreSQL has ever had what the row shows. Inserts of a zombie are ended before a takeover, so with ClickHouse it asks what is there now.
 */
import type { TopicPartition } from '../../../src/domain/ids.ts';
import type { Json } from '../../../src/domain/event.ts';
import { personUuid } from '../../../src/domain/uuid.ts';
import type { BinaryRow } from '../../kit/row-binary-reader.ts';
import { expectedPersons } from './oracle.ts';
import { createOutputReader } from './output-reader.ts';
import { DEAD_LETTERS, GROUP, TOPIC } from './settings.ts';
import type { Systems } from './systems.ts';
import { sequenceKey, type SentRecord } from './workload.ts';

export type Invariant =
  | 'one-outcome'
  | 'early-commit'
  | 'duplicate'
  | 'order'
  | 'row-before-person'
  | 'persons'
  | 'resolve'
  | 'person-rows'
  | 'account'
  | 'bounds'
  | 'crash'
  | 'stuck';

export interface Violation {
  readonly invariant: Invariant;
  readonly detail: string;
  readonly atMs: number;
}

export interface Checks {
  readonly violations: readonly Violation[];
  report(invariant: Invariant, detail: string): void;
  /** Tells where a record was appended. */
  sent(record: SentRecord, of: TopicPartition & { readonly offset: number }): void;
  /** Looks at what became visible since the last call. */
  look(): void;
  /** Everything is settled, and the group has committed the end of every partition. */
  isDrained(): boolean;
  atTheEnd(): void;
}

/** What `sequenceKey` puts behind a distinct id. */
const SEQUENCE_SUFFIX = '/seq';
/** Violations that are kept: the first ones tell the story. */
const KEPT_COUNT = 20;

const placeOf = (partition: number | string | undefined, offset: number | string | undefined): string => `${partition}/${offset}`;

export function createChecks(systems: Systems, nowMs: () => number, note: (line: string) => void): Checks {
  const { kafka, clickhouse, persons } = systems;
  const isKafka = systems.output === 'kafka';
  const placeOfUuid = new Map<string, { readonly partition: number; readonly offset: number }>();
  /** Output kafka: what all copies of a row have in common, by place. */
  const contents = new Map<string, string>();
  const readOutputs = isKafka ? createOutputReader(kafka, clickhouse, (uuid) => placeOfUuid.get(uuid)) : () => undefined;
  const violations: Violation[] = [];
  const records = new Map<string, SentRecord>();
  const inOrder: SentRecord[] = [];
  const mergedByOthers = new Set<string>();
  const withOwnEvents = new Set<string>();
  const visible = new Set<string>();
  const deadLettered = new Set<string>();
  const lastVisible = new Map<string, number>();
  /** Output kafka, per `team:distinct id`: the latest of its events that PostgreSQL has ever had. */
  const everReached = new Map<string, number>();
  const committed = new Map<number, number>();
  /** Per `team:distinct id`: what ClickHouse's person rows know of it. */
  const sequenceInRows = new Map<string, number>();
  const mappedInRows = new Set<string>();
  const seen = { events: 0, person: 0, person_distinct_id2: 0, [DEAD_LETTERS]: 0 };

  function report(invariant: Invariant, detail: string): void {
    if (violations.length < KEPT_COUNT) violations.push({ invariant, detail, atMs: Math.round(nowMs()) });
  }

  kafka.group(GROUP).onCommit(({ partition }, offset) => {
    look();
    const before = committed.get(partition) ?? 0;
    if (offset < before) report('early-commit', `the watermark of ${partition} moved back from ${before} to ${offset}`);
    for (let at = before; at < offset; at++) {
      const place = placeOf(partition, at);
      const ending = records.get(place)?.ending;
      if (ending === 'stored' && !visible.has(place)) report('early-commit', `${place} is below the watermark ${offset} and not stored`);
      if (ending === 'dead-lettered' && !deadLettered.has(place))
        report('early-commit', `${place} is below ${offset} and not dead-lettered`);
    }
    committed.set(partition, Math.max(before, offset));
  });

  if (isKafka) persons.onApplied = noteReached;

  function noteReached(): void {
    for (const { teamId, properties } of persons.persons.values()) {
      for (const [name, value] of Object.entries(JSON.parse(properties) as Record<string, unknown>)) {
        if (!name.endsWith(SEQUENCE_SUFFIX)) continue;
        const key = `${teamId}:${name.slice(0, -SEQUENCE_SUFFIX.length)}`;
        everReached.set(key, Math.max(everReached.get(key) ?? 0, Number(value)));
      }
    }
  }

  function look(): void {
    readOutputs();
    const letters = kafka.log({ topic: DEAD_LETTERS, partition: 0 });
    for (; seen[DEAD_LETTERS] < letters.length; seen[DEAD_LETTERS]++) {
      const { headers = {} } = letters[seen[DEAD_LETTERS]] ?? {};
      deadLettered.add(placeOf(headers['dlq_partition']?.toString(), headers['dlq_offset']?.toString()));
    }
    fresh('person', (row) => {
      const properties = JSON.parse(String(row['properties'])) as Record<string, unknown>;
      for (const [name, value] of Object.entries(properties)) {
        if (!name.endsWith(SEQUENCE_SUFFIX)) continue;
        const key = `${row['team_id']}:${name.slice(0, -SEQUENCE_SUFFIX.length)}`;
        sequenceInRows.set(key, Math.max(sequenceInRows.get(key) ?? 0, Number(value)));
      }
    });
    fresh('person_distinct_id2', (row) => void mappedInRows.add(`${row['team_id']}:${row['distinct_id']}`));
    fresh('events', becameVisible);
  }

  function fresh(table: 'events' | 'person' | 'person_distinct_id2', visit: (row: BinaryRow) => void): void {
    const rows = clickhouse.tables.get(table) ?? [];
    for (; seen[table] < rows.length; seen[table]++) {
      const row = rows[seen[table]];
      if (row !== undefined) visit(row);
    }
  }

  function becameVisible(row: BinaryRow): void {
    const place = placeOf(row['_partition'], row['_offset']);
    const record = records.get(place);
    note(`visible ${place} ${row['team_id']}:${row['distinct_id']}`);
    if (record === undefined) return report('one-outcome', `a row of ${place}, which was never sent`);
    if (isKafka) sameAgain(row, place);
    else if (visible.has(place)) report('duplicate', `${place} (${record.event} of ${record.distinctId}) is visible twice`);
    visible.add(place);
    if (row['uuid'] !== record.uuid) report('one-outcome', `the row of ${place} has the uuid ${row['uuid']} instead of ${record.uuid}`);
    const id = `${record.team}:${record.distinctId}`;
    // One of two equal records may be dropped before a crash and stored after it: its offset left no trace.
    if (record.ending === 'stored-or-dropped') return;
    const at = inOrder.indexOf(record);
    const last = lastVisible.get(id) ?? -1;
    if (at < last && !isKafka) report('order', `${place} of ${id} became visible after a later event of it`);
    lastVisible.set(id, Math.max(last, at));
    personIsThere(record, row, place, id);
  }

  /** The topic may hold a row again: the same key to the ReplacingMergeTree, and the same event. */
  function sameAgain(row: BinaryRow, place: string): void {
    const { created_at: _made, person_id: _id, person_properties: _texts, person_created_at: _since, person_mode: _mode, ...content } = row;
    // The plugin runs again too, and may be away at one of the two times.
    const { marked: _marked, $plugins_succeeded: _ran, $plugins_failed: _failed, ...sent } = JSON.parse(String(row['properties'])) as Json;
    const text = JSON.stringify({ ...content, properties: sent });
    const before = contents.get(place);
    if (before !== undefined && before !== text) report('duplicate', `${place} is there again as another row: ${before} and ${text}`);
    contents.set(place, text);
  }

  function personIsThere(record: SentRecord, row: BinaryRow, place: string, id: string): void {
    const { sequence, person, distinctId, team } = record;
    if (sequence === undefined) return;
    const rowId = persons.mappings.get(id)?.rowId;
    const stored = rowId === undefined ? undefined : persons.persons.get(rowId);
    const current = stored === undefined ? undefined : (JSON.parse(stored.properties) as Record<string, unknown>)[sequenceKey(distinctId)];
    const reached = isKafka ? everReached.get(id) : current;
    if (!(Number(reached) >= sequence))
      report('row-before-person', `${place}: PostgreSQL has ${id} at ${String(reached)}, the event is ${sequence}`);
    if (!((sequenceInRows.get(id) ?? 0) >= sequence)) {
      report('row-before-person', `${place}: ClickHouse has ${id} at ${sequenceInRows.get(id)}, the event is ${sequence}`);
    }
    // Mappings that only this event, or one before it in its partition, can have made. One that an event of another partition may
    // have made is that event's to tell, and may come a moment later.
    const other = person?.other === undefined ? undefined : `${team}:${person.other}`;
    const mine = [mergedByOthers.has(id) ? undefined : id, other !== undefined && withOwnEvents.has(other) ? undefined : other];
    for (const one of mine) {
      if (one !== undefined && !mappedInRows.has(one)) report('row-before-person', `${place}: ClickHouse does not know the id ${one}`);
    }
    const snapshot = JSON.parse(String(row['person_properties'])) as Record<string, unknown>;
    if (Number(snapshot[sequenceKey(distinctId)]) < sequence)
      report('row-before-person', `${place}: person_properties are older than the event`);
  }

  function isDrained(): boolean {
    return kafka.partitionsOf(TOPIC).every((of) => kafka.log(of).length === (kafka.group(GROUP).committed(of) ?? 0));
  }

  function atTheEnd(): void {
    look();
    for (const [place, { ending, event, distinctId }] of records) {
      const what = `${place} (${event} of ${distinctId.slice(0, 20)})`;
      const isVisible = visible.has(place);
      const isDead = deadLettered.has(place);
      if (isVisible && isDead) report('one-outcome', `${what} is stored and dead-lettered`);
      if (ending === 'stored' && !isVisible) report('one-outcome', `${what} is lost${isDead ? ': dead-lettered' : ''}`);
      if (ending === 'dropped' && isVisible) report('one-outcome', `${what} should be dropped and is stored`);
      if (ending === 'dead-lettered' && (isVisible || !isDead)) report('one-outcome', `${what} should be dead-lettered`);
      if (ending !== 'dead-lettered' && isDead) report('one-outcome', `${what} is dead-lettered`);
    }
    personsAreRight();
  }

  function personsAreRight(): void {
    const survivorOf = new Map<string, string>();
    const rowIds = new Set<string>();
    const idsOf = Map.groupBy(persons.mappings.values(), ({ rowId }) => rowId);
    for (const expected of expectedPersons(inOrder)) {
      const [first = ''] = expected.distinctIds;
      const name = `${expected.team}:${first}`;
      const rowId = persons.mappings.get(name)?.rowId ?? '';
      const stored = persons.persons.get(rowId);
      if (stored === undefined) {
        report('persons', `${name} has no person`);
        continue;
      }
      rowIds.add(rowId);
      const ids = (idsOf.get(rowId) ?? []).map(({ distinctId }) => distinctId).sort();
      const wanted = [...expected.distinctIds].sort();
      if (ids.join() !== wanted.join()) report('persons', `${name} has the ids ${ids.join()} instead of ${wanted.join()}`);
      const { $creator_event_uuid: _creator, ...properties } = JSON.parse(stored.properties) as Record<string, unknown>;
      const difference = differenceOf(properties, expected.properties);
      if (difference !== undefined) report('persons', `${name}: ${difference}`);
      if (stored.isIdentified !== expected.isIdentified) report('persons', `${name} is identified: ${stored.isIdentified}`);
      for (const id of expected.distinctIds) survivorOf.set(`${expected.team}:${id}`, stored.uuid);
    }
    for (const [rowId, { uuid }] of persons.persons) if (!rowIds.has(rowId)) report('persons', `${uuid} should not exist`);
    rowsLeadToPersons(survivorOf);
    personRowsAreRight();
  }

  function rowsLeadToPersons(survivorOf: ReadonlyMap<string, string>): void {
    const overrides = newest('person_distinct_id_overrides', (row) => `${row['team_id']}:${row['distinct_id']}`);
    for (const row of clickhouse.events()) {
      const id = `${row['team_id']}:${row['distinct_id']}`;
      const leadsTo = overrides.get(id)?.['person_id'] ?? row['person_id'];
      const expected = survivorOf.get(id) ?? personUuid(Number(row['team_id']), String(row['distinct_id']));
      if (leadsTo !== expected)
        report('resolve', `${placeOf(row['_partition'], row['_offset'])} of ${id} leads to ${leadsTo} instead of ${expected}`);
    }
    const mappings = newest('person_distinct_id2', (row) => `${row['team_id']}:${row['distinct_id']}`);
    for (const [id, { rowId, version }] of persons.mappings) {
      const uuid = persons.persons.get(rowId)?.uuid;
      const row = mappings.get(id);
      if (row?.['person_id'] !== uuid || row?.['version'] !== version) {
        report('resolve', `ClickHouse maps ${id} to ${row?.['person_id']} (${row?.['version']}), PostgreSQL to ${uuid} (${version})`);
      }
    }
  }

  function personRowsAreRight(): void {
    const rows = newest('person', (row) => `${row['team_id']}:${row['id']}`);
    const alive = new Set<string>();
    for (const { teamId, uuid, version, properties, isIdentified } of persons.persons.values()) {
      const id = `${teamId}:${uuid}`;
      alive.add(id);
      const row = rows.get(id);
      if (row === undefined) {
        report('person-rows', `ClickHouse has no row of ${id}`);
        continue;
      }
      const difference = differenceOf(
        JSON.parse(String(row['properties'])) as Record<string, unknown>,
        JSON.parse(properties) as Record<string, unknown>,
      );
      if (
        row['version'] !== version ||
        row['is_deleted'] !== 0 ||
        row['is_identified'] !== Number(isIdentified) ||
        difference !== undefined
      ) {
        report(
          'person-rows',
          `${id}: version ${row['version']} instead of ${version}, deleted ${row['is_deleted']}, ${difference ?? 'same properties'}`,
        );
      }
    }
    for (const [id, row] of rows) if (!alive.has(id) && row['is_deleted'] !== 1) report('person-rows', `${id} is gone and still shows`);
  }

  /** The rows that a ReplacingMergeTree(version) would leave. */
  function newest(table: string, keyOf: (row: BinaryRow) => string): Map<string, BinaryRow> {
    const rows = new Map<string, BinaryRow>();
    for (const row of clickhouse.tables.get(table) ?? []) {
      const known = rows.get(keyOf(row));
      if (known === undefined || Number(row['version']) >= Number(known['version'])) rows.set(keyOf(row), row);
    }
    return rows;
  }

  return {
    violations,
    report,
    sent(record, { partition, offset }) {
      records.set(placeOf(partition, offset), record);
      if (!placeOfUuid.has(record.uuid)) placeOfUuid.set(record.uuid, { partition, offset });
      inOrder.push(record);
      if (record.person !== undefined) withOwnEvents.add(`${record.team}:${record.distinctId}`);
      if (record.person?.other !== undefined) mergedByOthers.add(`${record.team}:${record.person.other}`);
    },
    look,
    isDrained,
    atTheEnd,
  };
}

function differenceOf(actual: Readonly<Record<string, unknown>>, expected: Readonly<Record<string, unknown>>): string | undefined {
  for (const name of new Set([...Object.keys(actual), ...Object.keys(expected)])) {
    if (actual[name] !== expected[name]) return `${name} is ${JSON.stringify(actual[name])} instead of ${JSON.stringify(expected[name])}`;
  }
  return undefined;
}
