import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Plant } from '../fault/simulation/simulated-process.ts';
import type { PersonStore } from '../../src/postgres/port.ts';
import { runModelSeed, type ModelViolation } from './run-seed.ts';

/** The bug of the moment; none when undefined. The rules below are the real ones but for it. */
const planted = vi.hoisted(() => ({ bug: undefined as string | undefined }));

vi.mock('../../src/domain/person-fold.ts', async (original) => {
  const real = await original<typeof import('../../src/domain/person-fold.ts')>();
  const latest = new Map<string, Parameters<typeof real.foldPerson>[0]>();
  const foldPerson: typeof real.foldPerson = (person, update) => {
    const { set, setOnce, unset } = update;
    if (planted.bug === '$set_once overwrites') return real.foldPerson(person, { ...update, set: { ...setOnce, ...set } });
    if (planted.bug === '$unset before $set') {
      const first = real.foldPerson(person, { ...update, set: undefined, setOnce: undefined });
      const second = real.foldPerson(first.person, { ...update, unset: undefined });
      return { ...second, changed: first.changed || second.changed };
    }
    if (planted.bug === '$unset is forgotten') return real.foldPerson(person, { ...update, unset: unset === undefined ? unset : [] });
    const folded = real.foldPerson(person, update);
    latest.set(`${folded.person.teamId}:${folded.person.id}`, folded.person);
    return folded;
  };
  const personPropertiesOf: typeof real.personPropertiesOf = (person, set) => {
    if (planted.bug !== 'rows show the person as it is at the end of the batch') return real.personPropertiesOf(person, set);
    return real.personPropertiesOf(latest.get(`${person.teamId}:${person.id}`) ?? person, undefined);
  };
  const foldPersonUpdates: typeof real.foldPersonUpdates = (person, updates) => {
    const folded = updates.reduce((current, update) => foldPerson(current, update).person, person);
    return { person: folded, changed: folded !== person };
  };
  return { ...real, foldPerson, foldPersonUpdates, personPropertiesOf };
});

vi.mock('../../src/domain/merge.ts', async (original) => {
  const real = await original<typeof import('../../src/domain/merge.ts')>();
  const decideMerge: typeof real.decideMerge = (merge) => {
    const decision = real.decideMerge(merge);
    if (planted.bug === 'merge direction swapped' && decision.type === 'merge')
      return { ...decision, into: decision.from, from: decision.into };
    if (planted.bug === 'a refused merge does not identify' && decision.type === 'refused')
      return { type: 'illegal', warning: decision.warning };
    if (planted.bug === 'a refused merge merges' && decision.type === 'refused' && merge.otherPerson !== undefined)
      return { type: 'merge', into: decision.into, from: merge.otherPerson };
    return decision;
  };
  const mergedState: typeof real.mergedState = (into, from, update) => {
    if (planted.bug === 'properties merged the wrong way round')
      return real.mergedState({ ...into, properties: from.properties }, { ...from, properties: into.properties }, update);
    if (planted.bug === 'created_at of the survivor kept') return late(real.mergedState(into, from, update), into.createdAtMs);
    return real.mergedState(into, from, update);
  };
  const late = ({ survivor, folded }: ReturnType<typeof mergedState>, createdAtMs: number): ReturnType<typeof mergedState> => {
    return { survivor, folded: { ...folded, person: { ...folded.person, createdAtMs } } };
  };
  const mappingsOfBoth: typeof real.mappingsOfBoth = (ids) =>
    real.mappingsOfBoth(planted.bug === 'an id used without a person gets no override' ? { ...ids, otherExisted: false } : ids);
  return { ...real, decideMerge, mergedState, mappingsOfBoth };
});

vi.mock('../../src/domain/side-rows.ts', async (original) => {
  const real = await original<typeof import('../../src/domain/side-rows.ts')>();
  const deletedPersonRow: typeof real.deletedPersonRow = (person, version) =>
    planted.bug === 'no tombstone' ? real.personRow(person) : real.deletedPersonRow(person, version);
  return { ...real, deletedPersonRow };
});

vi.mock('../../src/domain/person-properties.ts', async (original) => {
  const real = await original<typeof import('../../src/domain/person-properties.ts')>();
  return { ...real, isVolatile: (key: string) => planted.bug !== 'a volatile value is worth a write' && real.isVolatile(key) };
});

