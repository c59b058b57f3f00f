import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '../../src/domain/event.ts';
import { personId, type TeamId, teamId } from '../../src/domain/ids.ts';
import type { Person } from '../../src/domain/person.ts';
import type { FoundPerson, NewPerson, PersonStore } from '../../src/postgres/port.ts';

export interface PersonStoreUnderTest {
  /** Two stores on one database, as two processes have. */
  readonly stores: readonly [PersonStore, PersonStore];
  /** Persons of a team, and how many of them no distinct id leads to. */
  countPersons(team: TeamId): Promise<{ readonly persons: number; readonly orphans: number }>;
  close(): Promise<void>;
}

/** What every PersonStore must do, the fake one included. I1-I4: src/postgres/person-store.ts. */
export function describePersonStore(name: string, make: () => Promise<PersonStoreUnderTest>): void {
  describe(`PersonStore: ${name}`, () => {
    let underTest: PersonStoreUnderTest;
    let store: PersonStore;
    let other: PersonStore;
    let team: TeamId;
    let teams = 0;
    beforeAll(async () => {
      underTest = await make();
      [store, other] = underTest.stores;
    });
    afterAll(() => underTest.close());

    /** Every test has a team of its own. */
    const test = (title: string, body: () => Promise<void>): void =>
      void it(title, async () => {
        team = teamId(++teams);
        await body();
      });

    const newPerson = (distinctIds: string | readonly string[], properties: Json = {}): NewPerson => {
      const ids = typeof distinctIds === 'string' ? [distinctIds] : distinctIds;
      return {
        teamId: team,
        id: personId(uuidOf(`${team}:${ids[0] ?? ''}`)),
        createdAtMs: 1_700_000_000_123,
        properties,
        propertiesLastUpdatedAt: {},
        propertiesLastOperation: {},
        isIdentified: false,
        distinctIds: ids.map((distinctId) => ({ distinctId, version: 0 })),
      };
    };
    const created = async (distinctIds: string | readonly string[], properties: Json = {}): Promise<Person> => {
      const [result] = await store.create([newPerson(distinctIds, properties)]);
      if (result?.type !== 'created') throw new Error(`expected a new person, got ${result?.type}`);
      return result.person;
    };
    const load = async (distinctId: string): Promise<FoundPerson | undefined> => (await store.load([{ teamId: team, distinctId }]))[0];
    const key = (distinctId: string): { teamId: TeamId; distinctId: string } => ({ teamId: team, distinctId });

    describe('load and create', () => {
      test('a created person is loaded as it was given, by each of its distinct ids', async () => {
        const person = await created(['a', 'b'], { name: 'Ada', nested: { list: [1, 'two', null] }, n: 1.5 });
        expect(await store.load([key('b'), key('nobody'), key('a'), key('b')])).toEqual([
          { person, mappingVersion: 0 },
          undefined,
          { person, mappingVersion: 0 },
          { person, mappingVersion: 0 },
        ]);
        expect(person).toMatchObject({ version: 0, isIdentified: false, createdAtMs: 1_700_000_000_123, teamId: team });
        expect(person.id).toBe(uuidOf(`${team}:a`));
      });

      test('of many keys each is answered in its place, whatever characters its person holds', async () => {
        const ids = Array.from({ length: 200 }, (_, index) => `p${index}`);
        const made = await store.create(ids.map((id) => newPerson(id, { id, ['\u0001']: `\u0002${id}\u0001` })));
        const keys = ids.flatMap((id) => [key(id), key(`nobody-${id}`)]).reverse();
        const found = await store.load(keys);
        expect(found).toHaveLength(400);
        keys.forEach((one, index) => {
          const result = made[ids.indexOf(one.distinctId)];
          expect(found[index]).toEqual(result?.type === 'created' ? { person: result.person, mappingVersion: 0 } : undefined);
        });
      });

      test('an empty batch is answered with nothing', async () => {
        expect(await store.load([])).toEqual([]);
        expect(await store.create([])).toEqual([]);
        expect(await store.update([])).toEqual([]);
        expect(await store.addDistinctIds([])).toEqual([]);
        expect(await store.markMerged([])).toEqual([]);
        expect(await store.markPersonless([])).toEqual([]);
      });

      test('one distinct id in two teams is two persons', async () => {
        const mine = await created('same', { team: 1 });
        const before = team;
        team = teamId(++teams);
        const theirs = await created('same', { team: 2 });
        expect(theirs.id).not.toBe(mine.id);
        expect((await store.load([{ teamId: before, distinctId: 'same' }]))[0]?.person.properties).toEqual({ team: 1 });
      });

      test('a clash costs the clashing person alone', async () => {
        await created('taken', { first: true });
        const results = await store.create([newPerson('x'), newPerson(['y', 'taken']), newPerson('z')]);
        expect(results.map((result) => result.type)).toEqual(['created', 'exists', 'created']);
        expect(await load('y')).toBeUndefined();
        expect((await load('taken'))?.person.properties).toEqual({ first: true });
        expect(await underTest.countPersons(team)).toEqual({ persons: 3, orphans: 0 });
      });

      test('of two persons with a common distinct id in one batch, the first is made', async () => {
        const results = await store.create([newPerson(['p', 'q']), newPerson(['q', 'r']), newPerson('p')]);
        expect(results.map((result) => result.type)).toEqual(['created', 'exists', 'exists']);
        expect(await load('r')).toBeUndefined();
      });

      test('I3: a creation repeated after a lost answer makes nothing more', async () => {
        const person = newPerson(['l', 'm'], { once: true });
        await store.create([person]);
        expect(await store.create([person])).toEqual([{ type: 'exists' }]);
        expect(await underTest.countPersons(team)).toEqual({ persons: 1, orphans: 0 });
      });

      test('I1: two stores that create the same distinct ids at once make one person each, and no orphan', async () => {
        const ids = Array.from({ length: 40 }, (_, index) => `d${index}`);
        const mine = store.create(ids.map((id) => newPerson(id, { by: 'store' })));
        // in the opposite order, and in pairs, so that some persons lose a part of their distinct ids to the other store
        const theirs = other.create(
          ids
            .filter((_, index) => index % 2 === 0)
            .reverse()
            .map((id) => newPerson([`${id}-extra`, id], { by: 'other' })),
        );
        const made = [...(await mine), ...(await theirs)].filter((result) => result.type === 'created').length;
        const found = await store.load(ids.map(key));
        expect(found.every((person) => person !== undefined)).toBe(true);
        expect(await underTest.countPersons(team)).toEqual({ persons: made, orphans: 0 });
        expect(made).toBe(ids.length);
      });

      test('a distinct id that does not fit is refused, and its batch writes nothing', async () => {
        await expect(store.create([newPerson('fits'), newPerson('x'.repeat(401))])).rejects.toMatchObject({
          name: 'PostgresError',
          kind: 'refused',
        });
        expect(await load('fits')).toBeUndefined();
      });
    });

    describe('text that PostgreSQL cannot hold', () => {
      test('Z-1: null bytes become U+FFFD, in distinct ids and anywhere in properties', async () => {
        await created('nul\0id', { 'ke\0y': ['a\0b', { deep: '\0' }] });
        expect((await load('nul\0id'))?.person.properties).toEqual({ 'ke\uFFFDy': ['a\uFFFDb', { deep: '\uFFFD' }] });
        expect((await load('nul\uFFFDid'))?.person.properties).toEqual((await load('nul\0id'))?.person.properties);
      });

      test('lone surrogates become U+FFFD, pairs and escaped backslashes stay', async () => {
        await created('lone\uD83Did', { a: 'x\uD83Dy', b: '\uDE00', pair: '\u{1F600}', slashes: '\\uD83D \\\\' });
        const found = await load('lone\uD83Did');
        expect(found?.person.properties).toEqual({ a: 'x\uFFFDy', b: '\uFFFD', pair: '\u{1F600}', slashes: '\\uD83D \\\\' });
        expect((await load('lone\uFFFDid'))?.person.rowId).toBe(found?.person.rowId);
      });

      test('quotes, braces, commas and NULL, which text arrays give a meaning, stay as they are', async () => {
        for (const id of ['NULL', '{a,b}', '"quoted"', "it's", '\\', ' ', 'ключ', '\u0001', '\u0002', 'a\nb']) {
          const person = await created(id, { id });
          expect((await load(id))?.person).toEqual(person);
        }
      });
    });

    describe('update', () => {
      test('writes the whole person on top of the version it was folded from', async () => {
        const person = await created('u', { a: 1, gone: true });
        const next = { ...person, properties: { a: 2, b: 'new' }, isIdentified: true };
        expect(await store.update([{ person: next, version: 0 }])).toEqual([{ type: 'updated', version: 1 }]);
        expect((await load('u'))?.person).toEqual({ ...next, version: 1 });
      });

      test('I2, I3: an update repeated after a lost answer is a conflict and changes nothing', async () => {
        const person = await created('u');
        const write = { person: { ...person, properties: { n: 1 } }, version: 0 };
        await store.update([write]);
        expect(await store.update([write])).toEqual([{ type: 'conflict' }]);
        expect((await load('u'))?.person.version).toBe(1);
      });

      test('I2: of two concurrent updates from one version one is written, person by person', async () => {
        const persons: Person[] = [];
        for (let index = 0; index < 20; index++) persons.push(await created(`c${index}`));
        const writes = (by: string): { person: Person; version: number }[] =>
          persons.map((person) => ({ person: { ...person, properties: { by } }, version: 0 }));
        const [mine, theirs] = await Promise.all([store.update(writes('store')), other.update(writes('other').reverse())]);
        const theirsInOrder = [...theirs].reverse();
        const found = await store.load(persons.map((_, index) => key(`c${index}`)));
        persons.forEach((_, index) => {
          expect([mine[index]?.type, theirsInOrder[index]?.type].sort()).toEqual(['conflict', 'updated']);
          expect(found[index]?.person).toMatchObject({
            version: 1,
            properties: { by: mine[index]?.type === 'updated' ? 'store' : 'other' },
          });
        });
      });

      test('of two writes for one person in one batch the first is written', async () => {
        const person = await created('u');
        const write = (n: number): { person: Person; version: number } => ({ person: { ...person, properties: { n } }, version: 0 });
        expect((await store.update([write(1), write(2)])).map((result) => result.type)).toEqual(['updated', 'conflict']);
        expect((await load('u'))?.person.properties).toEqual({ n: 1 });
      });

      test('a row of another team is not touched', async () => {
        const person = await created('u');
        const foreign = { ...person, teamId: teamId(999_999), properties: { stolen: true } };
        expect(await store.update([{ person: foreign, version: 0 }])).toEqual([{ type: 'conflict' }]);
        expect((await load('u'))?.person.properties).toEqual({});
      });
    });

    describe('distinct ids', () => {
      test('M-1: an added distinct id has version 0, or 1 when it was used personless before', async () => {
        const person = await created('a');
        await store.markPersonless([key('anonymous')]);
        const adds = ['fresh', 'anonymous'].map((distinctId) => ({ person, distinctId }));
        expect(await store.addDistinctIds(adds)).toEqual([
          { type: 'added', version: 0 },
          { type: 'added', version: 1 },
        ]);
        expect(await load('anonymous')).toMatchObject({ mappingVersion: 1, person: { rowId: person.rowId } });
        expect(await load('fresh')).toMatchObject({ mappingVersion: 0, person: { rowId: person.rowId } });
      });

      test('I3: adding again after a lost answer changes nothing', async () => {
        const adds = [{ person: await created('a'), distinctId: 'b' }];
        await store.addDistinctIds(adds);
        expect(await store.addDistinctIds(adds)).toEqual([{ type: 'exists' }]);
        expect((await load('b'))?.mappingVersion).toBe(0);
      });

      test('a person that is gone, or of another team, is a conflict, and the others are added', async () => {
        const [into, from] = [await created('into'), await created('from')];
        await store.merge({ teamId: team, into, from, properties: {}, createdAtMs: 0 });
        const foreign = { ...into, teamId: teamId(999_999) };
        const adds = [
          { person: from, distinctId: 'x' },
          { person: into, distinctId: 'y' },
          { person: foreign, distinctId: 'z' },
          { person: into, distinctId: 'from' },
        ];
        expect((await store.addDistinctIds(adds)).map((result) => result.type)).toEqual(['conflict', 'added', 'conflict', 'exists']);
        expect(await load('x')).toBeUndefined();
      });

      test('I1: a distinct id added to two persons at once belongs to one of them', async () => {
        const [a, b] = [await created('a'), await created('b')];
        const ids = Array.from({ length: 20 }, (_, index) => `n${index}`);
        const [mine, theirs] = await Promise.all([
          store.addDistinctIds(ids.map((distinctId) => ({ person: a, distinctId }))),
          other.addDistinctIds([...ids].reverse().map((distinctId) => ({ person: b, distinctId }))),
        ]);
        const added = [...mine, ...theirs].filter((result) => result.type === 'added');
        expect(added).toHaveLength(ids.length);
        expect((await store.load(ids.map(key))).every((found) => found !== undefined)).toBe(true);
      });

      test('Q-1: markPersonless says what is merged, and notes each id once', async () => {
        expect(await store.markPersonless([key('p'), key('q'), key('p')])).toEqual([
          { isMerged: false },
          { isMerged: false },
          { isMerged: false },
        ]);
        await store.markMerged([key('q')]);
        expect(await store.markPersonless([key('q'), key('p')])).toEqual([{ isMerged: true }, { isMerged: false }]);
      });

      test('M-1: markMerged says which ids were noted before', async () => {
        await store.markPersonless([key('p')]);
        expect(await store.markMerged([key('p'), key('new'), key('new')])).toEqual([
          { existed: true },
          { existed: false },
          { existed: false },
        ]);
        expect(await store.markMerged([key('p'), key('new')])).toEqual([{ existed: true }, { existed: true }]);
        expect(await store.markPersonless([key('new')])).toEqual([{ isMerged: true }]);
      });

      test('an id marked personless and merged at once is merged for whoever looks after', async () => {
        const keys = Array.from({ length: 30 }, (_, index) => key(`r${index}`));
        await Promise.all([store.markPersonless(keys), other.markMerged([...keys].reverse())]);
        expect((await store.markPersonless(keys)).every(({ isMerged }) => isMerged)).toBe(true);
      });
    });

    describe('merge', () => {
      const pair = async (): Promise<[Person, Person]> => {
        const into = await created(['i1', 'i2'], { a: 1 });
        const from = await created(['f1', 'f2'], { b: 2 });
        const [result] = await store.update([{ person: from, version: 0 }]);
        return [into, { ...from, version: result?.type === 'updated' ? result.version : NaN }];
      };

      test('M-3: moves the distinct ids, keeps the survivor, and its version is above both', async () => {
        const [into, from] = await pair();
        const result = await store.merge({ teamId: team, into, from, properties: { a: 1, b: 2 }, createdAtMs: 1_600_000_000_000 });
        const person = { ...into, properties: { a: 1, b: 2 }, createdAtMs: 1_600_000_000_000, isIdentified: true, version: 2 };
        expect(result).toEqual({
          type: 'merged',
          person,
          moved: [
            { distinctId: 'f1', version: 1 },
            { distinctId: 'f2', version: 1 },
          ],
        });
        for (const id of ['i1', 'f1', 'f2']) expect((await load(id))?.person).toEqual(person);
        expect((await load('f1'))?.mappingVersion).toBe(1);
        expect(await underTest.countPersons(team)).toEqual({ persons: 1, orphans: 0 });
      });

      test('I3: a merge repeated after a lost answer is a conflict, and then both ids lead to one person', async () => {
        const [into, from] = await pair();
        const command = { teamId: team, into, from, properties: {}, createdAtMs: 0 };
        await store.merge(command);
        expect(await store.merge(command)).toEqual({ type: 'conflict' });
        expect((await load('f1'))?.person).toMatchObject({ rowId: into.rowId, version: 2 });
        expect((await load('f1'))?.mappingVersion).toBe(1);
      });

      test('movedDistinctIds: what merges brought to a person, and nothing of anybody else', async () => {
        const [into, from] = await pair();
        await store.merge({ teamId: team, into, from, properties: {}, createdAtMs: 0 });
        const alone = await created('alone');
        expect(await store.movedDistinctIds([alone, into])).toEqual([
          [],
          [
            { distinctId: 'f1', version: 1 },
            { distinctId: 'f2', version: 1 },
          ],
        ]);
        expect(await store.movedDistinctIds([{ ...into, teamId: teamId(team + 1_000) }])).toEqual([[]]);
        expect(await store.movedDistinctIds([])).toEqual([]);
      });

      test('I2: a merge folded from an older state of either person is a conflict and does nothing', async () => {
        const [into, from] = await pair();
        for (const stale of [
          { into, from: { ...from, version: 0 } },
          { into: { ...into, version: 7 }, from },
        ]) {
          expect(await store.merge({ teamId: team, ...stale, properties: { wrong: true }, createdAtMs: 0 })).toEqual({ type: 'conflict' });
        }
        expect((await load('f1'))?.person).toEqual(from);
        expect((await load('i1'))?.person).toEqual(into);
      });

      test('I2: a merge and an update of the person that goes: one of them is a conflict', async () => {
        for (let round = 0; round < 10; round++) {
          const [into, from] = [await created(`into${round}`), await created(`from${round}`, { before: true })];
          const [merged, [updated]] = await Promise.all([
            store.merge({ teamId: team, into, from, properties: { merged: true }, createdAtMs: 0 }),
            other.update([{ person: { ...from, properties: { late: true } }, version: 0 }]),
          ]);
          expect([merged.type, updated?.type]).toEqual(merged.type === 'merged' ? ['merged', 'conflict'] : ['conflict', 'updated']);
          expect((await load(`from${round}`))?.person.properties).toEqual(merged.type === 'merged' ? { merged: true } : { late: true });
        }
      });

      test('I4: crossed merges, a into b while b into a, end with one person', async () => {
        for (let round = 0; round < 10; round++) {
          const [a, b] = [await created(`a${round}`), await created(`b${round}`)];
          const results = await Promise.all([
            store.merge({ teamId: team, into: a, from: b, properties: {}, createdAtMs: 0 }),
            other.merge({ teamId: team, into: b, from: a, properties: {}, createdAtMs: 0 }),
          ]);
          expect(results.map((result) => result.type).sort()).toEqual(['conflict', 'merged']);
          expect((await load(`a${round}`))?.person.rowId).toBe((await load(`b${round}`))?.person.rowId);
        }
        expect(await underTest.countPersons(team)).toEqual({ persons: 10, orphans: 0 });
      });

      test('I1: a distinct id added to a person while it is merged away is not lost', async () => {
        for (let round = 0; round < 10; round++) {
          const [into, from] = [await created(`into${round}`), await created(`from${round}`)];
          const [merged, [added]] = await Promise.all([
            store.merge({ teamId: team, into, from, properties: {}, createdAtMs: 0 }),
            other.addDistinctIds([{ person: from, distinctId: `late${round}` }]),
          ]);
          expect(merged.type).toBe('merged');
          const found = await load(`late${round}`);
          expect(found?.person.rowId).toBe(added?.type === 'added' ? into.rowId : undefined);
        }
        expect((await underTest.countPersons(team)).orphans).toBe(0);
      });

      test('batches of updates over persons that are merged meanwhile neither hang nor lose a write', async () => {
        const persons: Person[] = [];
        for (let index = 0; index < 12; index++) persons.push(await created(`s${index}`));
        const all = persons.map((person) => ({ person: { ...person, properties: { updated: true } }, version: 0 }));
        const merges = [0, 2, 4, 6, 8, 10].map((index) => {
          const [into, from] = [persons[index + 1], persons[index]];
          if (into === undefined || from === undefined) throw new Error('twelve persons were made');
          return other.merge({ teamId: team, into, from, properties: { merged: true }, createdAtMs: 0 });
        });
        const [updates, ...results] = await Promise.all([store.update(all), ...merges]);
        results.forEach((result, pairIndex) => {
          const both = [updates[pairIndex * 2]?.type, updates[pairIndex * 2 + 1]?.type];
          expect(both).toEqual(result.type === 'merged' ? ['conflict', 'conflict'] : expect.arrayContaining(['updated']));
        });
      });
    });
  });
}

/** Any function from text to uuid will do here; the real rule P-1 is the domain's. */
function uuidOf(text: string): string {
  const hex = Buffer.from(text).toString('hex').padStart(32, '0').slice(-32);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
