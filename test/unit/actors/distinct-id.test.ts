import { describe, expect, it, onTestFinished } from 'vitest';
import { personUuid } from '../../../src/domain/uuid.ts';
import { teamId } from '../../../src/domain/ids.ts';
import { isIdle } from '../../../actors/distinct-id/index.ts';
import { IDLE } from '../../../actors/distinct-id/state.ts';
import { observe } from '../../../src/observe/facts.ts';
import { gate, settle } from '../../kit/actors.ts';
import { NOW_MS, uuidAt } from '../../kit/pipeline.ts';
import { systemsOf } from '../../kit/systems.ts';
import { distinctIdKit, personPropertiesOf, propertiesOf } from './distinct-id.kit.ts';

const open = systemsOf();
const idOf = (distinctId: string): string => personUuid(teamId(1), distinctId);

describe('a person near the limit of its size', () => {
  const text = (length: number): string => 'x'.repeat(length);

  it('Z-3: an update that is too much is not stored and the team is told; its neighbours are; each row shows the person of its time', async () => {
    const { run, stored, warnings } = distinctIdKit(open());
    await run([{ properties: { $set: { a: text(600_000) } } }]);
    const rows = await run([
      { properties: { $set: { b: 1 } } },
      { properties: { $set: { big: text(100_000), b: 2 } } },
      { properties: { $set: { c: 1 } } },
    ]);
    expect(stored()).toEqual({ a: text(600_000), b: 1, c: 1 });
    // 3.8: the event's own $set shows in its own row, stored or not
    expect(rows.map((row) => Object.keys(personPropertiesOf(row)).sort())).toEqual([
      ['a', 'b'],
      ['a', 'b', 'big'],
      ['a', 'b', 'c'],
    ]);
    expect(warnings()).toEqual(['person_properties_size_violation']);
  });

  it('Z-3: a first event that is too much makes its person without its largest property', async () => {
    const { run, stored, redisBuffer } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1, big: text(700_000) } } }, { properties: { $set: { c: 1 } } }]);
    expect(stored()).toEqual({ a: 1, c: 1 });
    expect(redisBuffer.messages).toMatchObject([
      { type: 'warn', warning: { teamId: 1, details: { eventUuid: uuidAt(0), distinctId: 'd', personId: idOf('d') }, alwaysSend: false } },
    ]);
  });

  it('Z-3: what was folded on a person that somebody else has filled meanwhile is folded again, limit and warning included', async () => {
    const { run, stored, warnings, database } = distinctIdKit(open(), {
      fate: {
        arrive({ operation }) {
          const [row] = database.persons.values();
          if (operation !== 'update' || row?.version !== 0) return;
          Object.assign(row, { version: 1, properties: JSON.stringify({ theirs: text(600_000) }) });
        },
      },
    });
    await run([{ properties: { $set: { a: 1 } } }]);
    const [row] = await run([{ properties: { $set: { mine: text(100_000) } } }]);
    expect(stored()).toEqual({ theirs: text(600_000) });
    expect(Object.keys(personPropertiesOf(row!))).toEqual(['theirs', 'mine']);
    expect(warnings()).toEqual(['person_properties_size_violation']);
  });
});

describe('P-39', () => {
  it('P-39: each label counts once for an event whose update is worth a write; a birth and what is not written count nothing', async () => {
    const counted: unknown[] = [];
    onTestFinished(observe('person-property-keys-counted', ({ counts }) => counted.push(counts)));
    const { run, rest } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1, b: 1, $browser: 'A', $geoip_city_name: 'X' } } }]);
    await run([
      { properties: { $set: { a: 2, b: 2, $browser: 'B' }, $set_once: { $initial_os: 'L', b: 3 } } },
      { properties: { $set: { $browser: 'C' } } },
      { properties: { $set: { a: 2 }, $unset: ['b', '$geoip_city_name'] } },
    ]);
    await rest(1_000);
    expect(counted).toEqual([{ $browser: 1, $initial_os: 1, other: 2, geoIP: 1 }]);
  });
});

