import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noDefinitions, PARENT, type Definitions, type EventSeen, type PropertySeen } from '../../src/domain/definitions.ts';
import type { PostgresClient } from '../../src/postgres/client.ts';
import { createDefinitionStore } from '../../src/postgres/definition-store.ts';
import { ensureSchema } from '../../src/postgres/migrate.ts';
import { seedTeam } from '../../src/postgres/seed.ts';
import { createTeamStore } from '../../src/postgres/team-store.ts';
import { posthogSchema, posthogTeams, type PostHogShape } from '../kit/posthog-schema.ts';
import { requireService } from '../services/availability.ts';
import { type PostgresKind, probePostgres, startPostgres, type TestPostgres } from '../services/postgres.ts';

const HOUR_MS = Date.UTC(2026, 0, 1, 12);
const LATER_MS = HOUR_MS + 3_600_000;
const of = (parts: Partial<Definitions>): Definitions => ({ ...noDefinitions(), ...parts });
const event = (name: string, parts: Partial<EventSeen> = {}): Definitions =>
  of({ events: [{ teamId: 1, name, hourMs: HOUR_MS, ...parts }] });
const property = (name: string, parts: Partial<PropertySeen> = {}): Definitions =>
  of({
    properties: [{ teamId: 1, name, parent: PARENT.event, groupTypeIndex: undefined, propertyType: undefined, ...parts }],
  });

const PLACES: readonly { readonly kind: PostgresKind; readonly shape: PostHogShape | 'own' }[] = [
  { kind: 'embedded', shape: 'own' },
  { kind: 'embedded', shape: '2024-10' },
  { kind: 'embedded', shape: 'by-project' },
  { kind: 'debian', shape: 'own' },
];

