import { describe, expect, it } from 'vitest';
import type { PluginEvent } from '../../../src/domain/event.ts';
import { dropped } from '../../../src/domain/outcome.ts';
import type { NewPerson, PersonWrite } from '../../../src/postgres/port.ts';
import { PostgresError } from '../../../src/postgres/port.ts';
import { probe, settle } from '../../kit/actors.ts';
import { testSettlement } from '../../kit/event-rows.ts';
import type { PersonStoreCall } from '../../kit/fake-person-store.ts';
import { aGroup, type PendingParts } from '../../kit/pipeline.ts';
import { systemsOf } from '../../kit/systems.ts';
import { aPlugin, distinctIdKit, heldPersonWriter, personPropertiesOf, propertiesOf } from './distinct-id.kit.ts';

const open = systemsOf();
const set = (properties: Record<string, unknown>): PendingParts => ({ properties: { $set: properties } });
const offsetsOf = (rows: readonly { readonly pending: { readonly offset: number } }[]): number[] =>
  rows.map(({ pending }) => pending.offset);

describe('the plugin chain', () => {
  const mark = (name: string) => (event: PluginEvent) => ({
    type: 'event' as const,
    event: { ...event, properties: { ...event.properties, path: JSON.stringify(event.properties['path'] ?? '').slice(1, -1) + name } },
  });

  it('V-2: runs in order, each on what the one before it made; the row says who had it', async () => {
    const { run } = distinctIdKit(open());
    const rows = await run([{}, {}], [aPlugin(1, mark('a')), aPlugin(2, mark('b'))]);
    expect(rows.map((row) => propertiesOf(row))).toMatchObject([
      { path: 'ab', $plugins_succeeded: ['p1 (1)', 'p2 (2)'], $plugins_failed: [] },
      { path: 'ab' },
    ]);
  });

  it('L-5: an event that a plugin drops ends there; later plugins do not see it, its neighbours go on', async () => {
    const { run, settlement } = distinctIdKit(open());
    const last = aPlugin(2, mark('b'));
    const dropping = aPlugin(1, (event) => (event.event === 'drop me' ? { type: 'dropped' } : { type: 'event', event }));
    const rows = await run([{}, { event: 'drop me' }, {}], [dropping, last]);
    expect(offsetsOf(rows)).toEqual([0, 2]);
    expect(last.seen).toHaveLength(2);
    expect([...settlement.outcomes]).toEqual([[1, dropped('plugin')]]);
  });

  it('PE-3: one that fails, is quarantined or does not take lets the event pass, with what it changed before', async () => {
    const { run } = distinctIdKit(open());
    const fails = aPlugin(1, (event) => ({ type: 'failed', message: 'no', event: { ...event, properties: { half: true } } }));
    const quarantined = aPlugin(2, () => ({ type: 'quarantined' }));
    const full = probe<never>('full');
    full.answer('full');
    const [row] = await run([{}], [fails, quarantined, { pluginConfigId: 3, name: 'p3', ref: full }, aPlugin(4, mark('d'))]);
    expect(propertiesOf(row!)).toMatchObject({
      half: true,
      path: 'd',
      $plugins_succeeded: ['p4 (4)'],
      $plugins_failed: ['p1 (1)', 'p2 (2)', 'p3 (3)'],
    });
  });

  it('a changed distinct_id moves the event to that person', async () => {
    const { run, stored } = distinctIdKit(open());
    const moving = aPlugin(1, (event) => ({ type: 'event', event: event.event === 'move' ? { ...event, distinct_id: 'other' } : event }));
    const rows = await run([set({ a: 1 }), { event: 'move', ...set({ b: 1 }) }, set({ c: 1 })], [moving]);
    expect(rows.map(({ distinctId }) => distinctId)).toEqual(['d', 'other', 'd']);
    expect([stored('d'), stored('other')]).toEqual([{ a: 1, c: 1 }, { b: 1 }]);
    expect(personPropertiesOf(rows[1]!)).toEqual({ b: 1 });
  });

  it('an id that a merge of the same group has moved leads to the survivor from then on', async () => {
    const { run, stored } = distinctIdKit(open());
    const moving = aPlugin(1, (event) => ({ type: 'event', event: event.event === 'move' ? { ...event, distinct_id: 'anon' } : event }));
    const identify = { event: '$identify', properties: { $anon_distinct_id: 'anon' } };
    const rows = await run(
      [set({ d: 1 }), { event: 'move', ...set({ anon: 1 }) }, identify, { event: 'move', ...set({ after: 1 }) }],
      [moving],
    );
    expect(personPropertiesOf(rows[3]!)).toEqual({ d: 1, anon: 1, after: 1 });
    expect(rows[3]?.personId).toBe(rows[0]?.personId);
    expect(stored('anon')).toEqual({ d: 1, anon: 1, after: 1 });
  });

  it('PE-5: an event that arrives with the name of a plugin on it is not given to it again', async () => {
    const { run } = distinctIdKit(open());
    const plugin = aPlugin(1, mark('a'));
    await run([{ properties: { $plugins_succeeded: ['p1 (1)'] } }], [plugin]);
    expect(plugin.seen).toHaveLength(0);
  });

  it.each([
    ['no uuid', { uuid: 5 }],
    ['a distinct_id that no table holds', { distinct_id: 'x'.repeat(401) }],
  ])('D4: an event that comes back with %s is poison alone', async (_name, fields) => {
    const { run, poison } = distinctIdKit(open());
    const breaking = aPlugin(1, (event) => ({
      type: 'event',
      event: (event.event === 'break' ? { ...event, ...fields } : event) as PluginEvent,
    }));
    const rows = await run([{}, { event: 'break' }, {}], [breaking]);
    expect(offsetsOf(rows)).toEqual([0, 2]);
    expect(poison()).toEqual([[1, 'processing_error', 'distinct-id:plugins']]);
  });

  it.each([
    ['without properties', { properties: undefined }],
    ['with properties null', { properties: null }],
    ['with a text for properties', { properties: 'x' }],
    ['with a number for distinct_id and a list for a name', { distinct_id: 7, event: [1] }],
  ])('D4: an event that comes back %s goes on, in a chain too', async (_name, fields) => {
    const { run, poison } = distinctIdKit(open());
    const breaking = aPlugin(1, (event) => ({ type: 'event', event: { ...event, ...fields } as unknown as PluginEvent }));
    const rows = await run([{}, {}], [breaking, aPlugin(2, (event) => ({ type: 'event', event }))]);
    expect([offsetsOf(rows), poison()]).toEqual([[0, 1], []]);
  });
});

