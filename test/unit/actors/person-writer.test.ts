import { describe, expect, it, onTestFinished } from 'vitest';
import type { RowWriterMessage } from '../../../actors/row-writer/messages.ts';
import { createPersonWriter, type PersonWriterDeps } from '../../../actors/person-writer/index.ts';
import type { MergeEventCommand, PersonWriterAnswer, PersonWriteCommand } from '../../../actors/person-writer/messages.ts';
import { teamId } from '../../../src/domain/ids.ts';
import { foldPersonUpdates, type PersonUpdate } from '../../../src/domain/person-fold.ts';
import type { Settlement } from '../../../src/domain/outcome.ts';
import type { Person } from '../../../src/domain/person.ts';
import { personUuid } from '../../../src/domain/uuid.ts';
import type { NewPerson, PersonStore, PersonWrite } from '../../../src/postgres/port.ts';
import { PostgresError } from '../../../src/postgres/port.ts';
import { observe } from '../../../src/observe/facts.ts';
import { gate, pass, probe, settle, type Probe } from '../../kit/actors.ts';
import { testSettlement } from '../../kit/event-rows.ts';
import {
  createFakeGroupStore,
  createFakePersonDatabase,
  createFakePersonStore,
  type PersonStoreCall,
  type PersonStoreFate,
} from '../../kit/fake-person-store.ts';
import { NOW_MS, uuidAt } from '../../kit/pipeline.ts';
import { systemsOf } from '../../kit/systems.ts';

const open = systemsOf();
const TEAM = teamId(1);
const idOf = (distinctId: string): string => personUuid(TEAM, distinctId);
const update = (set: Record<string, unknown>, parts: Partial<PersonUpdate> = {}): PersonUpdate => ({
  eventName: '$set',
  set,
  setOnce: undefined,
  unset: undefined,
  isIdentified: false,
  ...parts,
});
const away = (): PostgresError => new PostgresError('unavailable', 'away');

function setUp(fate: PersonStoreFate = {}, parts: Partial<PersonWriterDeps['options']> = {}) {
  const { system, clock } = open();
  const clickhouse = probe<RowWriterMessage>('clickhouse');
  const database = createFakePersonDatabase();
  const calls: PersonStoreCall[] = [];
  const noted: PersonStoreFate = { ...fate, arrive: (call) => (calls.push(call), fate.arrive?.(call)) };
  const control = { fresh: true };
  const other: PersonStore = createFakePersonStore(database);
  const crashes: unknown[] = [];
  const ref = system.spawn(
    createPersonWriter({
      persons: createFakePersonStore(database, noted),
      groups: createFakeGroupStore(),
      rowWriter: clickhouse,
      mayWrite: () => control.fresh,
      options: { flushRowsCount: 100, lingerMs: 5, personlessCacheCount: 2, mailboxCapacityCount: 1_000, ...parts },
      strategy: { directive: 'escalate' },
    }),
    'person-writer',
    undefined,
    (_ref, error) => void crashes.push(error),
  );
  const settlement = testSettlement();
  const answers: Probe<PersonWriterAnswer> = probe('answers');
  let ticket = 0;
  const rest = async (ms = 10): Promise<void> => {
    await settle(system);
    await pass(system, clock, ms, 1);
  };
  return {
    system,
    clock,
    ref,
    clickhouse,
    database,
    control,
    calls,
    crashes,
    settlement,
    other,
    rest,
    operations: (): string[] => calls.map(({ operation }) => operation),
    answers: (): readonly PersonWriterAnswer[] => answers.messages,
    answerTo: (wanted: number) => answers.messages.filter((answer) => answer.ticket === wanted),
    load: (distinctIds: readonly string[], markPersonless = false): number => {
      ref.tell({ type: 'load', ticket: ++ticket, teamId: TEAM, distinctIds, markPersonless, replyTo: answers });
      return ticket;
    },
    write: (distinctId: string, updates: readonly PersonUpdate[], base?: Person, of: Settlement = settlement): number => {
      const command: PersonWriteCommand = {
        teamId: TEAM,
        distinctId,
        base,
        result: base === undefined ? undefined : foldPersonUpdates(base, updates).person,
        updates,
        birth: { createdAtMs: NOW_MS, eventUuid: uuidAt(1) },
      };
      ref.tell({ type: 'write', ticket: ++ticket, command, settlement: of, replyTo: answers });
      return ticket;
    },
    merge: (into: string, from: string, parts2: Partial<MergeEventCommand> = {}): number => {
      const command: MergeEventCommand = {
        teamId: TEAM,
        into,
        other: from,
        eventName: '$identify',
        update: update({}, { eventName: '$identify' }),
        birth: { createdAtMs: NOW_MS, eventUuid: uuidAt(1) },
        maybeReplayed: false,
        ...parts2,
      };
      ref.tell({ type: 'merge', ticket: ++ticket, command, settlement, replyTo: answers });
      return ticket;
    },
    person: async (distinctId: string): Promise<Person> => {
      const [found] = await other.load([{ teamId: TEAM, distinctId }]);
      if (found === undefined) throw new Error(`nobody has ${distinctId}`);
      return found.person;
    },
    sideRows: () => clickhouse.messages.flatMap((message) => (message.type === 'store-side-rows' ? message.rows : [])),
    nextTicket: () => ++ticket,
    replyTo: answers,
  };
}
const propertiesOf = ({ properties }: Person): Record<string, unknown> => {
  const { $creator_event_uuid: _creator, ...rest } = properties;
  return rest;
};
const newborn = (distinctId: string, parts: Partial<NewPerson> = {}): NewPerson => ({
  teamId: TEAM,
  id: personUuid(TEAM, distinctId),
  createdAtMs: NOW_MS,
  properties: {},
  propertiesLastUpdatedAt: {},
  propertiesLastOperation: {},
  isIdentified: false,
  distinctIds: [{ distinctId, version: 0 }],
  ...parts,
});

