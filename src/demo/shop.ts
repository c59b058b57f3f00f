import { PostHog } from 'posthog-node';

/**
 * A small web shop's day, sent by the unmodified posthog-node: anonymous page views, people who sign in (some of them known
 * from another device, so that two persons become one), an alias from the CRM, companies as groups, and senders who get it wrong.
 * What it sends is a function of the visitor's number, so what must come out is known beforehand.
 */
export interface ShopPlan {
  readonly visitors: number;
  /** Events that must be stored. */
  readonly accepted: number;
  /** Events under a token no team has: accepted by capture, dropped by ingestion. */
  readonly unknownToken: number;
  /** Events with a broken uuid: refused by capture with 400. */
  readonly brokenUuid: number;
  readonly persons: number;
  /** Pairs of persons that become one. */
  readonly merges: number;
}

export interface ShopOptions {
  readonly host: string;
  readonly token: string;
  readonly unknownToken: string;
  readonly visitors: number;
  /** Called as events are handed to the SDK. */
  readonly progress: (sent: number) => void;
}

const PAGES = ['/', '/shoes', '/shoes/runner', '/hats', '/cart'];
/** Where the visitors sit: addresses of public services, for a GeoIP database to know. */
const ADDRESSES = ['8.8.8.8', '81.2.69.142', '89.160.20.112', '2001:218::1', '200.160.2.3'];
const COMPANIES = 10;
const UNKNOWN_TOKEN_EVENTS = 25;
const BROKEN_UUID_EVENTS = 10;

const signsIn = (visitor: number): boolean => visitor % 5 < 3;
const knownFromPhone = (visitor: number): boolean => visitor % 5 === 0;
const inCrm = (visitor: number): boolean => visitor % 10 === 1;

/** Counts what {@link playShop} will send. */
export function planShop(visitors: number): ShopPlan {
  let accepted = COMPANIES;
  let merges = 0;
  for (let visitor = 0; visitor < visitors; visitor++) {
    accepted += PAGES.length;
    if (knownFromPhone(visitor)) {
      accepted += 1;
      merges += 1;
    }
    if (signsIn(visitor)) accepted += 4;
    if (inCrm(visitor)) accepted += 1;
  }
  // One person per visitor, whatever number of ids, and the shop's own backend.
  return { visitors, accepted, unknownToken: UNKNOWN_TOKEN_EVENTS, brokenUuid: BROKEN_UUID_EVENTS, persons: visitors + 1, merges };
}

/** Sends everything and resolves when the SDK has had an answer for all of it. `refused` counts 400s. */
export async function playShop(options: ShopOptions): Promise<{ readonly sent: number; readonly refused: number }> {
  const shop = new PostHog(options.token, {
    host: options.host,
    flushAt: 50,
    flushInterval: 200,
    maxQueueSize: 100_000,
    disableGeoip: false,
  });
  const failures: unknown[] = [];
  shop.on('error', (error: unknown) => failures.push(error));
  let sent = 0;
  const tick = async (count: number): Promise<void> => {
    const before = sent;
    sent += count;
    options.progress(sent);
    // Leave the SDK time to send, as a real day would.
    if (Math.floor(before / 200) !== Math.floor(sent / 200)) await shop.flush();
  };

  for (let company = 0; company < COMPANIES; company++) {
    shop.groupIdentify({
      groupType: 'company',
      groupKey: `company-${company}`,
      properties: { name: `Company ${company}` },
      distinctId: 'shop-backend',
    });
  }
  await tick(COMPANIES);
  // Interleaved as in life: every visitor sees the first page before anyone sees the second.
  for (const [step, page] of PAGES.entries()) {
    for (let visitor = 0; visitor < options.visitors; visitor++) {
      shop.capture({
        distinctId: `anon-${visitor}`,
        event: '$pageview',
        properties: {
          seq: step,
          $ip: ADDRESSES[visitor % ADDRESSES.length],
          $current_url: `https://shop.example${page}`,
          $pathname: page,
          $browser: visitor % 3 === 0 ? 'Firefox' : 'Chrome',
        },
      });
      await tick(1);
    }
  }
  for (let visitor = 0; visitor < options.visitors; visitor++) {
    if (knownFromPhone(visitor)) {
      shop.capture({ distinctId: `user-${visitor}`, event: 'app opened', properties: { seq: 0, $os: 'Android' } });
      await tick(1);
    }
  }
  await shop.flush();
  for (let visitor = 0; visitor < options.visitors; visitor++) {
    if (signsIn(visitor)) {
      const distinctId = `user-${visitor}`;
      shop.identify({
        distinctId,
        properties: {
          $set: { email: `visitor${visitor}@example.com`, plan: 'free' },
          $set_once: { first_seen: 'web' },
          $anon_distinct_id: `anon-${visitor}`,
        },
      });
      const groups = { company: `company-${visitor % COMPANIES}` };
      shop.capture({ distinctId, event: 'product viewed', properties: { seq: 2, price: 20 + (visitor % 7) }, groups });
      shop.capture({ distinctId, event: 'added to cart', properties: { seq: 3, price: 20 + (visitor % 7) }, groups });
      shop.capture({
        distinctId,
        event: 'order placed',
        properties: { seq: 4, price: 20 + (visitor % 7), $set: { plan: 'customer' } },
        groups,
      });
      await tick(4);
    }
    if (inCrm(visitor)) {
      shop.alias({ distinctId: `user-${visitor}`, alias: `crm-${visitor}` });
      await tick(1);
    }
  }
  await shop.shutdown();
  if (failures.length > 0) throw new Error(`posthog-node could not deliver: ${String(failures[0])}`);

  await sendUnderUnknownToken(options);
  sent += UNKNOWN_TOKEN_EVENTS;
  const refused = await sendBrokenUuids(options);
  sent += BROKEN_UUID_EVENTS;
  options.progress(sent);
  return { sent, refused };
}

async function sendUnderUnknownToken(options: ShopOptions): Promise<void> {
  const stranger = new PostHog(options.unknownToken, { host: options.host, flushAt: 100, flushInterval: 0, disableGeoip: true });
  for (let index = 0; index < UNKNOWN_TOKEN_EVENTS; index++) stranger.capture({ distinctId: `stranger-${index}`, event: 'lost' });
  await stranger.shutdown();
}

/** Capture refuses these before Kafka; the SDK is told so and does not send them again. */
async function sendBrokenUuids(options: ShopOptions): Promise<number> {
  let refused = 0;
  for (let index = 0; index < BROKEN_UUID_EVENTS; index++) {
    const answer = await fetch(`${options.host}/capture/`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ api_key: options.token, event: 'broken', distinct_id: `broken-${index}`, uuid: 'not-a-uuid' }),
    });
    await answer.arrayBuffer();
    if (answer.status === 400) refused++;
  }
  return refused;
}