describe('a person in the making', () => {
  it('the first event creates it; its row shows it as that event left it', async () => {
    const { run, stored, sideRows } = distinctIdKit(open());
    const [row] = await run([{ properties: { $set: { a: 1 }, $set_once: { b: 2 }, price: 3 } }]);
    expect(row).toMatchObject({
      uuid: uuidAt(0),
      event: 'click',
      teamId: 1,
      distinctId: 'd',
      timestampMs: NOW_MS,
      personId: idOf('d'),
      personCreatedAtMs: NOW_MS,
      personMode: 'full',
    });
    expect(personPropertiesOf(row!)).toEqual({ a: 1, b: 2 });
    expect(propertiesOf(row!)).toMatchObject({ price: 3, $set: { a: 1 }, $set_once: { b: 2 } });
    expect(stored()).toEqual({ a: 1, b: 2 });
    expect(sideRows()).toMatchObject([
      { table: 'person', id: idOf('d'), version: 0, isDeleted: false },
      { table: 'person_distinct_id2', distinctId: 'd', personId: idOf('d'), version: 0 },
    ]);
  });

  it('D1: $set, $set_once and $unset of one group fold in offset order; each row has the person of its own time', async () => {
    const { run, stored, database } = distinctIdKit(open());
    const rows = await run([
      { properties: { $set: { a: 1, b: 1 } } },
      { properties: { $set_once: { a: 9, c: 1 } } },
      { properties: { $set: { a: 2 }, $unset: ['b'] } },
      { properties: {} },
    ]);
    expect(rows.map(personPropertiesOf)).toEqual([
      { a: 1, b: 1 },
      { a: 1, b: 1, c: 1 },
      { a: 2, c: 1 },
      { a: 2, c: 1 },
    ]);
    expect(stored()).toEqual({ a: 2, c: 1 });
    expect([...database.persons.values()].map(({ version }) => version)).toEqual([0]); // one statement for the group
  });

  it('D1: across groups, a group starts where the one before it has ended', async () => {
    const { tell, rest, rows, stored } = distinctIdKit(open());
    tell([{ properties: { $set: { a: 1 } } }]);
    tell([{ properties: { $set: { b: 1 } } }]);
    tell([{ properties: { $set: { a: 2 }, $unset: ['b'] } }]);
    await rest();
    expect(rows().map(({ pending }) => pending.offset)).toEqual([0, 1, 2]);
    expect(rows().map(personPropertiesOf)).toEqual([{ a: 1 }, { a: 1, b: 1 }, { a: 2 }]);
    expect(stored()).toEqual({ a: 2 });
  });

  it('an event that changes nothing writes nothing', async () => {
    const { run, database } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1 } } }]);
    await run([{ properties: { $set: { a: 1 } } }, { properties: {} }]);
    expect([...database.persons.values()].map(({ version }) => version)).toEqual([0]);
  });

  it('D2: no row is told before the person is durable and its side rows were told', async () => {
    const durable = gate();
    const { run, rest, rows, clickhouse } = distinctIdKit(open(), {
      fate: { answer: (call) => (call.operation === 'create' ? durable.promise : undefined) },
    });
    expect(await run([{ properties: { $set: { a: 1 } } }, {}])).toEqual([]);
    expect(clickhouse.messages).toEqual([]);
    durable.open();
    await rest();
    expect(rows()).toHaveLength(2);
    expect(clickhouse.messages.map(({ type }) => type)).toEqual(['store-side-rows', 'store-events']);
  });

  it('the team says whether addresses are stored', async () => {
    const plain = distinctIdKit(open());
    const anonymous = distinctIdKit(open(), { team: { anonymizeIps: true } });
    const [row] = await plain.run([{ properties: { $ip: '10.0.0.1' } }]);
    const [without] = await anonymous.run([{ properties: { $ip: '10.0.0.1' } }]);
    expect(propertiesOf(row!)).toHaveProperty('$ip', '10.0.0.1');
    expect(propertiesOf(without!)).not.toHaveProperty('$ip');
  });
});