describe('D4: one event is at fault', () => {
  it('an unparsable one in the middle costs itself alone', async () => {
    const { run, poison } = distinctIdKit(open());
    const rows = await run([set({ a: 1 }), { outer: { data: '{' } }, { outer: { data: '[]' } }, set({ b: 1 })]);
    expect(offsetsOf(rows)).toEqual([0, 3]);
    expect(personPropertiesOf(rows[1]!)).toEqual({ a: 1, b: 1 });
    expect(poison()).toEqual([
      [1, 'failed_parse_message', 'distinct-id:prepare'],
      [2, 'failed_parse_event', 'distinct-id:prepare'],
    ]);
  });

  it('an event without a uuid is dropped with a warning; a heatmap and a client warning are dropped too', async () => {
    const { run, settlement, warnings, rowless } = distinctIdKit(open());
    const rows = await run([{ outer: { uuid: 'none' } }, { event: '$$heatmap' }, { event: '$$client_ingestion_warning' }, {}]);
    expect(offsetsOf(rows)).toEqual([3]);
    expect([...settlement.outcomes].map(([, outcome]) => outcome)).toEqual([dropped('invalid_uuid'), dropped('heatmap')]);
    expect(rowless()).toEqual(['2 client_ingestion_warning']);
    expect(warnings()).toEqual(['skipping_event_invalid_uuid', 'client_ingestion_warning']);
  });

  /** PostgreSQL that refuses every person with a property `poison`. */
  const refusing = {
    arrive({ operation, input }: PersonStoreCall) {
      const persons =
        operation === 'create'
          ? (input as NewPerson[])
          : operation === 'update'
            ? (input as PersonWrite[]).map((write) => write.person)
            : [];
      if (persons.some(({ properties }) => 'poison' in properties)) throw new PostgresError('refused', 'no');
    },
  };

  it.each([
    ['the first of its person', [set({ poison: 1 }), set({ b: 1 }), set({ c: 1 })], [1, 2], { b: 1, c: 1 }],
    ['in the middle', [set({ a: 1 }), set({ poison: 1 }), set({ c: 1 })], [0, 2], { a: 1, c: 1 }],
    ['the last', [set({ a: 1 }), set({ b: 1 }), set({ poison: 1 })], [0, 1], { a: 1, b: 1 }],
  ])('a person that PostgreSQL refuses costs the event behind it: %s', async (_name, events, left, person) => {
    const { run, poison, stored } = distinctIdKit(open(), { fate: refusing });
    const rows = await run(events);
    expect(offsetsOf(rows)).toEqual(left);
    expect(poison()).toEqual([[[0, 1, 2].find((offset) => !left.includes(offset)), 'person_refused', 'distinct-id:write']]);
    expect(stored()).toEqual(person);
    expect(personPropertiesOf(rows.at(-1)!)).toEqual(person);
  });

  it('also behind a $groupidentify, which has a write of its own', async () => {
    const { run, poison, stored } = distinctIdKit(open(), { fate: refusing });
    const identify = { event: '$groupidentify', properties: { $group_type: 'company', $group_key: 'acme' } };
    const rows = await run([identify, set({ poison: 1 }), identify, set({ c: 1 })]);
    expect(offsetsOf(rows)).toEqual([0, 2, 3]);
    expect(poison()).toEqual([[1, 'person_refused', 'distinct-id:write']]);
    expect(stored()).toEqual({ c: 1 });
  });

  it('of two persons written at once, the one at fault costs its own event', async () => {
    const { run, poison, stored } = distinctIdKit(open(), { fate: refusing });
    const moving = aPlugin(1, (event) => ({ type: 'event', event: event.event === 'move' ? { ...event, distinct_id: 'other' } : event }));
    const rows = await run(
      [set({ a: 1 }), { event: 'move', ...set({ poison: 1 }) }, set({ a: 2, b: 1 }), { event: 'move', ...set({ c: 1 }) }],
      [moving],
    );
    expect(offsetsOf(rows)).toEqual([0, 2, 3]);
    expect(poison()).toEqual([[1, 'person_refused', 'distinct-id:write']]);
    expect([stored('d'), stored('other')]).toEqual([{ a: 2, b: 1 }, { c: 1 }]);
  });

  it('a culprit does not make its group forget to tell ClickHouse of a person again, on a replay', async () => {
    const { run, sideRows } = distinctIdKit(open(), { fate: refusing });
    await run([set({ a: 1 })]);
    const before = sideRows().length;
    await run([
      { ...set({ a: 1 }), maybeReplayed: true },
      { ...set({ poison: 1 }), maybeReplayed: true },
    ]);
    const tables = sideRows()
      .slice(before)
      .map(({ table }) => table);
    expect(tables).toEqual(expect.arrayContaining(['person', 'person_distinct_id2']));
  });

  it('a refused merge event costs itself; what comes after it goes on', async () => {
    const { run, poison, stored } = distinctIdKit(open(), { fate: refusing });
    const rows = await run([
      set({ a: 1 }),
      { event: '$identify', properties: { $anon_distinct_id: 'anon', $set: { poison: 1 } } },
      set({ b: 1 }),
    ]);
    expect(offsetsOf(rows)).toEqual([0, 2]);
    expect(poison()).toEqual([[1, 'person_refused', 'distinct-id:merging']]);
    expect(stored()).toEqual({ a: 1, b: 1 });
  });
});

