import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { personId, teamId } from '../../src/domain/ids.ts';
import type { PostgresClient, Statement } from '../../src/postgres/client.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { createPersonStore } from '../../src/postgres/person-store.ts';
import type { NewPerson, PersonStore } from '../../src/postgres/port.ts';
import { requireService } from '../services/availability.ts';
import { probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const sql = (name: string, text: string): Statement => ({ name: `test-${name}`, text });
const insertMapping = sql(
  'insert-mapping',
  `WITH p AS (INSERT INTO posthog_person (team_id, uuid, created_at) VALUES ($1::int4, gen_random_uuid(), now()) RETURNING id)
   INSERT INTO posthog_persondistinctid (team_id, distinct_id, person_id, version) SELECT $1::int4, $2::text, id, 0 FROM p`,
);
const insertPersonless = sql(
  'insert-personless',
  `INSERT INTO posthog_personlessdistinctid (team_id, distinct_id, is_merged) VALUES ($1::int4, $2::text, true)`,
);
const waiting = sql('waiting', `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`);
const countPersons = sql('count', `SELECT count(*)::int4 AS persons FROM posthog_person WHERE team_id = $1::int4`);

const service = await requireService('postgres (embedded)', () => probePostgres('embedded'));

/** Races that luck seldom hits, made certain: the other side holds its transaction open until ours waits for it. */
describe.skipIf(!service.available)('PersonStore against another open transaction', () => {
  let server: TestPostgres;
  let client: PostgresClient;
  let store: PersonStore;
  let team = teamId(0);
  beforeAll(async () => {
    server = await startPostgres('embedded');
    client = server.client();
    await ensureSchema(client, { migrate: false });
    store = createPersonStore(server.client());
  });
  afterAll(() => server.stop());

  const person = (...distinctIds: string[]): NewPerson => ({
    teamId: team,
    id: personId(crypto.randomUUID()),
    createdAtMs: 0,
    properties: {},
    propertiesLastUpdatedAt: {},
    propertiesLastOperation: {},
    isIdentified: false,
    distinctIds: distinctIds.map((distinctId) => ({ distinctId, version: 0 })),
  });
  const somebodyWaits = async (): Promise<void> => {
    await expect.poll(async () => (await client.run(waiting, [])).length, { interval: 5, timeout: 10_000 }).toBeGreaterThan(0);
  };
  /** Runs `ours` while the transaction of `theirs` is open, and commits it once ours waits. */
  const during = async <T>(theirs: Statement, parameters: readonly (string | number)[], ours: () => Promise<T>): Promise<T> => {
    const { promise } = await client.transaction('test-theirs', async (transaction) => {
      await transaction.run(theirs, parameters);
      const promise = ours();
      await somebodyWaits();
      return { promise };
    });
    return promise;
  };

  it('I1: a person that loses one of its distinct ids to a faster process is taken back whole, and the others stay', async () => {
    team = teamId(1);
    const results = await during(insertMapping, [team, 'held'], () =>
      store.create([person('alone'), person('free', 'held'), person('later')]),
    );
    expect(results.map((result) => result.type)).toEqual(['created', 'exists', 'created']);
    expect(await store.load([{ teamId: team, distinctId: 'free' }])).toEqual([undefined]);
    // alone, later, and the faster process's own
    expect(await client.run(countPersons, [team])).toEqual([{ persons: 3 }]);
  });

  it('I1: a distinct id that a faster process maps is not added', async () => {
    team = teamId(2);
    const [made] = await store.create([person('a')]);
    if (made?.type !== 'created') throw new Error('expected a person');
    const adds = ['held', 'free'].map((distinctId) => ({ person: made.person, distinctId }));
    const results = await during(insertMapping, [team, 'held'], () => store.addDistinctIds(adds));
    expect(results).toEqual([{ type: 'exists' }, { type: 'added', version: 0 }]);
  });

  it('Q-1: an id that becomes merged while it is noted as personless is reported merged', async () => {
    team = teamId(3);
    const keys = ['held', 'free'].map((distinctId) => ({ teamId: team, distinctId }));
    const results = await during(insertPersonless, [team, 'held'], () => store.markPersonless(keys));
    expect(results).toEqual([{ isMerged: true }, { isMerged: false }]);
  });

  it('M-1: an id that becomes noted while it is marked merged is reported as noted before', async () => {
    team = teamId(4);
    const keys = ['held', 'free'].map((distinctId) => ({ teamId: team, distinctId }));
    const results = await during(insertPersonless, [team, 'held'], () => store.markMerged(keys));
    expect(results).toEqual([{ existed: true }, { existed: false }]);
  });
});