describe('personless events', () => {
  const personless = { properties: { $process_person_profile: false, $set: { a: 1 } } };

  it('before a person exists: its future id, no person, noted once', async () => {
    const { run, database, stored } = distinctIdKit(open());
    const [row] = await run([personless]);
    expect(row).toMatchObject({ personId: idOf('d'), personMode: 'propertyless', personProperties: '{}', personCreatedAtMs: 5_000 });
    expect(propertiesOf(row!)).toMatchObject({ $process_person_profile: false });
    expect(propertiesOf(row!)).not.toHaveProperty('$set');
    expect(stored()).toBeUndefined();
    expect([...database.personless]).toEqual([['1:d', false]]);
  });

  it('after one: the person lends its id, nothing is written', async () => {
    const { run, database } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1 } } }]);
    const [row] = await run([personless]);
    expect(row).toMatchObject({ personId: idOf('d'), personMode: 'propertyless', personProperties: '{}', personCreatedAtMs: NOW_MS });
    expect([...database.persons.values()].map(({ version }) => version)).toEqual([0]);
  });

  it('Q-3: more than a minute younger than its person: force_upgrade', async () => {
    const { run, clock } = distinctIdKit(open());
    await run([{}]);
    clock.advance(120_000);
    const later = new Date(NOW_MS + 61_001).toISOString();
    const [row] = await run([{ ...personless, outer: { timestamp: later } }]);
    expect(row).toMatchObject({ personMode: 'force_upgrade', personProperties: '{}' });
  });

  it('in one group with the event that makes the person, each is what it would be alone', async () => {
    const { run } = distinctIdKit(open());
    const rows = await run([personless, { properties: { $set: { b: 1 } } }, personless]);
    expect(rows.map(({ personMode, personCreatedAtMs }) => [personMode, personCreatedAtMs])).toEqual([
      ['propertyless', 5_000],
      ['full', NOW_MS],
      ['propertyless', NOW_MS],
    ]);
    expect(new Set(rows.map(({ personId }) => personId)).size).toBe(1);
  });

  it('$process_person_profile: true leaves the row, anything but a boolean warns, false on $identify is refused', async () => {
    const { run, warnings, rowless, rows } = distinctIdKit(open());
    const [row] = await run([
      { properties: { $process_person_profile: true } },
      { properties: { $process_person_profile: 'no' } },
      { event: '$identify', properties: { $process_person_profile: false, $anon_distinct_id: 'anon' } },
    ]);
    expect(propertiesOf(row!)).not.toHaveProperty('$process_person_profile');
    expect(rows()).toHaveLength(2);
    expect(warnings()).toEqual(['invalid_process_person_profile', 'invalid_event_when_process_person_profile_is_false']);
    expect(rowless()).toEqual(['2 invalid_event_for_flags']);
  });
});

describe('a merge event in the middle of a group', () => {
  it('D1: what comes before it is durable first, what comes after it is on the merged person', async () => {
    const { run, stored, database, clickhouse } = distinctIdKit(open());
    await run([{ distinctId: 'anon', properties: { $set: { from: 'anon' } } }]);
    const rows = await run([
      { properties: { $set: { before: 1 } } },
      { event: '$identify', properties: { $anon_distinct_id: 'anon', $set: { at: 1 } } },
      { properties: { $set: { after: 1 } } },
    ]);
    expect(rows.map(personPropertiesOf)).toEqual([
      { before: 1 },
      { from: 'anon', before: 1, at: 1 },
      { from: 'anon', before: 1, at: 1, after: 1 },
    ]);
    expect(new Set(rows.map(({ personId }) => personId))).toEqual(new Set([idOf('d')]));
    expect(stored('anon')).toEqual(stored('d'));
    expect(database.persons.size).toBe(1);
    expect(clickhouse.messages.at(-1)?.type).toBe('store-events');
  });

  it('$identify without a person anywhere makes one with both ids', async () => {
    const { run, database, sideRows } = distinctIdKit(open());
    const [row] = await run([{ event: '$identify', properties: { $anon_distinct_id: 'anon', $set: { a: 1 } } }]);
    expect(row).toMatchObject({ personId: idOf('d'), personMode: 'full' });
    expect([...database.persons.values()]).toMatchObject([{ isIdentified: true }]);
    expect(sideRows().filter(({ table }) => table === 'person_distinct_id2')).toHaveLength(2);
  });

  it('an illegal id: the event goes on without the merge, with a warning', async () => {
    const { run, warnings, database } = distinctIdKit(open());
    const [row] = await run([{ event: '$identify', properties: { $anon_distinct_id: 'null', $set: { a: 1 } } }, {}]);
    expect(personPropertiesOf(row!)).toEqual({ a: 1 });
    expect(warnings()).toEqual(['cannot_merge_with_illegal_distinct_id']);
    expect(database.mappings.size).toBe(1);
  });
});