describe('D3: every event ends once', () => {
  it('an abandoned write settles nothing and tells nothing; the next group of another partition goes on', async () => {
    const writer = heldPersonWriter();
    const { tell, system, rows, poison, settlement } = distinctIdKit(open(), { personWriter: writer.ref });
    const other = testSettlement('events', 1);
    tell([set({ a: 1 })]);
    tell([], [], aGroup(other, 100, [{}]));
    await settle(system);
    writer.answer(0, (ticket) => ({ type: 'persons-loaded', ticket, found: [undefined] }));
    await settle(system);
    expect(writer.asked()[1]).toMatchObject({ type: 'write' });
    settlement.active = false;
    writer.answer(1, (ticket) => ({ type: 'person-abandoned', ticket }));
    await settle(system);
    expect([rows(), poison(), settlement.outcomes.size]).toEqual([[], [], 0]);
    expect(writer.asked()[2]).toMatchObject({ type: 'load' });
  });

  it('an answer to work that is over is nobody’s', async () => {
    const writer = heldPersonWriter();
    const { tell, system, rows, rest } = distinctIdKit(open(), { personWriter: writer.ref });
    tell([set({ a: 1 })]);
    await settle(system);
    writer.answer(0, (ticket) => ({ type: 'person-abandoned', ticket }));
    await rest();
    writer.answer(0, (ticket) => ({ type: 'persons-loaded', ticket, found: [undefined] }));
    await rest();
    expect(rows()).toEqual([]);
    expect(system.inspect.one('/d')?.details).toMatchObject({ idle: true });
  });

  it('a crash buries what was under way, once each, and nothing that had ended before', async () => {
    const writer = heldPersonWriter();
    const { tell, system, rest, poison, settlement, deadLetter } = distinctIdKit(open(), { personWriter: writer.ref });
    tell([{ event: '$$heatmap' }, { outer: { data: '{' } }, set({ a: 1 }), set({ b: 1 })]);
    tell([{ event: '$$heatmap' }, {}]);
    await settle(system);
    writer.ref.answer('full'); // the sink is full: a bug, and the actor crashes on it
    writer.answer(0, (ticket) => ({ type: 'persons-loaded', ticket, found: [undefined] }));
    await rest();
    expect(poison().toSorted()).toEqual([
      [1, 'failed_parse_message', 'distinct-id:prepare'],
      [2, 'actor_crashed', 'distinct-id:crash'],
      [3, 'actor_crashed', 'distinct-id:crash'],
      [4, 'actor_crashed', 'distinct-id:crash'],
      [5, 'actor_crashed', 'distinct-id:crash'],
    ]);
    expect([...settlement.outcomes]).toEqual([[0, dropped('heatmap')]]);
    expect(deadLetter.messages.length).toBeGreaterThan(0);
  });

  it('D3: groups that wait when the tree is torn down come again from Kafka: no row, no dead letter', async () => {
    const { tell, poison, rows, system } = distinctIdKit(open());
    for (let count = 0; count < 3; count++) tell([{}]);
    await system.shutdown(1_000);
    expect(poison()).toEqual([]);
    expect(rows()).toEqual([]);
  });

  it('a crash while the next group begins does not bury the rows told, nor what the next group has ended already', async () => {
    const writer = heldPersonWriter();
    const { tell, system, rest, rows, poison, settlement } = distinctIdKit(open(), { personWriter: writer.ref });
    tell([{ properties: { $process_person_profile: false } }]);
    tell([{ event: '$$heatmap' }, set({ b: 1 })]);
    tell([{ event: '$$heatmap' }]);
    await settle(system);
    writer.ref.answer('full');
    writer.answer(0, (ticket) => ({ type: 'persons-loaded', ticket, found: [undefined] }));
    await rest();
    expect(offsetsOf(rows())).toEqual([0]);
    expect(poison()).toEqual([
      [2, 'actor_crashed', 'distinct-id:crash'],
      [3, 'actor_crashed', 'distinct-id:crash'],
    ]);
    expect([...settlement.outcomes]).toEqual([[1, dropped('heatmap')]]);
  });

  it('a crash on the first message buries each of its events that had not ended', async () => {
    const writer = heldPersonWriter();
    const { tell, rest, poison, settlement, system } = distinctIdKit(open(), { personWriter: writer.ref });
    writer.ref.answer('full');
    tell([{ event: '$$heatmap' }, set({ b: 1 })]);
    await rest();
    expect(poison()).toEqual([[1, 'actor_crashed', 'distinct-id:crash']]);
    expect([...settlement.outcomes]).toEqual([[0, dropped('heatmap')]]);
    writer.ref.answer('accepted');
    tell([set({ c: 1 })]);
    await rest(100);
    expect(system.inspect.one('/d')).toMatchObject({ incarnation: 2, details: { stage: 'loading' } });
  });

  it('nothing is buried of a partition that is lost, and a tree that is being felled costs no event', async () => {
    const writer = heldPersonWriter();
    const { tell, system, rest, rows, poison, settlement } = distinctIdKit(open(), { personWriter: writer.ref });
    writer.ref.answer('stopped');
    tell([set({ a: 1 })]);
    await rest();
    expect([rows(), poison()]).toEqual([[], []]);
    expect(system.inspect.one('/d')?.restartsInWindow).toBe(0);
    settlement.active = false;
    writer.ref.answer('full');
    tell([set({ a: 1 })]);
    await rest();
    expect(poison()).toEqual([]);
  });
});
