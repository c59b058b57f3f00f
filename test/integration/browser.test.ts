import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTeam } from '../../src/postgres/seed.ts';
import { MAY_BE_LOST, visit, type Visit } from '../kit/browser-visit.ts';
import { servePages } from '../kit/posthog-page.ts';
import { recordingsOf, snapshotItems } from '../kit/recordings.ts';
import { eventsOn } from '../kit/wire-events.ts';
import { requireService } from '../services/availability.ts';
import { probeBrowser, startBrowser } from '../services/browser.ts';
import { readTopic } from '../services/read-topic.ts';
import { requireSurroundings, startSurroundings, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';
import { startWire, type Exchange } from '../services/wire.ts';

const LIMIT_MS = 60_000;
const here = await requireSurroundings();
const chromium = await requireService('chromium', probeBrowser);

/** The wire generations of spec/capture.md 13.2, each from the package as it was published. */
const GENERATIONS = [
  { name: '1.96', folder: 'posthog-js-1-96', build: 'snippet', catchesErrors: false },
  { name: '1.240', folder: 'posthog-js-1-240', build: 'snippet', catchesErrors: true },
  { name: '1.300', folder: 'posthog-js-1-300', build: 'snippet', catchesErrors: true },
  { name: 'current', folder: 'posthog-js', build: 'snippet', catchesErrors: true },
  { name: 'current, as a module', folder: 'posthog-js', build: 'module', catchesErrors: true },
] as const;
type Generation = (typeof GENERATIONS)[number];

/** All that a site can switch on by itself. What a generation does not know it ignores. */
const SETTINGS = {
  enable_heatmaps: true,
  capture_heatmaps: true,
  capture_dead_clicks: true,
  capture_performance: { web_vitals: true, network_timing: true },
  capture_exceptions: true,
  disable_web_experiments: false,
};

/** No rows: recordings are PostHog's to store, heatmaps go to a table of their own. */
const NOT_ROWS = new Set(['$snapshot', '$$heatmap']);

interface Row {
  readonly uuid: string;
  readonly event: string;
  readonly distinct_id: string;
  /** After merges, as a query would count it. */
  readonly person: string;
  readonly at: string;
  readonly properties: string;
  readonly _topic: string;
  readonly _partition: string;
  readonly _offset: string;
}

const ROWS = `
  SELECT uuid, event, distinct_id, properties, _topic, _partition, _offset, toUnixTimestamp64Milli(timestamp) AS at,
         if(o.person != toUUID('00000000-0000-0000-0000-000000000000'), o.person, e.person_id) AS person
  FROM events AS e
  LEFT JOIN (SELECT distinct_id, argMax(person_id, version) AS person FROM person_distinct_id_overrides WHERE team_id = {team:Int64} GROUP BY distinct_id) AS o
    ON e.distinct_id = o.distinct_id
  WHERE e.team_id = {team:Int64}`;

/** A generation's visit, and what came of it. */
interface Outcome extends Visit {
  readonly team: number;
  readonly token: string;
  readonly exchanges: readonly Exchange[];
  readonly rows: readonly Row[];
}

/** spec/capture.md 13.2, 14: the unmodified posthog-js in a real browser, on pages of another origin, against a whole Troupe. */
describe.skipIf(!here.available || !chromium.available)('posthog-js in Chromium', () => {
  let surroundings: Surroundings;
  let browser: Browser;
  const troupes: TroupeProcess[] = [];
  const outcomes = new Map<string, Outcome>();

  /** One process has the scripts of one generation: one ingests, and each generation has a capture of its own. */
  async function play({ name, folder, build }: Generation): Promise<void> {
    const token = `phc_${name.replaceAll(/\W+/g, '_')}`;
    const team = await seedTeam(surroundings.sql, { token });
    const capture = await startTroupe({
      env: {
        ...surroundings.env,
        PLUGIN_SERVER_MODE: 'capture',
        TROUPE_CAPTURE_RECORDINGS: 'true',
        TROUPE_CAPTURE_STATIC_DIR: join(import.meta.dirname, '../../node_modules', folder, 'dist'),
      },
    });
    troupes.push(capture);
    const wire = await startWire(capture.urls.capture);
    const pages = await servePages({ captureUrl: wire.url, token, build, settings: SETTINGS });
    const visited = await visit({ browser, pages, wire });
    let rows: readonly Row[] = [];
    let missing: readonly string[] = [];
    await until(
      async () => {
        rows = await surroundings.rows.query<Row>(ROWS, { team });
        const stored = new Set(rows.map(({ uuid }) => uuid));
        missing = wire.exchanges.flatMap(eventsOn).flatMap(({ event, uuid }) => (NOT_ROWS.has(event) || stored.has(uuid) ? [] : [event]));
        return missing.length === 0;
      },
      'everything that was sent has its row',
      LIMIT_MS,
    ).catch((error: unknown) => {
      throw new Error(`${name}: sent, and without a row: ${missing.join(', ')}`, { cause: error });
    });
    outcomes.set(name, { ...visited, team, token, exchanges: wire.exchanges, rows });
    await pages.stop();
    await wire.stop();
  }

  beforeAll(async () => {
    surroundings = await startSurroundings();
    troupes.push(await startTroupe({ env: { ...surroundings.env, TROUPE_CAPTURE_ENABLED: 'false' } }));
    browser = await startBrowser();
    await Promise.all(GENERATIONS.map(play));
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all(troupes.map((troupe) => troupe.kill()));
    await surroundings?.stop();
  });

  describe.each(GENERATIONS)('$name', ({ name, catchesErrors }) => {
    const outcome = (): Outcome => {
      const found = outcomes.get(name);
      if (found === undefined) throw new Error(`${name} was not played`);
      return found;
    };
    const rowOf = (event: string): { readonly distinct_id: string; readonly properties: Record<string, unknown> } => {
      const [row, ...more] = outcome().rows.filter((one) => one.event === event);
      if (row === undefined || more.length > 0) throw new Error(`${more.length + (row ? 1 : 0)} rows of ${event}`);
      return { distinct_id: row.distinct_id, properties: JSON.parse(row.properties) as Record<string, unknown> };
    };

    test('everything that it captures is sent once and is one row, to the last event of a closing window', () => {
      const { captured, rows, exchanges } = outcome();
      const names = new Set(captured.map(({ event }) => event));
      for (const event of ['$pageview', '$autocapture', '$pageleave', 'bought', '$identify', '$groupidentify', '$create_alias', '$set'])
        expect(names).toContain(event);
      for (const event of ['painted', '$exception', 'last words', 'while leaving', 'while closing', '$snapshot'])
        expect(names).toContain(event);
      const lines = (events: readonly { readonly event: string; readonly uuid: string }[]): string[] =>
        events.map(({ event, uuid }) => `${event} ${uuid}`).toSorted();
      const sent = exchanges.flatMap(eventsOn);
      expect(lines(sent.filter(({ event }) => event !== MAY_BE_LOST))).toEqual(
        lines(captured.filter(({ event }) => event !== MAY_BE_LOST)),
      );
      expect(lines(captured)).toEqual(expect.arrayContaining(lines(sent)));
      expect(lines(rows)).toEqual(lines(sent.filter(({ event }) => !NOT_ROWS.has(event))));
    });

    test('what it sends while the page goes comes by sendBeacon, and is answered 200, or 204 where it asks for that', () => {
      const carrier = outcome().exchanges.find((one) => eventsOn(one).some(({ event }) => event === 'while closing'));
      expect(carrier?.headers['sec-fetch-mode']).toBe('no-cors');
      for (const { url, status } of outcome().exchanges)
        expect([url, status]).toEqual([url, new URL(url, 'http://x').searchParams.get('beacon') === '1' ? 204 : 200]);
    });

    test('14: no preflight, no retry, no request that fails, nothing in the console, no error but the planted one', () => {
      const { exchanges, complaints, errors } = outcome();
      expect(exchanges.filter(({ method }) => method === 'OPTIONS').map(({ url }) => url)).toEqual([]);
      expect(exchanges.filter(({ url }) => url.includes('retry_count')).map(({ url }) => url)).toEqual([]);
      expect(complaints).toEqual([]);
      expect(errors).toEqual(['planted']);
    });

    test('14: it takes the configuration: it sends to its endpoints, compressed, and loads the scripts of its own version', () => {
      const { exchanges } = outcome();
      const configured = exchanges.filter(({ url }) => /^\/(i\/v0\/e|s)\//.test(url));
      expect(configured.length).toBeGreaterThan(4);
      for (const { url, body } of configured) expect([url, body.subarray(0, 2).toString('hex')]).toEqual([url, '1f8b']);
      expect(exchanges.filter(({ url, status }) => url.startsWith('/static/') && status === 200).length).toBeGreaterThan(1);
    });

    test('I3: rows of an id are in the order in which they were sent, and have the time of the browser', () => {
      const { exchanges, rows, captured } = outcome();
      const place = new Map(rows.map((row) => [row.uuid, row]));
      const requests = exchanges.map((one) => ({ one, rows: eventsOn(one).flatMap(({ uuid }) => place.get(uuid) ?? []) }));
      let compared = 0;
      const inOrder = (before: Row, after: Row): void => {
        if (before.distinct_id !== after.distinct_id || before._topic !== after._topic) return;
        compared++;
        expect([before.event, after.event, before._partition]).toEqual([before.event, after.event, after._partition]);
        expect(Number(before._offset), `${before.event} before ${after.event}`).toBeLessThan(Number(after._offset));
      };
      for (const { one, rows: own } of requests) {
        for (const [index, row] of own.entries()) for (const later of own.slice(index + 1)) inOrder(row, later);
        for (const other of requests) {
          if (one.answeredMs >= other.one.cameMs) continue; // on their way at the same time: either order is right
          for (const row of own) for (const later of other.rows) inOrder(row, later);
        }
      }
      expect(compared).toBeGreaterThan(20);
      for (const { uuid, atMs, event } of captured) {
        const row = place.get(uuid);
        if (row !== undefined) expect(Math.abs(Number(row.at) - atMs), `${event}: ms off`).toBeLessThan(2_000);
      }
    });

    test('the anonymous visitor, the identified one and the alias are one person, with the properties of all', async () => {
      const { rows, team, captured } = outcome();
      const persons = await surroundings.sql.run<{ uuid: string; properties: Record<string, unknown>; ids: string[] }>(
        {
          name: 'test-browser-person',
          text: `SELECT p.uuid, p.properties, array_agg(d.distinct_id) AS ids
                 FROM posthog_person p JOIN posthog_persondistinctid d ON d.person_id = p.id WHERE p.team_id = $1 GROUP BY p.id`,
        },
        [team],
      );
      expect(persons).toHaveLength(1);
      const [person] = persons;
      const anonymous = captured[0]?.distinctId ?? '';
      expect(anonymous).toMatch(/^[0-9a-f-]{36}$/);
      expect(person?.ids.toSorted()).toEqual([anonymous, 'ann', 'ann-crm'].toSorted());
      expect(person?.properties).toMatchObject({ plan: 'pro', first: 1, vip: true, since: 2026, colour: 'red' });
      expect(new Set(rows.map((row) => row.distinct_id))).toEqual(new Set([anonymous, 'ann']));
      expect(new Set(rows.map((row) => row.person))).toEqual(new Set([person?.uuid]));
    });

    test('a group is a group: its properties, and the events that belong to it', async () => {
      const groups = await surroundings.sql.run<{ group_key: string; group_properties: unknown }>(
        { name: 'test-browser-group', text: 'SELECT group_key, group_properties FROM posthog_group WHERE team_id = $1' },
        [outcome().team],
      );
      expect(groups).toMatchObject([{ group_key: 'acme', group_properties: { seats: 5 } }]);
      const shown = 'SELECT group_key, group_properties FROM groups FINAL WHERE team_id = {team:Int64}';
      const rows = await surroundings.rows.query<{ group_key: string; group_properties: string }>(shown, { team: outcome().team });
      expect(rows.map((row) => `${row.group_key} ${row.group_properties}`)).toEqual(['acme {"seats":5}']);
      expect(rowOf('painted').properties).toMatchObject({ $groups: { company: 'acme' }, $group_0: 'acme' });
      expect(rowOf('bought').properties).not.toHaveProperty('$group_0');
    });

    test('a click, an exception and where it happened are told in full', () => {
      const { rows } = outcome();
      const elements = rows.filter(({ event }) => event === '$autocapture').map(({ properties }) => JSON.parse(properties) as object);
      expect(elements).toContainEqual(expect.objectContaining({ $event_type: 'click', $el_text: 'Buy' }));
      const exceptions = rows.filter(({ event }) => event === '$exception').map(({ properties }) => properties);
      expect(exceptions.filter((text) => text.includes('caught here'))).toHaveLength(1);
      expect(exceptions.filter((text) => text.includes('planted'))).toHaveLength(catchesErrors ? 1 : 0);
      expect(rowOf('bought').properties).toMatchObject({ price: 3, $lib: 'web', $host: expect.stringMatching(/^localhost:/) as unknown });
      const sessions = new Set(rows.map(({ properties }) => (JSON.parse(properties) as { $session_id?: string }).$session_id));
      expect(sessions.size).toBe(1);
    });

    test('14: flags, surveys and features in early access are empty sets that it takes for an answer', () => {
      const { told, exchanges } = outcome();
      expect(told).toEqual({ flags: [], surveys: [], early: [] });
      const asked = exchanges.map(({ url }) => url.split('?')[0]);
      expect(asked).toEqual(expect.arrayContaining(['/api/surveys/', '/api/early_access_features/']));
      expect(asked.some((path) => path === '/flags/' || path === '/decide/')).toBe(true);
    });

    test('6.7: the recording is in Kafka, item by item as it was sent, under its session', async () => {
      const { token, exchanges, rows } = outcome();
      const connection = { brokers: surroundings.kafka.brokers(), clientId: 'test' };
      const records = await readTopic(connection, surroundings.admin, 'session_recording_snapshot_item_events', LIMIT_MS);
      const recordings = recordingsOf(records, token);
      const { $session_id: session } = JSON.parse(rows[0]?.properties ?? '{}') as { $session_id: string };
      expect(new Set(recordings.map(({ key }) => key))).toEqual(new Set([session]));
      const sent = exchanges.flatMap((one) => eventsOn(one)).filter(({ event }) => event === '$snapshot');
      expect(
        recordings
          .flatMap(({ items }) => items)
          .map((item) => JSON.stringify(item))
          .toSorted(),
      ).toEqual(
        sent
          .flatMap(snapshotItems)
          .map((item) => JSON.stringify(item))
          .toSorted(),
      );
      // rrweb's own shape: what the page is (4), and a whole picture of it (2) with its text, packed or not.
      const items = recordings.flatMap(({ items: own }) => own);
      expect(items.map(({ type }) => type)).toEqual(expect.arrayContaining([4, 2]));
      const pictures = items.filter(({ type }) => type === 2).map(({ data }) => JSON.stringify(data));
      expect(pictures.join()).toContain('Shop');
    });
  });
});