describe('groups', () => {
  it('G-1, G-3: types get their index, $groupidentify is durable before its row', async () => {
    const { run, clickhouse, sideRows } = distinctIdKit(open());
    const rows = await run([
      { event: '$groupidentify', properties: { $group_type: 'company', $group_key: 'acme', $group_set: { size: 5 } } },
      { properties: { $groups: { company: 'acme', project: 'x' } } },
    ]);
    expect(propertiesOf(rows[1]!)).toMatchObject({ $group_0: 'acme', $group_1: 'x' });
    expect(sideRows().find(({ table }) => table === 'groups')).toMatchObject({
      groupTypeIndex: 0,
      groupKey: 'acme',
      properties: '{"size":5}',
    });
    expect(clickhouse.messages.at(-1)?.type).toBe('store-events');
  });

  it('a sixth type is ignored', async () => {
    const { run } = distinctIdKit(open());
    const [row] = await run([{ properties: { $groups: { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1 } } }]);
    expect(Object.keys(propertiesOf(row!)).filter((key) => /^\$group_\d/.test(key))).toHaveLength(5);
  });
});

describe('D5: at rest', () => {
  it('an actor holds nothing but the state that all share', async () => {
    const { system, run, spec } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1 } } }]);
    expect(spec.start({} as never)).toBe(IDLE);
    expect(isIdle(IDLE)).toBe(true);
    expect(Object.isFrozen(IDLE)).toBe(true);
    expect(system.inspect.one('/d')?.details).toMatchObject({ idle: true, eventsInWork: 0, waitingGroups: 0 });
  });
});

describe('a partition that is lost', () => {
  it('D3: its events are left out unsettled', async () => {
    const { tell, rest, rows, settlement, poison } = distinctIdKit(open());
    tell([{}]);
    settlement.active = false;
    tell([{}]);
    await rest();
    settlement.active = true;
    expect(rows().map(({ pending }) => pending.offset)).toEqual([]);
    expect([poison(), settlement.outcomes.size]).toEqual([[], 0]);
    tell([{}]);
    await rest();
    expect(rows().map(({ pending }) => pending.offset)).toEqual([2]);
  });
});

describe('what a previous owner may have left half done', () => {
  it('is told to ClickHouse again: the person and its mapping, before the rows', async () => {
    const { run, sideRows, clickhouse } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1 } } }]);
    const before = sideRows().length;
    await run([{ maybeReplayed: true, properties: { $set: { a: 1 } } }, { maybeReplayed: true }]);
    expect(sideRows().slice(before)).toMatchObject([
      { table: 'person', id: idOf('d'), version: 0 },
      { table: 'person_distinct_id2', distinctId: 'd', personId: idOf('d'), version: 0 },
    ]);
    expect(clickhouse.messages.slice(-2).map(({ type }) => type)).toEqual(['store-side-rows', 'store-events']);
  });

  it('also where the replay changes the person: the mapping may never have got there', async () => {
    const { run, sideRows } = distinctIdKit(open());
    await run([{ properties: { $set: { a: 1 } } }]);
    const before = sideRows().length;
    await run([{ maybeReplayed: true, properties: { $set: { a: 2 } } }]);
    expect(sideRows().slice(before)).toContainEqual(expect.objectContaining({ table: 'person_distinct_id2', distinctId: 'd' }));
  });

  it('is not told again for events that nobody can have seen before', async () => {
    const { run, sideRows } = distinctIdKit(open());
    await run([{}]);
    const before = sideRows().length;
    await run([{}, {}]);
    expect(sideRows()).toHaveLength(before);
  });

  it('a replayed merge is told again, and hides the person that went', async () => {
    const { run, sideRows } = distinctIdKit(open());
    await run([{ distinctId: 'anon' }]);
    const merge = { event: '$identify', properties: { $anon_distinct_id: 'anon' } };
    await run([{}, merge]);
    const before = sideRows().length;
    await run([{ ...merge, maybeReplayed: true }]);
    expect(sideRows().slice(before)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ table: 'person_distinct_id2', distinctId: 'anon', personId: idOf('d') }),
        expect.objectContaining({ table: 'person', id: idOf('anon'), isDeleted: true }),
      ]),
    );
  });
});

describe('order in time', () => {
  it('D2: a second group waits for the first one even when the first has to wait for PostgreSQL', async () => {
    const loaded = gate();
    let held = true;
    const { tell, system, rows, rest } = distinctIdKit(open(), {
      fate: { answer: (call) => (call.operation === 'load' && held ? loaded.promise : undefined) },
    });
    tell([{ properties: { $set: { a: 1 } } }]);
    tell([{ properties: { $set: { a: 2 } } }]);
    await settle(system);
    expect(system.inspect.one('/d')?.details).toMatchObject({ stage: 'loading', waitingGroups: 1 });
    expect(rows()).toEqual([]);
    held = false;
    loaded.open();
    await rest();
    expect(rows().map(personPropertiesOf)).toEqual([{ a: 1 }, { a: 2 }]);
  });
});