describe('the load lane', () => {
  it('I1: loads told together share one statement, and each gets its own answer', async () => {
    const { load, rest, calls, answerTo, other } = setUp();
    await other.create([newborn('b')]);
    const [first, second] = [load(['a', 'b']), load(['b'])];
    await rest();
    expect(calls).toMatchObject([{ operation: 'load', input: [{ distinctId: 'a' }, { distinctId: 'b' }, { distinctId: 'b' }] }]);
    expect(answerTo(first)).toMatchObject([{ type: 'persons-loaded', found: [undefined, { person: { id: idOf('b') } }] }]);
    expect(answerTo(second)).toMatchObject([{ found: [{ person: { id: idOf('b') } }] }]);
  });

  it('loads that come while one is under way share the next statement', async () => {
    const first = gate();
    let held = true;
    const { load, rest, operations, answers } = setUp({ answer: () => (held ? first.promise : undefined) });
    load(['a']);
    await rest();
    for (const id of ['b', 'c', 'd']) load([id]);
    await rest();
    expect(operations()).toEqual(['load']);
    held = false;
    first.open();
    await rest();
    expect(operations()).toEqual(['load', 'load']);
    expect(answers()).toHaveLength(4);
  });

  it('Q-1: an id used without a person is noted once, within what is remembered', async () => {
    const { load, rest, operations, database } = setUp();
    for (const id of ['a', 'a', 'b', 'c', 'a']) {
      load([id], true);
      await rest();
    }
    expect(operations().filter((operation) => operation === 'markPersonless')).toHaveLength(4); // a, b, c, and a again: two are remembered
    expect(database.personless.size).toBe(3);
  });

  it('Q-1: an id that was merged in the meantime has a person after all', async () => {
    const seen = { merged: false };
    const { load, rest, answerTo, other } = setUp({
      async arrive({ operation }) {
        if (operation !== 'markPersonless' || seen.merged) return;
        seen.merged = true;
        await other.create([newborn('known')]);
        const [known] = await other.load([{ teamId: TEAM, distinctId: 'known' }]);
        if (known !== undefined) await other.addDistinctIds([{ person: known.person, distinctId: 'a' }]);
      },
    });
    const ticket = load(['a'], true);
    await rest();
    expect(answerTo(ticket)).toMatchObject([{ found: [{ person: { id: idOf('known') } }] }]);
  });
});

describe('Q-1: an id in the middle of a merge that makes its person', () => {
  it('is waited for, so that the event has that person', async () => {
    const { load, rest, answerTo, other } = setUp();
    await other.markMerged([{ teamId: TEAM, distinctId: 'anon' }]); // marked before we note it: the merge will make no override
    const ticket = load(['anon'], true);
    await rest(50);
    expect(answerTo(ticket)).toEqual([]);
    const both = ['into', 'anon'].map((distinctId) => ({ distinctId, version: 0 }));
    await other.create([newborn('into', { distinctIds: both })]);
    await rest(200);
    expect(answerTo(ticket)).toMatchObject([{ found: [{ person: { id: idOf('into') } }] }]);
  });

  it('is given up after a while, once: whoever died there does the merge again, with an override', async () => {
    const { load, rest, answerTo, other } = setUp();
    await other.markMerged([{ teamId: TEAM, distinctId: 'anon' }]);
    const first = load(['anon'], true);
    await rest(2_000);
    expect(answerTo(first)).toMatchObject([{ found: [undefined] }]);
    const second = load(['anon'], true);
    await rest(5);
    expect(answerTo(second)).toMatchObject([{ found: [undefined] }]);
  });
});

