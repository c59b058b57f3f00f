import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireService } from '../services/availability.ts';
import { probeBrowser, startBrowser } from '../services/browser.ts';
import { freePort } from '../services/ports.ts';
import { until } from '../services/surroundings.ts';
import { spawnTroupe, type TroupeProcess } from '../services/troupe.ts';

const LIMIT_MS = 60_000;
const chromium = await requireService('chromium', probeBrowser);

/** `npm run demo`, with everything embedded: no server is needed. */
describe('the demo', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'troupe-test-demo-'));
  let demo: TroupeProcess | undefined;
  let shop = '';
  let env: Record<string, string>;

  beforeAll(async () => {
    env = { TROUPE_DEMO_PORT: String(await freePort()) };
  });
  afterAll(async () => {
    await demo?.kill();
    rmSync(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  });

  /** Waits for a line of its output, or its end. */
  async function said(process: TroupeProcess, pattern: RegExp): Promise<string> {
    const found = until(() => pattern.test(process.output()), `it says ${String(pattern)}`, LIMIT_MS);
    const ended = process.exited.then(({ code, signal }) =>
      Promise.reject(new Error(`it ended (${signal ?? code}):\n${process.output()}`)),
    );
    await Promise.race([found, ended]);
    return pattern.exec(process.output())?.[1] ?? '';
  }

  test('--exit plays its day, finds every count right, opens no shop, and ends by itself with 0', async () => {
    demo = await spawnTroupe({ env, args: ['demo', '--exit'], dataDir });
    expect(await demo.exited).toEqual({ code: 0, signal: null });
    expect(demo.output()).toMatch(/out of order +0 +✓/);
    expect(demo.output()).not.toContain('✗');
    expect(demo.output()).not.toContain('open the shop');
  });

  test('without --exit it opens a shop on a port of its own, where an event that was sent can be seen as its row', async () => {
    demo = await spawnTroupe({ env, args: ['demo'], dataDir });
    shop = await said(demo, /open the shop +(http:\S+)/);
    expect(new URL(shop).origin).not.toBe(demo.urls.capture);
    const settings = (await (await fetch(`${shop}/settings`)).json()) as { captureUrl: string; token: string; recordings: boolean };
    expect(settings).toEqual({ captureUrl: demo.urls.capture, token: expect.stringMatching(/^phc_demo_/) as unknown, recordings: true });
    const uuid = randomUUID();
    const event = { api_key: settings.token, event: 'seen', distinct_id: 'me', uuid, properties: { n: 1 } };
    expect((await fetch(`${settings.captureUrl}/e/`, { method: 'POST', body: JSON.stringify(event) })).status).toBe(200);
    let rows: readonly { readonly event: string; readonly properties: Record<string, unknown> }[] = [];
    await until(
      async () => {
        ({ rows } = (await (await fetch(`${shop}/rows?uuid=${uuid}`)).json()) as { rows: typeof rows });
        return rows.length > 0;
      },
      'the row',
      LIMIT_MS,
    );
    expect(rows).toMatchObject([{ uuid, event: 'seen', distinct_id: 'me', properties: { n: 1 } }]);
  });

  test.skipIf(!chromium.available)('in a browser, what is done in the shop appears as events, and every one gets its row', async () => {
    const browser = await startBrowser();
    try {
      const page = await browser.newPage();
      const complaints: string[] = [];
      const errors: string[] = [];
      page.on('console', (line) => complaints.push(line.text()));
      page.on('requestfailed', (request) => complaints.push(request.url()));
      page.on('pageerror', (error) => errors.push(error.message));
      await page.goto(shop);
      await page.waitForSelector('#events li.stored', { timeout: LIMIT_MS }); // the page view
      await page.click('button[data-product="Runner"]');
      await page.fill('[name=name]', 'ann');
      await page.click('#sign-in button');
      await page.fill('[name=company]', 'acme');
      await page.click('#company button');
      await page.click('button[data-do=throw]');
      for (const event of ['$pageview', '$autocapture', 'added to cart', '$identify', '$groupidentify', '$exception'])
        await page.waitForSelector(`#events li.stored[data-event="${event}"]`, { timeout: LIMIT_MS });
      await page.waitForSelector('#events:not(:has(li:not(.stored)))', { timeout: LIMIT_MS });
      expect(await page.textContent('li[data-event="added to cart"] .state')).toMatch(/^row after \d+ ms$/);
      expect(await shownRow(page, 'added to cart')).toMatchObject({ properties: { product: 'Runner', price: 89, $lib: 'web' } });
      expect(await shownRow(page, '$groupidentify')).toMatchObject({ distinct_id: 'ann' });
      await page.waitForSelector('#sum:text-matches(", 1 person(,|$)")', { timeout: LIMIT_MS }); // who looked and who signed in
      expect(errors).toEqual(['The shop has broken, as you wished']);
      expect(complaints).toEqual([]);
    } finally {
      await browser.close();
    }
  });

  test('it stops at a signal, shop and all', async () => {
    expect(await demo?.stop()).toEqual({ code: 0, signal: null });
    await expect(fetch(shop)).rejects.toThrow();
  });
});

async function shownRow(page: Page, event: string): Promise<unknown> {
  return JSON.parse((await page.textContent(`li[data-event="${event}"] pre`)) ?? '');
}