for (const { kind, shape } of PLACES) {
  const service = await requireService(`postgres (${kind})`, () => probePostgres(kind));
  describe.skipIf(!service.available)(`DefinitionStore on PostgreSQL (${kind}), tables: ${shape}`, () => {
    let server: TestPostgres;
    let client: PostgresClient;
    beforeAll(async () => {
      server = await startPostgres(kind);
      client = server.client();
      if (shape !== 'own') {
        await client.script('test-posthog', posthogSchema(shape));
        await client.script('test-teams', posthogTeams(['phc_1', 'phc_2']));
      }
      await ensureSchema(client, { migrate: false });
      if (shape === 'own') for (const token of ['phc_1', 'phc_2']) await seedTeam(client, { token });
    });
    afterAll(() => server.stop());

    const rows = (text: string) => client.run<Record<string, unknown>>({ name: `test-${text.length}-${text.slice(-20)}`, text }, []);
    const events = () =>
      rows(`SELECT team_id::int4 AS team, name, (extract(epoch FROM last_seen_at) * 1000)::float8 AS at, created_at IS NOT NULL AS born
            FROM posthog_eventdefinition ORDER BY team_id, name`);
    const properties = () =>
      rows(`SELECT name, type::int4 AS parent, group_type_index::int4 AS index, property_type AS type, is_numerical AS numerical
            FROM posthog_propertydefinition WHERE team_id = 1 ORDER BY 1, 2, 3`);

    it('D-2: an event is inserted once; last_seen_at moves on and never back', async () => {
      const store = createDefinitionStore(client);
      await store.write(event('click'));
      await store.write(event('click', { hourMs: LATER_MS }));
      await store.write(event('click'));
      await store.write(event('click', { teamId: 2 }));
      expect(await events()).toEqual([
        { team: 1, name: 'click', at: LATER_MS, born: true },
        { team: 2, name: 'click', at: HOUR_MS, born: true },
      ]);
    });

    it('D-3: property_type is filled where it is NULL and otherwise stays; is_numerical goes with it', async () => {
      const store = createDefinitionStore(client);
      await store.write(property('a'));
      await store.write(property('a', { propertyType: 'Numeric' }));
      await store.write(property('a', { propertyType: 'String' }));
      await store.write(property('b', { propertyType: 'DateTime' }));
      await store.write(property('b'));
      expect((await properties()).filter(({ name }) => name === 'a' || name === 'b')).toEqual([
        { name: 'a', parent: 1, index: null, type: 'Numeric', numerical: true },
        { name: 'b', parent: 1, index: null, type: 'DateTime', numerical: false },
      ]);
    });

    it('D-3, D-4: one name is another property for each parent and each group type', async () => {
      const store = createDefinitionStore(client);
      for (let times = 0; times < 2; times++) {
        await store.write(property('x', { propertyType: 'String' }));
        await store.write(property('x', { parent: PARENT.person, propertyType: 'Boolean' }));
        await store.write(property('x', { parent: PARENT.group, groupTypeIndex: 0 }));
        await store.write(property('x', { parent: PARENT.group, groupTypeIndex: 4, propertyType: 'Numeric' }));
      }
      expect((await properties()).filter(({ name }) => name === 'x').map(({ parent, index, type }) => [parent, index, type])).toEqual([
        [1, null, 'String'],
        [2, null, 'Boolean'],
        [3, 0, null],
        [3, 4, 'Numeric'],
      ]);
    });

    it('D-2: an event property is there once', async () => {
      const store = createDefinitionStore(client);
      const seen = of({
        eventProperties: [
          { teamId: 1, event: 'click', property: 'a' },
          { teamId: 1, event: 'click', property: 'b' },
          { teamId: 1, event: 'click', property: 'a' },
        ],
      });
      await store.write(seen);
      await store.write(seen);
      expect(await rows('SELECT event, property FROM posthog_eventproperty ORDER BY property')).toEqual([
        { event: 'click', property: 'a' },
        { event: 'click', property: 'b' },
      ]);
    });

    it('D-8: a team that is gone, and names that no column can hold as they are, harm nobody', async () => {
      const store = createDefinitionStore(client);
      const odd = ['gone', 'nul\0', 'half \uD800'];
      await store.write(
        of({
          events: odd.map((name, at) => ({ teamId: at === 0 ? 999 : 1, name, hourMs: HOUR_MS })),
          properties: odd.flatMap((name) => property(name).properties),
        }),
      );
      expect((await events()).map(({ name }) => name).filter((name) => name !== 'click')).toEqual(['half \uFFFD', 'nul\uFFFD']);
    });

    it('many writers of the same names at once end with one of each', async () => {
      const stores = [server.client(), server.client(), server.client()].map((one) => createDefinitionStore(one));
      const names = Array.from({ length: 50 }, (_, at) => `race-${at}`);
      await Promise.all(
        stores.map((store, index) => {
          const mine = index % 2 === 0 ? names : names.toReversed();
          return store.write(
            of({
              events: mine.map((name) => ({ teamId: 2, name, hourMs: HOUR_MS + index * 3_600_000 })),
              properties: mine.flatMap((name) => property(name, { propertyType: 'String' }).properties),
              eventProperties: mine.map((name) => ({ teamId: 2, event: name, property: name })),
            }),
          );
        }),
      );
      const count = async (table: string, column: string): Promise<unknown> =>
        (await rows(`SELECT count(*)::int4 AS n FROM ${table} WHERE ${column} LIKE 'race-%'`))[0]?.['n'];
      expect([
        await count('posthog_eventdefinition', 'name'),
        await count('posthog_propertydefinition', 'name'),
        await count('posthog_eventproperty', 'event'),
      ]).toEqual([50, 50, 50]);
    });

    it('F-1: marks a team ingested; repeating it changes nothing', async () => {
      const store = createDefinitionStore(client);
      await rows('UPDATE posthog_team SET ingested_event = false');
      await store.markIngested([1, 999]);
      await store.markIngested([1]);
      await store.markIngested([]);
      expect((await createTeamStore(client).byId([1, 2])).map((team) => team?.ingestedEvent)).toEqual([true, false]);
    });

    it('T-8, H-2: a team has the younger settings where its table has their columns, and their defaults elsewhere', async () => {
      await rows('UPDATE posthog_team SET heatmaps_opt_in = false WHERE id = 2');
      const isNewer = shape === 'by-project';
      if (isNewer)
        await rows(`UPDATE posthog_team SET person_processing_opt_out = true, drop_events_older_than = '1 day 1 hour' WHERE id = 2`);
      const [first, second] = await createTeamStore(client).byId([1, 2]);
      expect([first?.heatmapsOptIn, first?.personProcessingOptOut, first?.dropEventsOlderThanS]).toEqual([true, false, undefined]);
      expect([second?.heatmapsOptIn, second?.personProcessingOptOut, second?.dropEventsOlderThanS]).toEqual([
        false,
        isNewer,
        isNewer ? 90_000 : undefined,
      ]);
    });
  });
}
