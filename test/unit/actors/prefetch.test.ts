import { describe, expect, test } from 'vitest';
import { createPrefetch } from '../../../actors/person-writer/index.ts';
import { personId, teamId } from '../../../src/domain/ids.ts';
import type { Person } from '../../../src/domain/person.ts';
import { PostgresError, type PersonKey, type PersonStore } from '../../../src/postgres/port.ts';
import { manualClock } from '../../kit/clock.ts';
import { createFakePersonDatabase, createFakePersonStore } from '../../kit/fake-person-store.ts';

const team = teamId(1);
const key = (distinctId: string): PersonKey => ({ teamId: team, distinctId });

/** A prefetch on a fake database, whose loads wait while `control.gate` is set and fail with `control.error`. */
async function setUp({ capacityCount = 100, persons = ['a', 'b'] } = {}) {
  const fake = createFakePersonStore(createFakePersonDatabase());
  const control = { gate: undefined as Promise<void> | undefined, error: undefined as Error | undefined, loads: [] as number[] };
  const store: PersonStore = {
    ...fake,
    async load(keys) {
      control.loads.push(keys.length);
      const found = await fake.load(keys);
      await control.gate;
      if (control.error !== undefined) throw control.error;
      return found;
    },
  };
  for (const name of persons) await create(fake, name);
  return { control, raw: fake, prefetch: createPrefetch({ store, clock: manualClock(), capacityCount }) };
}

async function create(store: PersonStore, name: string): Promise<Person> {
  const [result] = await store.create([
    {
      teamId: team,
      id: personId(`00000000-0000-4000-8000-${name.charCodeAt(0).toString(16).padStart(12, '0')}`),
      createdAtMs: 0,
      properties: { name },
      propertiesLastUpdatedAt: {},
      propertiesLastOperation: {},
      isIdentified: false,
      distinctIds: [{ distinctId: name, version: 0 }],
    },
  ]);
  if (result?.type !== 'created') throw new Error(`${name} exists`);
  return result.person;
}

type Prefetch = Awaited<ReturnType<typeof setUp>>['prefetch'];
async function loaded(prefetch: Prefetch, name: string): Promise<Person> {
  const [found] = await prefetch.store.load([key(name)]);
  if (found === undefined) throw new Error(`nobody is ${name}`);
  return found.person;
}
const plan = (person: Person, value: string): Person => ({ ...person, properties: { ...person.properties, plan: value } });