describe('a round of writes', () => {
  it('I2: creates in one statement; side rows are told before the answer', async () => {
    const { write, rest, operations, answerTo, clickhouse, sideRows } = setUp();
    const [a, b] = [write('a', [update({ x: 1 }), update({ y: 2 })]), write('b', [update({ z: 3 })])];
    await rest();
    expect(operations()).toEqual(['create']);
    expect(answerTo(a)).toMatchObject([{ type: 'person-written', person: { id: idOf('a'), version: 0, properties: { x: 1, y: 2 } } }]);
    expect(answerTo(b)).toMatchObject([{ type: 'person-written', person: { properties: { z: 3 } } }]);
    expect(clickhouse.messages).toHaveLength(1);
    expect(sideRows().map(({ table }) => table)).toEqual(['person', 'person_distinct_id2', 'person', 'person_distinct_id2']);
  });

  it('updates in one statement; a round starts when enough wait, without lingering', async () => {
    const { write, system, operations, other, person } = setUp({}, { flushRowsCount: 2, lingerMs: 60_000 });
    await other.create([newborn('a'), newborn('b')]);
    const [a, b] = [await person('a'), await person('b')];
    write('a', [update({ x: 1 })], a);
    await settle(system);
    expect(operations()).toEqual([]);
    write('b', [update({ x: 2 })], b);
    await settle(system);
    expect(operations()).toEqual(['update']);
    expect([await person('a'), await person('b')].map(({ version, properties }) => [version, properties])).toEqual([
      [1, { x: 1 }],
      [1, { x: 2 }],
    ]);
  });

  it('W1: a conflict folds again on what is stored now: both updates are kept', async () => {
    const { write, rest, answerTo, other, person } = setUp();
    await other.create([newborn('a', { properties: { old: 1, gone: 1 } })]);
    const seen = await person('a');
    await other.update([{ person: { ...seen, properties: { old: 2, theirs: 1, gone: 1 } }, version: 0 }]);
    const ticket = write('a', [update({ ours: 1 }, { unset: ['gone'] })], seen);
    await rest();
    expect(propertiesOf(await person('a'))).toEqual({ old: 2, theirs: 1, ours: 1 });
    expect(answerTo(ticket)).toMatchObject([
      { type: 'person-written', person: { version: 2, properties: { old: 2, theirs: 1, ours: 1 } } },
    ]);
  });

  it('W1: somebody else was faster to create: the updates fold on theirs, and $set_once does not win', async () => {
    const { write, rest, answerTo, other, person, sideRows } = setUp();
    await other.create([newborn('a', { properties: { first: 'theirs' } })]);
    const ticket = write('a', [update({ ours: 1 }, { setOnce: { first: 'ours' } })]);
    await rest();
    expect(propertiesOf(await person('a'))).toEqual({ first: 'theirs', ours: 1 });
    expect(answerTo(ticket)).toMatchObject([{ type: 'person-written', person: { version: 1 } }]);
    expect(
      sideRows()
        .map(({ table }) => table)
        .toSorted(),
    ).toEqual(['person', 'person_distinct_id2']);
  });

  it('W1: a person that was merged away under the write: the survivor gets the update', async () => {
    const { write, rest, answerTo, other, person } = setUp();
    await other.create([newborn('a', { properties: { a: 1 } }), newborn('b')]);
    const [a, b] = [await person('a'), await person('b')];
    await other.merge({ teamId: TEAM, into: b, from: a, properties: { a: 1 }, createdAtMs: NOW_MS });
    const ticket = write('a', [update({ late: 1 })], a);
    await rest();
    expect(answerTo(ticket)).toMatchObject([{ type: 'person-written', person: { id: idOf('b'), properties: { a: 1, late: 1 } } }]);
  });

  it('W2: several distinct_ids of one person are one unit: all their updates land, in arrival order', async () => {
    const { write, rest, operations, other, person, answers } = setUp();
    await other.create([
      newborn('a', {
        distinctIds: [
          { distinctId: 'a', version: 0 },
          { distinctId: 'b', version: 0 },
        ],
      }),
    ]);
    const seen = await person('a');
    write('a', [update({ who: 'a', a: 1 })], seen);
    write('b', [update({ who: 'b', b: 1 })], seen);
    await rest();
    expect(operations()).toEqual(['update']);
    expect(propertiesOf(await person('a'))).toEqual({ who: 'b', a: 1, b: 1 });
    expect(answers()).toHaveLength(2);
  });

  it('W2: of two bases the younger one counts, and nothing of the older one’s updates is lost', async () => {
    const { write, rest, calls, other, person } = setUp();
    await other.create([newborn('a', { properties: { n: 0 } })]);
    const old = await person('a');
    await other.update([{ person: { ...old, properties: { n: 1 } }, version: 0 }]);
    write('a', [update({ first: 1 })], old);
    write('a', [update({ second: 1 })], await person('a'));
    await rest();
    expect(calls).toHaveLength(1);
    expect(propertiesOf(await person('a'))).toEqual({ n: 1, first: 1, second: 1 });
  });

  it('W4: a batch that PostgreSQL refuses costs the culprit, found by halving', async () => {
    const { write, rest, answers, operations, person } = setUp({
      arrive({ operation, input }) {
        if (operation === 'create' && (input as NewPerson[]).some(({ properties }) => 'poison' in properties))
          throw new PostgresError('refused', 'no');
      },
    });
    for (let index = 0; index < 9; index++) write(`d${index}`, [update(index === 5 ? { poison: 1 } : { ok: 1 })]);
    await rest();
    const byTicket = answers().toSorted((a, b) => a.ticket - b.ticket);
    expect(byTicket.map(({ type }) => type)).toEqual(
      Array.from({ length: 9 }, (_, index) => (index === 5 ? 'person-refused' : 'person-written')),
    );
    expect(operations().length).toBeLessThanOrEqual(10);
    expect((await person('d8')).properties).toHaveProperty('ok', 1);
  });
});