vi.mock('../../src/domain/person-mode.ts', async (original) => {
  const real = await original<typeof import('../../src/domain/person-mode.ts')>();
  const isForceUpgrade: typeof real.isForceUpgrade = (eventMs, createdAtMs) =>
    planted.bug === 'force upgrade without the minute' ? eventMs > createdAtMs : real.isForceUpgrade(eventMs, createdAtMs);
  return { ...real, isForceUpgrade };
});

/** A bug in a port of every process. */
const inPersons =
  (change: (persons: PersonStore) => Partial<PersonStore>): Plant =>
  (deps) => ({ ...deps, persons: { ...deps.persons, ...change(deps.persons) } });

const PORTS: Readonly<Record<string, Plant>> = {
  'an update that met another version is taken for done': inPersons((persons) => ({
    update: async (writes) =>
      (await persons.update(writes)).map((result, index) =>
        result.type === 'conflict' ? { type: 'updated', version: (writes[index]?.version ?? 0) + 1 } : result,
      ),
  })),
  'ClickHouse is told the version before the write': inPersons((persons) => ({
    update: async (writes) =>
      (await persons.update(writes)).map((result) => (result.type === 'updated' ? { ...result, version: result.version - 1 } : result)),
  })),
  'ClickHouse is told of moved ids with their old versions': inPersons((persons) => ({
    merge: async (command) => {
      const result = await persons.merge(command);
      if (result.type !== 'merged') return result;
      return { ...result, moved: result.moved.map((id) => ({ ...id, version: id.version - 1 })) };
    },
  })),
  'a deadlocked merge is taken for done': inPersons((persons) => ({
    merge: (command) =>
      persons.merge(command).catch(() => ({
        type: 'merged' as const,
        person: { ...command.into, properties: command.properties, createdAtMs: command.createdAtMs, isIdentified: true },
        moved: [],
      })),
  })),
};

/** What must break, from which seed on, and within how many. */
const BUGS: readonly (readonly [bug: string, caughtBy: readonly ModelViolation['invariant'][], firstSeed: number, seeds: number])[] = [
  ['$set_once overwrites', ['unexplained'], 1, 3],
  ['$unset before $set', ['unexplained'], 1, 3],
  ['$unset is forgotten', ['unexplained', 'lost-effect'], 1, 3],
  ['rows show the person as it is at the end of the batch', ['unexplained', 'row'], 2, 4],
  ['merge direction swapped', ['unexplained', 'resolve'], 1, 3],
  ['a refused merge does not identify', ['unexplained', 'lost-effect', 'row'], 1, 6],
  ['a refused merge merges', ['unexplained'], 1, 3],
  ['properties merged the wrong way round', ['unexplained'], 1, 4],
  ['created_at of the survivor kept', ['unexplained'], 3, 4],
  ['an id used without a person gets no override', ['unexplained', 'resolve'], 27, 20],
  ['no tombstone', ['person-rows'], 2, 3],
  ['a volatile value is worth a write', ['unexplained'], 1, 3],
  ['force upgrade without the minute', ['row', 'unexplained'], 2, 10],
  ['an update that met another version is taken for done', ['lost-effect', 'unexplained', 'person-rows', 'row'], 2, 4],
  ['ClickHouse is told the version before the write', ['person-rows'], 1, 3],
  ['ClickHouse is told of moved ids with their old versions', ['mapping-rows', 'resolve'], 1, 3],
  ['a deadlocked merge is taken for done', ['lost-effect', 'unexplained', 'resolve', 'row'], 6, 10],
];

/** Each bug alone, seed after seed until it is caught: the model must be able to fail, and for the right reason. */
describe('the person model catches', () => {
  afterEach(() => (planted.bug = undefined));

  it.each(BUGS)('%s', async (bug, caughtBy, firstSeed, seeds) => {
    planted.bug = bug;
    let broken: readonly string[] = [];
    let seed = firstSeed - 1;
    while (seed + 1 < firstSeed + seeds && !broken.some((invariant) => (caughtBy as readonly string[]).includes(invariant))) {
      const { violations } = await runModelSeed(++seed, { plant: PORTS[bug], isAnalysedInShort: true });
      broken = violations.map(({ invariant }) => invariant);
    }
    expect(broken, `not caught within ${seeds} seeds`).toEqual(expect.arrayContaining([expect.stringMatching(caughtBy.join('|'))]));
    console.info(`${bug}: caught at seed ${seed} by ${[...new Set(broken)].join(', ')}`);
  });
});
