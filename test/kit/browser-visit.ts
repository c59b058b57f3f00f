import type { Browser, BrowserContext, Page } from 'playwright-core';
import { until } from '../services/surroundings.ts';
import type { Wire } from '../services/wire.ts';
import { CAPTURED, type Captured, type Pages } from './posthog-page.ts';
import { eventsOn } from './wire-events.ts';

/** One visitor's time on the pages of {@link servePages}, as it ended. */
export interface Visit {
  /** Everything that posthog-js captured, in its order. */
  readonly captured: readonly Captured[];
  /** What went wrong by the browser's account: console lines that are no plain log, and requests that failed while their page stood. */
  readonly complaints: readonly string[];
  /** Messages of errors that nobody caught in the page. */
  readonly errors: readonly string[];
  /** What posthog-js told the page of feature flags, surveys and features in early access. */
  readonly told: { readonly flags: readonly string[]; readonly surveys: readonly unknown[]; readonly early: readonly unknown[] };
}

const LIMIT_MS = 30_000;

/** Measured when a page is hidden; generations before the current one queue it behind their last beacon, and never send it. */
export const MAY_BE_LOST = '$web_vitals';

/** What the page's own code does with posthog-js, all of it in one go. The oldest generation has no captureException. */
const EVERYTHING = `(async () => {
  posthog.capture('bought', { price: 3 });
  posthog.identify('ann', { plan: 'pro' }, { first: 1 });
  posthog.group('company', 'acme', { seats: 5 });
  posthog.alias('ann-crm');
  posthog.setPersonProperties({ vip: true }, { since: 2026 });
  posthog.capture('painted', { $set: { colour: 'red' } });
  if (posthog.captureException) posthog.captureException(new Error('caught here'));
  else posthog.capture('$exception', { $exception_type: 'Error', $exception_message: 'caught here' });
  setTimeout(() => { throw new Error('planted'); });
  const surveys = new Promise((resolve) => posthog.getSurveys(resolve, true));
  const early = new Promise((resolve) => posthog.getEarlyAccessFeatures(resolve, true));
  const flags = new Promise((resolve) => posthog.onFeatureFlags((names) => resolve(names)));
  posthog.reloadFeatureFlags();
  return { surveys: await surveys, early: await early, flags: await flags };
})()`;

/**
 * Comes, clicks, says who it is, uses everything, goes to the second page, leaves by a link without waiting, comes back and closes the
 * window on an event that is not sent yet. Resolves when everything that was captured has been answered.
 */
export async function visit({ browser, pages, wire }: { browser: Browser; pages: Pages; wire: Wire }): Promise<Visit> {
  const context = await browser.newContext();
  const complaints: string[] = [];
  const errors: string[] = [];
  const watched = async (): Promise<Page> => watch(await context.newPage(), complaints, errors);
  const allSent = async (page: Page): Promise<void> => {
    let missing: readonly string[] = [];
    await until(
      async () => {
        const sent = new Set(wire.exchanges.flatMap((one) => eventsOn(one).map(({ uuid }) => uuid)));
        const captured = await page.evaluate<Captured[]>(CAPTURED);
        missing = captured.filter(({ event, uuid }) => event !== MAY_BE_LOST && !sent.has(uuid)).map(({ event }) => event);
        return missing.length === 0;
      },
      'everything captured is sent',
      LIMIT_MS,
    ).catch((error: unknown) => {
      throw new Error(`captured and not sent: ${missing.join(', ')}`, { cause: error });
    });
  };

  const page = await watched();
  await open(page, pages.origin);
  // The configuration is in force when the recorder is there: older generations capture no click before.
  await until(() => wire.exchanges.some(({ url }) => /^\/static\/.*recorder.*\.js/.test(url)), 'the recorder is loaded', LIMIT_MS);
  await page.click('#buy');
  const told = await page.evaluate<Visit['told']>(EVERYTHING);
  await allSent(page);
  await page.click('#more');
  await loaded(page);
  await page.fill('#name', 'Ann');
  await page.evaluate(`void posthog.capture('last words', {}, { transport: 'sendBeacon' })`);
  await allSent(page);
  await page.evaluate(`void posthog.capture('while leaving')`);
  await page.goto(`${pages.origin}/farewell`);
  await open(page, pages.origin);
  await page.evaluate(`void posthog.capture('while closing')`);
  await page.close({ runBeforeUnload: true });
  const captured = await afterwards(context, pages, allSent);
  await context.close();
  return { captured, complaints, errors, told };
}

/** Reads the account of the pages that are gone, when everything in it has been sent. */
async function afterwards(context: BrowserContext, pages: Pages, allSent: (page: Page) => Promise<void>): Promise<readonly Captured[]> {
  const page = await context.newPage();
  await page.goto(`${pages.origin}/farewell`);
  await allSent(page);
  return page.evaluate<Captured[]>(CAPTURED);
}

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await loaded(page);
}

async function loaded(page: Page): Promise<void> {
  await page.waitForFunction('window.isLoaded === true', undefined, { timeout: LIMIT_MS });
}

function watch(page: Page, complaints: string[], errors: string[]): Page {
  page.on('console', (line) => {
    if (line.type() !== 'log') complaints.push(`${line.type()}: ${line.text()} (${line.location().url})`);
  });
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? '';
    // What is on its way when its page goes is reported as aborted, and arrives: the rows are the proof.
    if (why !== 'net::ERR_ABORTED') complaints.push(`${request.method()} ${request.url()}: ${why}`);
  });
  return page;
}