describe('writes of several distinct_ids of one person', () => {
  it('W2: a refusal costs the distinct_id that holds the culprit, and not the others of its person', async () => {
    const { write, merge, rest, answers, person } = setUp({
      arrive({ operation, input }) {
        if (operation === 'update' && (input as PersonWrite[]).some((one) => 'poison' in one.person.properties))
          throw new PostgresError('refused', 'no');
      },
    });
    merge('a', 'b');
    await rest();
    const base = await person('a');
    write('a', [update({ ok: 1 })], base);
    write('b', [update({ poison: 1 })], base);
    write('a', [update({ more: 1 })], base);
    await rest();
    expect(
      answers()
        .slice(1)
        .toSorted((one, two) => one.ticket - two.ticket)
        .map(({ type }) => type),
    ).toEqual(['person-written', 'person-refused', 'person-written']);
    expect((await person('b')).properties).toMatchObject({ ok: 1, more: 1 });
    expect((await person('b')).properties).not.toHaveProperty('poison');
  });
});

describe('PostgreSQL away', () => {
  it('I5: loads, writes and merges wait, nothing is answered, and then all are done', async () => {
    const pg = { away: true };
    const { load, write, merge, rest, answers, person, crashes } = setUp({
      arrive() {
        if (pg.away) throw away();
      },
    });
    load(['a']);
    write('a', [update({ x: 1 })]);
    merge('m', 'n');
    await rest(30_000 / 10);
    expect(answers()).toEqual([]);
    pg.away = false;
    await rest(5_000);
    expect(
      answers()
        .map(({ type }) => type)
        .toSorted(),
    ).toEqual(['person-merged', 'person-written', 'persons-loaded']);
    expect(propertiesOf(await person('a'))).toEqual({ x: 1 });
    expect(crashes).toEqual([]);
  });

  it.each(['create', 'update', 'merge', 'addDistinctIds'] as const)(
    'W5, M4: an answer of %s that is lost changes nothing twice and is told to ClickHouse',
    async (operation) => {
      let lost = false;
      const { write, merge, rest, answers, other, person, sideRows, database } = setUp({
        answer(call) {
          if (call.operation !== operation || lost) return;
          lost = true;
          throw away();
        },
      });
      await other.create([newborn('u', { properties: { n: 1 } }), newborn('into'), newborn('from'), newborn('one')]);
      write('new', [update({ x: 1 })]);
      write('u', [update({ n: 2 })], await person('u'));
      merge('into', 'from');
      merge('one', 'added');
      await rest(3_000);
      expect(lost).toBe(true);
      expect(
        answers()
          .map(({ type }) => type)
          .toSorted(),
      ).toEqual(['person-merged', 'person-merged', 'person-written', 'person-written']);
      expect(propertiesOf(await person('u'))).toEqual({ n: 2 });
      expect([...database.persons.values()].map(({ uuid }) => uuid).toSorted()).toEqual(['into', 'new', 'one', 'u'].map(idOf).toSorted());
      const told = sideRows().map((row) =>
        row.table === 'person' ? `${row.id}:${row.isDeleted}` : row.table === 'person_distinct_id2' ? row.distinctId : '',
      );
      expect(told).toEqual(
        expect.arrayContaining(['new', 'from', 'added', `${idOf('u')}:false`, `${idOf('new')}:false`, `${idOf('from')}:true`]),
      );
    },
  );

  it('I5: a stop during an outage ends; nothing was written and nothing answered', async () => {
    const { write, rest, system, clock, answers, ref, crashes } = setUp({
      arrive() {
        throw away();
      },
    });
    write('a', [update({ x: 1 })]);
    await rest(100);
    let stopped = false;
    void system.stop(ref, 60_000).then(() => (stopped = true));
    await pass(system, clock, 5_000, 500);
    expect(stopped).toBe(true);
    expect([answers(), crashes]).toEqual([[], []]);
  });

  it('I6: an error that waiting cannot cure crashes the writer, and says so upstairs', async () => {
    const { write, rest, crashes, answers } = setUp({
      arrive() {
        throw new PostgresError('misconfigured', 'no such table');
      },
    });
    write('a', [update({ x: 1 })]);
    await rest();
    expect(crashes).toMatchObject([{ kind: 'misconfigured' }]);
    expect(answers()).toEqual([]);
  });
});

