import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { join } from 'node:path';
import { seedTeam } from '../../src/postgres/seed.ts';
import { CAPTURED, servePages, type Captured } from '../kit/posthog-page.ts';
import { eventsOn } from '../kit/wire-events.ts';
import { requireService } from '../services/availability.ts';
import { probeBrowser, startBrowser } from '../services/browser.ts';
import { requireSurroundings, startSurroundings, until, type Surroundings } from '../services/surroundings.ts';
import { startTroupe, type TroupeProcess } from '../services/troupe.ts';
import { startWire } from '../services/wire.ts';

const LIMIT_MS = 60_000;
const TOKEN = 'phc_current';
const here = await requireSurroundings();
const chromium = await requireService('chromium', probeBrowser);

/** spec/capture.md 13.2, 14: the unmodified posthog-js in a real browser, on a page of another origin, against a whole Troupe. */
describe.skipIf(!here.available || !chromium.available)('posthog-js in Chromium', () => {
  let surroundings: Surroundings;
  let troupe: TroupeProcess;
  let browser: Browser;
  beforeAll(async () => {
    surroundings = await startSurroundings();
    await seedTeam(surroundings.sql, { token: TOKEN });
    troupe = await startTroupe({
      env: { ...surroundings.env, TROUPE_CAPTURE_STATIC_DIR: join(import.meta.dirname, '../../node_modules/posthog-js/dist') },
    });
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await troupe?.kill();
    await surroundings?.stop();
  });

  test('a page view is one row, without an error in the console and without a preflight', async () => {
    const wire = await startWire(troupe.urls.capture);
    const pages = await servePages({ captureUrl: wire.url, token: TOKEN });
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('requestfailed', (request) => complaints.push(request.url()));
    await page.goto(pages.origin);
    await until(() => wire.exchanges.some((exchange) => eventsOn(exchange).length > 0), 'the page view is sent', LIMIT_MS);
    const captured = await page.evaluate<Captured[]>(CAPTURED);
    let rows: { uuid: string; event: string }[] = [];
    await until(async () => (rows = await surroundings.rows.query('SELECT uuid, event FROM events')).length > 0, 'a row', LIMIT_MS);
    expect(rows).toEqual(captured.map(({ uuid, event }) => ({ uuid, event })));
    expect(rows).toMatchObject([{ event: '$pageview' }]);
    expect(complaints).toEqual([]);
    expect(wire.exchanges.filter(({ method }) => method === 'OPTIONS')).toEqual([]);
    await page.close();
    await pages.stop();
    await wire.stop();
  });
});
