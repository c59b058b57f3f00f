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

/** spec/capture.md 8, 13.2: a visitor of a page with the current posthog-js while Kafka is away, first with room in the spill, then without. */
describe.skipIf(!here.available || !chromium.available)('posthog-js in Chromium while Kafka is away', () => {
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

  test('8: it notices nothing of it as long as the spill takes its events; then it is told 503 and sends again: each is one row', async () => {
    const [broker] = surroundings.kafka.nodes;
    await broker?.kill();
    expect((await captured('spilled')).status).toBe(200);
    await fillSpill();
    const refused = await captured('refused');
    expect(refused.status).toBe(503);
    await captured('also refused');
    await broker?.start();

    const due = await page.evaluate<Captured[]>(CAPTURED);
    expect(due.map(({ event }) => event)).toEqual(['$pageview', 'spilled', 'refused', 'also refused']);
    let rows: { readonly uuid: string; readonly event: string }[] = [];
    await until(
      async () => {
        // FINAL: a record that was on its way when the broker died may be in Kafka twice, and is one row by its uuid (ADR 0020).
        rows = await surroundings.rows.query('SELECT uuid, event FROM events FINAL');
        return rows.length >= due.length;
      },
      'every event has a row',
      LIMIT_MS,
    );
    expect(rows.map(({ uuid, event }) => `${event} ${uuid}`).toSorted()).toEqual(
      due.map(({ uuid, event }) => `${event} ${uuid}`).toSorted(),
    );
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