describe('whose is the partition', () => {
  it('I4: a write of a lost partition is abandoned; the others of its unit go on without it', async () => {
    const { write, rest, answerTo, other, person, settlement } = setUp();
    const lost = testSettlement('events', 1);
    await other.create([newborn('a')]);
    const seen = await person('a');
    const [zombie, ours] = [write('a', [update({ zombie: 1 })], seen, lost), write('a', [update({ ours: 1 })], seen, settlement)];
    lost.active = false;
    await rest();
    expect(answerTo(zombie)).toEqual([{ type: 'person-abandoned', ticket: zombie }]);
    expect(answerTo(ours)).toMatchObject([{ type: 'person-written' }]);
    expect(propertiesOf(await person('a'))).toEqual({ ours: 1 });
  });

  it('W3: lost between a conflict and the refold: left out', async () => {
    const { write, rest, answerTo, other, person, settlement } = setUp({
      answer({ operation }) {
        if (operation === 'update') settlement.active = false;
      },
    });
    await other.create([newborn('a')]);
    const seen = await person('a');
    await other.update([{ person: { ...seen, properties: { theirs: 1 } }, version: 0 }]);
    const ticket = write('a', [update({ zombie: 1 })], seen);
    await rest();
    expect(answerTo(ticket)).toEqual([{ type: 'person-abandoned', ticket }]);
    expect(propertiesOf(await person('a'))).toEqual({ theirs: 1 });
  });

  it('W3: lost while PostgreSQL was away: not written when it is back', async () => {
    const pg = { away: true };
    const { write, rest, answerTo, settlement, database, calls } = setUp({
      arrive() {
        if (pg.away) throw away();
      },
    });
    const mine = testSettlement('events', 1);
    const [zombie, ours] = [write('a', [update({ x: 1 })]), write('b', [update({ x: 1 })], undefined, mine)];
    await rest(1_000);
    settlement.active = false;
    pg.away = false;
    await rest(3_000);
    expect(answerTo(zombie)).toEqual([{ type: 'person-abandoned', ticket: zombie }]);
    expect(answerTo(ours)).toMatchObject([{ type: 'person-written' }]);
    expect([...database.mappings.keys()]).toEqual(['1:b']);
    expect((calls.at(-1)?.input as NewPerson[]).map(({ distinctIds }) => distinctIds[0]?.distinctId)).toEqual(['b']);
  });

  it('I4: while the heartbeat is too old to know, writes and merges wait; when it comes they are done, not abandoned', async () => {
    const { write, merge, rest, answers, control, operations } = setUp();
    control.fresh = false;
    write('a', [update({ x: 1 })]);
    merge('m', 'n');
    await rest(1_000);
    expect([answers(), operations()]).toEqual([[], []]);
    control.fresh = true;
    await rest(500);
    expect(
      answers()
        .map(({ type }) => type)
        .toSorted(),
    ).toEqual(['person-merged', 'person-written']);
  });

  it('I4: and abandoned when the partition turns out to be lost', async () => {
    const { write, rest, answers, control, settlement, operations } = setUp();
    control.fresh = false;
    const ticket = write('a', [update({ x: 1 })]);
    await rest(300);
    settlement.active = false;
    await rest(300);
    expect(answers()).toEqual([{ type: 'person-abandoned', ticket }]);
    expect(operations()).toEqual([]);
  });

  it('I4: the upsert of a group too', async () => {
    const { ref, rest, answers, settlement, control, nextTicket, replyTo, sideRows } = setUp();
    const upsert = (ticket: number): void =>
      void ref.tell({
        type: 'upsert-group',
        ticket,
        teamId: TEAM,
        groupTypeIndex: 0,
        groupKey: 'g',
        set: {},
        createdAtMs: NOW_MS,
        maybeReplayed: false,
        settlement,
        replyTo,
      });
    control.fresh = false;
    upsert(nextTicket());
    await rest(300);
    expect(answers()).toEqual([]);
    control.fresh = true;
    await rest(300);
    settlement.active = false;
    upsert(nextTicket());
    await rest(300);
    expect(answers().map(({ type }) => type)).toEqual(['group-upserted', 'person-abandoned']);
    expect(sideRows()).toHaveLength(1);
  });
});