describe('Persons prefetched for a batch', () => {
  test('a key is known after its prefetch: its person, or null for nobody', async () => {
    const { prefetch } = await setUp();
    await prefetch.prefetch([key('a'), key('nobody')]);
    expect(prefetch.take(1, 'a')?.person.properties).toEqual({ name: 'a' });
    expect(prefetch.take(1, 'nobody')).toBeNull();
    expect(prefetch.take(1, 'b'), 'never asked for').toBeUndefined();
  });

  test('each prefetch of a key answers one take, and leaves nothing behind', async () => {
    const { prefetch } = await setUp();
    await prefetch.prefetch([key('a')]);
    await prefetch.prefetch([key('a'), key('b')]);
    expect(prefetch.take(1, 'a')).toBeDefined();
    expect(prefetch.take(1, 'a')).toBeDefined();
    expect(prefetch.take(1, 'a')).toBeUndefined();
    prefetch.take(1, 'b');
    expect(prefetch.knownCount).toBe(0);
  });

  test('calls that meet a load under way share the next statement', async () => {
    const { control, prefetch } = await setUp();
    const gate = Promise.withResolvers<void>();
    control.gate = gate.promise;
    const all = [prefetch.prefetch([key('a')]), prefetch.prefetch([key('b')]), prefetch.prefetch([key('c'), key('d')])];
    gate.resolve();
    await Promise.all(all);
    expect(control.loads).toEqual([1, 3]);
  });

  test('F1: a write of ours between the load and the take is in the answer, also through another id of the person', async () => {
    const { prefetch } = await setUp();
    const person = await loaded(prefetch, 'a');
    await prefetch.store.addDistinctIds([{ person, distinctId: 'a2' }]);
    await prefetch.prefetch([key('a'), key('a2')]);
    await prefetch.store.update([{ person: plan(person, 'pro'), version: person.version }]);
    for (const id of ['a', 'a2']) {
      expect(prefetch.take(1, id)?.person).toMatchObject({ properties: { plan: 'pro' }, version: person.version + 1 });
    }
  });

  test('F1: an id that was free when it was prefetched and then got its person is unknown', async () => {
    const { prefetch } = await setUp();
    await prefetch.prefetch([key('c')]);
    await create(prefetch.store, 'c');
    expect(prefetch.take(1, 'c')).toBeUndefined();
  });

  test('F1: the persons of a merge are unknown after it', async () => {
    const { prefetch } = await setUp();
    const [into, from] = [await loaded(prefetch, 'a'), await loaded(prefetch, 'b')];
    await prefetch.prefetch([key('a'), key('b')]);
    await prefetch.store.merge({ teamId: team, into, from, properties: {}, createdAtMs: 0 });
    expect([prefetch.take(1, 'a'), prefetch.take(1, 'b')]).toEqual([undefined, undefined]);
  });

  test('F2: what is written while it is being read is not kept', async () => {
    const { control, prefetch } = await setUp();
    const person = await loaded(prefetch, 'a');
    const gate = Promise.withResolvers<void>();
    control.gate = gate.promise;
    const done = prefetch.prefetch([key('a'), key('b'), key('c')]);
    await prefetch.store.update([{ person: plan(person, 'pro'), version: person.version }]);
    await create(prefetch.store, 'c');
    gate.resolve();
    await done;
    expect([prefetch.take(1, 'a'), prefetch.take(1, 'c')]).toEqual([undefined, undefined]);
    expect(prefetch.take(1, 'b')).toBeDefined();
  });

  test('F3: a write that clashed makes its person unknown; one with an unknown end makes all unknown', async () => {
    const { prefetch } = await setUp();
    const person = await loaded(prefetch, 'a');
    await prefetch.prefetch([key('a'), key('b')]);
    await prefetch.store.update([{ person: plan(person, 'pro'), version: person.version + 7 }]);
    expect(prefetch.take(1, 'a')).toBeUndefined();
    expect(prefetch.take(1, 'b')).toBeDefined();

    const lost = new PostgresError('unavailable', 'the answer was lost');
    const failing = createPrefetch({
      store: { ...prefetch.store, update: () => Promise.reject(lost) },
      clock: manualClock(),
      capacityCount: 10,
    });
    await failing.prefetch([key('a'), key('b')]);
    await expect(failing.store.update([{ person, version: 0 }])).rejects.toBe(lost);
    expect([failing.take(1, 'a'), failing.take(1, 'b')]).toEqual([undefined, undefined]);
  });

  test('PostgreSQL away: the prefetch ends and nothing is known; a bug is thrown at whoever waits', async () => {
    const { control, prefetch } = await setUp();
    await prefetch.prefetch([key('a')]);
    control.error = new PostgresError('unavailable', 'away');
    await prefetch.prefetch([key('b')]);
    expect([prefetch.take(1, 'a'), prefetch.take(1, 'b')]).toEqual([undefined, undefined]);
    control.error = new TypeError('a bug');
    await expect(prefetch.prefetch([key('b')])).rejects.toThrow('a bug');
  });

  test('F4: beyond the capacity the oldest goes first', async () => {
    const { prefetch } = await setUp({ capacityCount: 2 });
    await prefetch.prefetch([key('a'), key('b'), key('c')]);
    expect(prefetch.knownCount).toBe(2);
    expect([prefetch.take(1, 'a'), prefetch.take(1, 'b') === undefined, prefetch.take(1, 'c')]).toEqual([undefined, false, null]);
  });

  test('F5: what an actor has loaded by itself is not followed by an older state', async () => {
    const { prefetch, raw } = await setUp();
    await prefetch.prefetch([key('a')]);
    const [stored] = await raw.load([key('a')]);
    if (stored === undefined) throw new Error('a exists');
    await raw.update([{ person: plan(stored.person, 'another process'), version: stored.person.version }]);
    await loaded(prefetch, 'a');
    expect(prefetch.take(1, 'a')?.person).toMatchObject({ version: 1, properties: { plan: 'another process' } });
  });

  test('F5: nor by one that was being read when the actor loaded a newer one', async () => {
    const { prefetch, raw, control } = await setUp();
    const gate = Promise.withResolvers<void>();
    control.gate = gate.promise;
    const prefetching = prefetch.prefetch([key('a')]);
    await new Promise((resolve) => setImmediate(resolve));
    control.gate = undefined;
    const [stored] = await raw.load([key('a')]);
    if (stored === undefined) throw new Error('a exists');
    await raw.update([{ person: plan(stored.person, 'another process'), version: stored.person.version }]);
    expect((await loaded(prefetch, 'a')).version).toBe(1);
    gate.resolve();
    await prefetching;
    expect(prefetch.take(1, 'a')).toBeUndefined();
  });
});
