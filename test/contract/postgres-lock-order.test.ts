import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { runMergeRound } from '../../actors/person-writer/merge-round.ts';
import type { MergeRequest } from '../../actors/person-writer/merge-request.ts';
import type { RoundDeps } from '../../actors/person-writer/write-round.ts';
import { personId, teamId, type TeamId } from '../../src/domain/ids.ts';
import { observe } from '../../src/observe/facts.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import { PostgresError, type PersonStore } from '../../src/postgres/port.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { seededRandom } from '../kit/clock.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));
const random = seededRandom(Number(process.env['SEED'] ?? 1));

/** The order that docs/delivery.md section 10 states, held against PostgreSQL's own deadlock detector. */
describe.skipIf(!service.available)('locks of two processes', () => {
  let server: TestPostgres;
  let stores: readonly PersonStore[];
  beforeAll(async () => {
    server = await startPostgres('embedded');
    await ensureSchema(server.client(), { migrate: false });
    stores = [createPersonStore(server.client()), createPersonStore(server.client())];
  });
  afterAll(() => server.stop());

  /** Statements that PostgreSQL has undone because of a deadlock, by name; READ COMMITTED knows no other reason to run one again. */
  const deadlocks = (): readonly string[] => {
    const seen: string[] = [];
    onTestFinished(observe('postgres-transaction-retried', ({ statement }) => seen.push(statement)));
    return seen;
  };
  const storeOf = (process: number): PersonStore => stores[process % 2] as PersonStore;
  const create = async (team: TeamId, distinctIds: readonly string[]): Promise<void> => {
    const about = { propertiesLastUpdatedAt: {}, propertiesLastOperation: {}, isIdentified: false, createdAtMs: 0 };
    const persons = distinctIds.map((distinctId) => ({
      ...{ teamId: team, id: personId(crypto.randomUUID()), properties: { from: distinctId }, ...about },
      distinctIds: [{ distinctId, version: 0 }],
    }));
    await storeOf(0).create(persons);
  };
  const load = async (team: TeamId, distinctIds: readonly string[]) => {
    const found = await storeOf(0).load(distinctIds.map((distinctId) => ({ teamId: team, distinctId })));
    return found.map((one, index) => {
      if (one === undefined) throw new Error(`${distinctIds[index]} has no person`);
      return one.person;
    });
  };

  /** As a process's person writer does it: a round of merge events, decided anew until each holds. */
  const mergeRound = (process: number, team: TeamId, pairs: readonly (readonly [into: string, other: string])[]): Promise<void> => {
    const deps: RoundDeps = {
      store: storeOf(process),
      patience: {
        ...{ clock: systemClock, random, minMs: 5, maxMs: 50, givenUp: () => false },
        passing: (error) => error instanceof PostgresError && error.kind === 'unavailable',
      },
      sideRows: () => undefined,
      changed: () => undefined,
      counts: { created: 0, updated: 0, merged: 0, conflicts: 0 },
    };
    const requests = pairs.map(([into, other]): MergeRequest => {
      const eventName = '$merge_dangerously';
      const update = { eventName, set: { [`${into}<${other}`]: 1 }, setOnce: undefined, unset: undefined, isIdentified: false };
      const birth = { createdAtMs: 0, eventUuid: 'u' };
      return {
        command: { teamId: team, into, other, eventName, update, birth, maybeReplayed: false },
        standing: () => 'ours',
        answer: ({ type }) => expect(type).toBe('merged'),
      };
    });
    return runMergeRound(deps, requests);
  };

  it.each([
    ['of two persons', 1, ['a', 'b']],
    ['of a person and an unused id', 2, ['a']],
    ['of two unused ids', 3, []],
  ] as const)(
    'I4: 300 pairs %s, each merged in both directions at once by two processes: no deadlock, one person each',
    async (_, id, known) => {
      const team = teamId(id);
      const retried = deadlocks();
      const names = Array.from({ length: 300 }, (_, n) => n);
      await create(
        team,
        names.flatMap((n) => known.map((side) => `${side}${n}`)),
      );
      const chunks = Array.from({ length: 30 }, (_, n) => names.slice(n * 10, n * 10 + 10));
      const forth = (chunk: readonly number[]) => chunk.map((n) => [`a${n}`, `b${n}`] as const);
      const back = (chunk: readonly number[]) => chunk.toReversed().map((n) => [`b${n}`, `a${n}`] as const);
      await Promise.all(chunks.flatMap((chunk) => [mergeRound(0, team, forth(chunk)), mergeRound(1, team, back(chunk))]));
      const ofA = await load(
        team,
        names.map((n) => `a${n}`),
      );
      const ofB = await load(
        team,
        names.map((n) => `b${n}`),
      );
      for (const n of names) {
        expect(ofA[n]).toEqual(ofB[n]);
        // both events took effect, whichever came first
        expect(ofA[n]?.properties).toMatchObject({ [`a${n}<b${n}`]: 1, [`b${n}<a${n}`]: 1 });
      }
      expect(retried).toEqual([]);
    },
  );

  it('I4: merges, updates and added ids of one crowd of persons, from two processes, in any order: no deadlock, and every effect is there', async () => {
    const team = teamId(4);
    const retried = deadlocks();
    const ids = Array.from({ length: 60 }, (_, n) => `p${n}`);
    await create(team, ids);
    /** Who belongs together, by the merges asked for. */
    const groups = new Map(ids.map((id) => [id, new Set([id])]));
    const unite = (a: string, b: string): void => {
      const all = new Set([...(groups.get(a) ?? [a]), ...(groups.get(b) ?? [b])]);
      for (const id of all) groups.set(id, all);
    };
    const expected = new Map<string, string>();
    const shuffled = (): string[] => {
      const placed = ids.map((id) => [random.next(), id] as const).sort(([a], [b]) => a - b);
      return placed.map(([, id]) => id);
    };

    const mergesOf = async (process: number): Promise<void> => {
      for (let round = 0; round < 12; round++) {
        const pairs = Array.from({ length: 4 }, (_, n): [string, string] => {
          const other = n === 0 ? `new-${process}-${round}` : random.pick(ids);
          return [random.pick(ids), other];
        }).filter(([into, other]) => into !== other);
        for (const [into, other] of pairs) {
          unite(into, other);
          expected.set(`${into}<${other}`, into);
        }
        await mergeRound(process, team, pairs);
      }
    };
    const updatesOf = async (process: number): Promise<void> => {
      for (let round = 0; round < 25; round++) {
        const persons = new Map((await load(team, shuffled())).map((person) => [person.rowId, person]));
        const key = `u${process}-${round}`;
        const writes = [...persons.values()].map((person) => ({
          person: { ...person, properties: { ...person.properties, [key]: 1 } },
          version: person.version,
        }));
        const results = await storeOf(process).update(writes);
        results.forEach((result, index) => {
          const [id] = ids.filter((one) => writes[index]?.person.properties['from'] === one);
          if (result.type === 'updated' && id !== undefined) expected.set(key, id);
        });
      }
    };
    await Promise.all([mergesOf(0), mergesOf(1), mergesOf(2), mergesOf(3), updatesOf(0), updatesOf(1), updatesOf(2), updatesOf(3)]);

    const all = [...groups.keys()];
    const persons = new Map((await load(team, all)).map((person, index) => [all[index], person]));
    for (const [id, together] of groups) {
      expect(new Set([...together].map((one) => persons.get(one)?.rowId)).size, id).toBe(1);
    }
    expect(new Set([...persons.values()].map(({ rowId }) => rowId)).size).toBe(new Set(groups.values()).size);
    for (const [key, id] of expected) expect(persons.get(id)?.properties, `${key} of ${id}`).toHaveProperty([key]);
    expect(retried).toEqual([]);
  });
});