describe('groups', () => {
  it('GU-2, GU-4: ClickHouse is told of a group when it has changed, or when somebody may have died before ClickHouse knew', async () => {
    const { ref, rest, settlement, nextTicket, replyTo, sideRows, answers } = setUp();
    const tell = async (set: Record<string, unknown>, maybeReplayed = false): Promise<void> => {
      const group = { teamId: TEAM, groupTypeIndex: 0, groupKey: 'g', set, createdAtMs: NOW_MS, maybeReplayed };
      ref.tell({ type: 'upsert-group', ticket: nextTicket(), ...group, settlement, replyTo });
      await rest();
    };
    await tell({ seats: 1 });
    await tell({ seats: '1' });
    expect(sideRows().map((row) => 'version' in row && row.version)).toEqual([1]);
    await tell({ seats: 1 }, true);
    await tell({ seats: 2 });
    expect(sideRows().map((row) => 'version' in row && row.version)).toEqual([1, 1, 2]);
    expect(answers()).toHaveLength(4);
  });
});

describe('merge events', () => {
  const mappingRows = (rows: ReturnType<ReturnType<typeof setUp>['sideRows']>) =>
    rows.flatMap((row) => (row.table === 'person_distinct_id2' ? [[row.distinctId, row.personId, row.version]] : []));

  it.each([
    ['the other id is new', 'known', 'new', 'known'],
    ['the event’s own id is new', 'new', 'known', 'known'],
  ])('%s: the person gets it and is identified', async (_name, into, from, keeps) => {
    const { merge, rest, answerTo, other, person, sideRows } = setUp();
    await other.create([newborn('known')]);
    const ticket = merge(into, from, { update: update({ x: 1 }) });
    await rest();
    expect(answerTo(ticket)).toMatchObject([
      { type: 'person-merged', warning: undefined, person: { id: idOf(keeps), isIdentified: true } },
    ]);
    expect(propertiesOf(await person('new'))).toEqual({ x: 1 });
    expect(mappingRows(sideRows())).toEqual([['new', idOf('known'), 0]]);
  });

  it('M-1: an id that was used without a person gets an override', async () => {
    const { merge, rest, other, sideRows } = setUp();
    await other.create([newborn('known')]);
    await other.markPersonless([{ teamId: TEAM, distinctId: 'anon' }]);
    merge('known', 'anon');
    await rest();
    expect(mappingRows(sideRows())).toEqual([['anon', idOf('known'), 1]]);
  });

  it.each([
    [[], 'into', 0, 0],
    [['into'], 'into', 0, 0],
    [['anon'], 'anon', 0, 0],
    [['into', 'anon'], 'into', 0, 1],
  ] as const)(
    'M-2: nobody exists, %j were used without a person: one person with both',
    async (used, uuidFrom, intoVersion, otherVersion) => {
      const { merge, rest, answerTo, other, sideRows, database } = setUp();
      if (used.length > 0) await other.markPersonless(used.map((distinctId) => ({ teamId: TEAM, distinctId })));
      const ticket = merge('into', 'anon', { update: update({ x: 1 }) });
      await rest();
      expect(answerTo(ticket)).toMatchObject([{ person: { id: idOf(uuidFrom), isIdentified: true, properties: { x: 1 } } }]);
      expect(mappingRows(sideRows())).toEqual([
        ['into', idOf(uuidFrom), intoVersion],
        ['anon', idOf(uuidFrom), otherVersion],
      ]);
      expect([...database.personless.values()]).toEqual([true, true]);
    },
  );

  it('the same person already: only the event’s own update is written', async () => {
    const { merge, rest, operations, other, person } = setUp();
    await other.create([
      newborn('a', {
        distinctIds: [
          { distinctId: 'a', version: 0 },
          { distinctId: 'b', version: 0 },
        ],
        isIdentified: true,
      }),
    ]);
    merge('a', 'b', { update: update({ x: 1 }) });
    await rest();
    expect(operations()).toEqual(['load', 'update']);
    expect(propertiesOf(await person('b'))).toEqual({ x: 1 });
  });

  it('two persons: properties of the survivor win, the earlier birth counts, every mapping moves, and the other is hidden', async () => {
    const { merge, rest, answerTo, other, person, sideRows, database } = setUp();
    await other.create([
      newborn('into', { properties: { both: 'into', into: 1 }, createdAtMs: NOW_MS }),
      newborn('anon', {
        properties: { both: 'anon', anon: 1 },
        createdAtMs: NOW_MS - 5_000,
        distinctIds: [
          { distinctId: 'anon', version: 0 },
          { distinctId: 'anon2', version: 3 },
        ],
      }),
    ]);
    await other.update([{ person: { ...(await person('anon')) }, version: 0 }]);
    const gone = await person('anon');
    const ticket = merge('into', 'anon', { update: update({ event: 1 }) });
    await rest();
    expect(answerTo(ticket)).toMatchObject([
      {
        person: {
          id: idOf('into'),
          createdAtMs: NOW_MS - 5_000,
          isIdentified: true,
          properties: { both: 'into', into: 1, anon: 1, event: 1 },
        },
      },
    ]);
    expect(database.persons.size).toBe(1);
    expect(mappingRows(sideRows())).toEqual([
      ['anon', idOf('into'), 1],
      ['anon2', idOf('into'), 4],
    ]);
    expect(sideRows().filter((row) => row.table === 'person')).toMatchObject([
      { id: idOf('into'), isDeleted: false, version: 2 },
      { id: idOf('anon'), isDeleted: true, version: gone.version + 100 },
    ]);
  });

  it.each([
    ['$identify', 'cannot_merge_already_identified', 2],
    ['$merge_dangerously', undefined, 1],
  ] as const)('%s of somebody who is identified already', async (eventName, warning, persons) => {
    const { merge, rest, answerTo, other, database } = setUp();
    await other.create([newborn('into'), newborn('other', { isIdentified: true })]);
    const ticket = merge('into', 'other', { eventName });
    await rest();
    expect(answerTo(ticket)).toMatchObject([{ type: 'person-merged', person: { id: idOf('into'), isIdentified: true } }]);
    expect((answerTo(ticket)[0] as { warning?: { type: string } }).warning?.type).toBe(warning);
    expect(database.persons.size).toBe(persons);
  });

  it('an illegal id: the event’s own person is made, not identified, with a warning', async () => {
    const { merge, rest, answerTo, database } = setUp();
    const ticket = merge('into', 'undefined', { update: update({ x: 1 }) });
    await rest();
    expect(answerTo(ticket)).toMatchObject([
      { person: { isIdentified: false, properties: { x: 1 } }, warning: { type: 'cannot_merge_with_illegal_distinct_id' } },
    ]);
    expect([...database.mappings.keys()]).toEqual(['1:into']);
  });

  it('M1: merges of one round that share a person are done one after another; the others together', async () => {
    const { merge, rest, answers, operations, other, database } = setUp();
    await other.create([newborn('u')]);
    merge('u', 'anon1');
    merge('u', 'anon2');
    merge('anon2', 'anon3');
    merge('x', 'y');
    await rest();
    expect(answers().map(({ type }) => type)).toEqual(Array.from({ length: 4 }, () => 'person-merged'));
    expect(operations().filter((operation) => operation === 'load')).toHaveLength(3);
    const rowOf = (id: string): string | undefined => database.mappings.get(`1:${id}`)?.rowId;
    expect(new Set(['u', 'anon1', 'anon2', 'anon3'].map(rowOf)).size).toBe(1);
    expect(rowOf('x')).toBe(rowOf('y'));
    expect(database.persons.size).toBe(2);
  });

  it('M2: somebody writes to one of the persons meanwhile: the merge is decided anew, and their write is kept', async () => {
    let done = false;
    const { merge, rest, answers, other, person } = setUp({
      async arrive({ operation }) {
        if (operation !== 'merge' || done) return;
        done = true;
        const seen = await person('anon');
        await other.update([{ person: { ...seen, properties: { late: 1 } }, version: seen.version }]);
      },
    });
    await other.create([newborn('into', { properties: { into: 1 }, isIdentified: true }), newborn('anon')]);
    const ended: unknown[] = [];
    onTestFinished(observe('person-merge-ended', (fact) => ended.push(fact)));
    merge('into', 'anon');
    await rest();
    expect(answers()).toMatchObject([{ type: 'person-merged' }]);
    expect(propertiesOf(await person('anon'))).toEqual({ into: 1, late: 1 });
    // M-6
    const pair = { call: '$identify', oldPersonIdentified: false, newPersonIdentified: true };
    expect(ended).toEqual([
      { ...pair, result: 'conflict' },
      { ...pair, result: 'merged' },
    ]);
  });

  it('M2: two processes add the same id at once: the second finds the same person', async () => {
    let done = false;
    const { merge, rest, answers, other, person, database } = setUp({
      async arrive({ operation }) {
        if (operation !== 'addDistinctIds' || done) return;
        done = true;
        await other.addDistinctIds([{ person: await person('u'), distinctId: 'anon' }]);
      },
    });
    await other.create([newborn('u')]);
    merge('u', 'anon', { update: update({ x: 1 }) });
    await rest();
    expect(answers()).toMatchObject([{ type: 'person-merged', person: { properties: { x: 1 } } }]);
    expect(database.persons.size).toBe(1);
  });

  it('M4: a replayed merge tells ClickHouse of every id that it moved, and hides every person that went', async () => {
    const { merge, rest, other, person, sideRows } = setUp();
    const two = ['anon', 'anon2'].map((distinctId) => ({ distinctId, version: 0 }));
    await other.create([newborn('into'), newborn('anon2', { distinctIds: two })]);
    // The previous owner's merge, of which ClickHouse has heard nothing.
    await other.merge({ teamId: TEAM, into: await person('into'), from: await person('anon'), properties: {}, createdAtMs: NOW_MS });
    merge('into', 'anon', { maybeReplayed: true });
    await rest();
    expect(mappingRows(sideRows())).toEqual(
      expect.arrayContaining([
        ['into', idOf('into'), 0],
        ['anon', idOf('into'), 1],
        ['anon2', idOf('into'), 1],
      ]),
    );
    const hidden = sideRows().flatMap((row) => (row.table === 'person' && row.isDeleted ? [row.id] : []));
    expect(hidden).toContain(idOf('anon2'));
    expect(hidden).not.toContain(idOf('into'));
  });

  it('M3: a merge that PostgreSQL refuses costs itself', async () => {
    const { merge, rest, answers } = setUp({
      arrive({ operation, input }) {
        if (operation === 'create' && (input as NewPerson[]).some(({ properties }) => 'poison' in properties))
          throw new PostgresError('refused', 'no');
        if (operation === 'update' && (input as PersonWrite[]).some((write) => 'poison' in write.person.properties))
          throw new PostgresError('refused', 'no');
      },
    });
    merge('a', 'b', { update: update({ poison: 1 }) });
    merge('c', 'd');
    await rest();
    expect(
      answers()
        .toSorted((a, b) => a.ticket - b.ticket)
        .map(({ type }) => type),
    ).toEqual(['person-refused', 'person-merged']);
  });
});

