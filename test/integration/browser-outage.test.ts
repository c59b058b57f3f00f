import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seedTeam } from '../../src/postgres/seed.ts';
import { CAPTURED, servePages, type Captured, type Pages } from '../kit/posthog-page.ts';
import { eventsOn } from '../kit/wire-events.ts';
import { requireService } from '../services/availability.ts';
import { probeBrowser, startBrowser } from '../services/browser.ts';
import { requireSurroundings, startSurroundings, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';
import { startWire, type Exchange, type Wire } from '../services/wire.ts';

const LIMIT_MS = 60_000;
const TOKEN = 'phc_outage';
const here = await requireSurroundings();
const chromium = await requireService('chromium', probeBrowser);

/** spec/capture.md 8, 13.2: a visitor of a page with the current posthog-js when answers are lost, and while Kafka is away. */
describe.skipIf(!here.available || !chromium.available)('posthog-js in Chromium on a bad day', () => {
  let surroundings: Surroundings;
  let ingestion: TroupeProcess;
  let capture: TroupeProcess;
  let browser: Browser;
  let wire: Wire;
  let pages: Pages;
  let page: Page;

  beforeAll(async () => {
    surroundings = await startSurroundings();
    await seedTeam(surroundings.sql, { token: TOKEN });
    const { env } = surroundings;
    ingestion = await startTroupe({ env: { ...env, TROUPE_CAPTURE_ENABLED: 'false' } });
    capture = await startTroupe({
      env: {
        ...env,
        PLUGIN_SERVER_MODE: 'capture',
        TROUPE_SPILL_MAX_BYTES: String(1 << 20),
        TROUPE_CAPTURE_DEDUPE_MS: String(LIMIT_MS),
        TROUPE_CAPTURE_STATIC_DIR: join(import.meta.dirname, '../../node_modules/posthog-js/dist'),
      },
    });
    wire = await startWire(capture.urls.capture);
    pages = await servePages({ captureUrl: wire.url, token: TOKEN });
    browser = await startBrowser();
    page = await browser.newPage();
    await page.goto(pages.origin);
    await until(() => carriersOf('$pageview').length > 0, 'the page view is sent', LIMIT_MS);
  });
  afterAll(async () => {
    await browser?.close();
    await pages?.stop();
    await wire?.stop();
    await Promise.all([capture?.kill(), ingestion?.kill()]);
    await surroundings?.stop();
  });

  /** The requests that an event was sent with. */
  const carriersOf = (name: string): readonly Exchange[] =>
    wire.exchanges.filter((one) => eventsOn(one).some(({ event }) => event === name));

  async function captured(name: string): Promise<Exchange> {
    await page.evaluate(`void posthog.capture(${JSON.stringify(name)}, {}, { send_instantly: true })`);
    await until(() => carriersOf(name).length > 0, `${name} is answered`, LIMIT_MS);
    const [first] = carriersOf(name);
    if (first === undefined) throw new Error('it was there');
    return first;
  }

  /** Sends under a token that nobody has until capture has no place left. */
  async function fillSpill(): Promise<void> {
    for (const length of [400_000, 100_000, 10_000, 1_000, 10]) {
      let status = 200;
      for (let sent = 0; status === 200; sent++) {
        if (sent > 200) throw new Error('the spill takes everything');
        const body = JSON.stringify({ api_key: 'phc_nobody', event: 'filler', distinct_id: 'x', properties: { text: 'x'.repeat(length) } });
        ({ status } = await fetch(`${capture.urls.capture}/e/`, { method: 'POST', body }));
      }
      expect(status).toBe(503);
    }
  }

  /** Waits until every event that posthog-js captured has a row, and none has two. `FINAL` takes the copies of a uuid together. */
  async function allStored(table: 'events' | 'events FINAL'): Promise<void> {
    const due = (await page.evaluate<Captured[]>(CAPTURED)).map(({ uuid, event }) => `${event} ${uuid}`).toSorted();
    let rows: readonly { readonly uuid: string; readonly event: string }[] = [];
    await until(
      async () => {
        rows = await surroundings.rows.query(`SELECT uuid, event FROM ${table}`);
        return rows.length >= due.length;
      },
      'every event has a row',
      LIMIT_MS,
    );
    expect(rows.map(({ uuid, event }) => `${event} ${uuid}`).toSorted()).toEqual(due);
  }

  test('13.2: an answer that is lost makes it send again, with the same uuid; known events are left out, so each is one row', async () => {
    wire.loseAnswers(true);
    const first = await captured('unheard');
    expect([first.status, first.isLost]).toEqual([200, true]);
    wire.loseAnswers(false);
    // By posthog-js some seconds later, or at once by Chromium, which tries a connection that broke once more.
    await until(() => carriersOf('unheard').some(({ isLost }) => !isLost), 'it is sent again', LIMIT_MS);
    expect(carriersOf('unheard').map(({ status }) => status)).toEqual(carriersOf('unheard').map(() => 200));
    expect(await capture.metric('capture_events_dropped_total', 'cause="duplicate"')).toBe(carriersOf('unheard').length - 1);
    await captured('heard');
    await allStored('events');
  });

  test('8: it notices nothing of it as long as the spill takes its events; then it is told 503 and sends again: each is one row', async () => {
    const [broker] = surroundings.kafka.nodes;
    await broker?.kill();
    expect((await captured('spilled')).status).toBe(200);
    await fillSpill();
    const refused = await captured('refused');
    expect(refused.status).toBe(503);
    await captured('also refused');
    await broker?.start();

    // A record that was on its way when the broker died may be in Kafka twice, and is one row by its uuid (ADR 0020).
    await allStored('events FINAL');
    expect(carriersOf('$pageview').map(({ status }) => status)).toEqual([200]);
    expect(carriersOf('spilled').map(({ status }) => status)).toEqual([200]);
    for (const name of ['refused', 'also refused']) {
      const statuses = carriersOf(name).map(({ status }) => status);
      expect(statuses.at(-1)).toBe(200);
      expect(statuses.filter((status) => status === 200)).toHaveLength(1);
      expect(carriersOf(name).at(-1)?.url).toMatch(/retry_count=\d/);
    }
  });
});