describe('P-39', () => {
  it('P-39: a merge event counts the keys that its own update has changed, once it is stored', async () => {
    const counted: unknown[] = [];
    onTestFinished(observe('person-property-keys-counted', ({ counts }) => counted.push(counts)));
    const { merge, other, rest } = setUp();
    await other.create([newborn('into', { properties: { $browser: 'A', a: 1 } }), newborn('from', { properties: { b: 1 } })]);
    merge('into', 'from', { update: update({ $browser: 'B', a: 1, c: 1, d: 2 }, { eventName: '$identify', unset: ['b'] }) });
    await rest();
    merge('into', 'unused', { update: update({ c: 1 }, { eventName: '$identify', setOnce: { $geoip_city_name: 'X' } }) });
    await rest(1_000);
    expect(counted).toEqual([{ $browser: 1, other: 1, geoIP: 1 }]);
  });
});

describe('Z-3', () => {
  it('Z-3: a merge of two persons that are too much together says so, and stores what fits', async () => {
    const { merge, other, rest, answers, person } = setUp();
    const half = 'x'.repeat(400_000);
    await other.create([newborn('into', { properties: { a: half } }), newborn('from', { properties: { b: `${half}x` } })]);
    merge('into', 'from');
    await rest();
    expect(answers()).toMatchObject([{ type: 'person-merged', limited: 'trimmed', person: { version: 1 } }]);
    expect(propertiesOf(await person('from'))).toEqual({ a: half });
  });

  it('Z-3: of a refused update the mapping and the identification stay', async () => {
    const { merge, other, rest, answers, person } = setUp();
    const most = 'x'.repeat(655_000);
    await other.create([newborn('into', { properties: { a: most } })]);
    merge('into', 'unused', { update: update({ b: 'x'.repeat(1_000) }, { eventName: '$identify' }) });
    await rest();
    expect(answers()).toMatchObject([{ type: 'person-merged', limited: 'refused', person: { isIdentified: true } }]);
    expect(propertiesOf(await person('unused'))).toEqual({ a: most });
  });
});

describe('drain', () => {
  it('waits for what lingers and what is under way', async () => {
    const written = gate();
    const { write, ref, rest, system } = setUp(
      { answer: ({ operation }) => (operation === 'create' ? written.promise : undefined) },
      { lingerMs: 60_000 },
    );
    const drained = probe<{ readonly type: 'drained' }>();
    write('a', [update({ x: 1 })]);
    ref.tell({ type: 'drain', replyTo: drained });
    await settle(system);
    expect(drained.messages).toEqual([]);
    written.open();
    await rest();
    expect(drained.messages).toEqual([{ type: 'drained' }]);
    ref.tell({ type: 'drain', replyTo: drained });
    await rest();
    expect(drained.messages).toHaveLength(2);
  });
});
