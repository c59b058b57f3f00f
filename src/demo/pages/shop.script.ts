/**
 * Script of the demo's shop; plain JavaScript for the browser, kept as text as the inspector's is. What posthog-js captures is listed as it
 * is captured, and each entry waits for its row. Everything shown is put in as text, never as markup.
 */
export const SHOP_SCRIPT = String.raw`'use strict';
const POLL_MS = 100;
/** After this a row is late enough to say so; it is waited for all the same. */
const LATE_MS = 15000;
/** Not rows: recordings are PostHog's to store, heatmaps have a table of their own. */
const NO_ROW = new Set(['$snapshot', '$$heatmap']);
const byId = (id) => document.getElementById(id);
/** By uuid: { event, atMs, element, row, tookMs }. */
const entries = new Map();
let recorded = 0;
let price = 0;
let count = 0;

start();

async function start() {
  const { captureUrl, token, recordings } = await get('/settings');
  byId('capture').textContent = captureUrl;
  byId('recording').textContent = recordings ? 'Your session is recorded: rrweb snapshots go to their own topic in Kafka, or the embedded log.' : '';
  // What a snippet leaves for array.js: a list of the projects that it shall start.
  window.posthog = Object.assign([], { __SV: 1, _i: [[token, {
    api_host: captureUrl,
    defaults: '2025-05-24',
    person_profiles: 'identified_only',
    capture_exceptions: true,
    opt_out_useragent_filter: true,                      // a driven browser may look as well
    request_queue_config: { flush_interval_ms: 250 },    // the shortest there is, to see the server's time and not the queue's
    before_send: (event) => (event && note(event), event),
    loaded: () => draw(),
  }, 'posthog']] });
  const script = Object.assign(document.createElement('script'), { src: captureUrl + '/static/array.js', crossOrigin: 'anonymous' });
  script.onerror = () => (byId('sum').textContent = 'posthog-js could not be loaded from ' + script.src);
  document.head.append(script);
  watch();
}

async function get(path) {
  const response = await fetch(path, { cache: 'no-store' });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? response.status);
  return body;
}

function note({ event, uuid, properties }) {
  if (event === '$snapshot') recorded++;
  if (NO_ROW.has(event)) return;
  const element = document.createElement('li');
  element.append(Object.assign(document.createElement('details'), { innerHTML: '<summary><span><b></b> <small></small></span><span></span><span class="state"></span></summary><pre></pre>' }));
  element.querySelector('b').textContent = event;
  element.querySelector('small').textContent = properties.$el_text ?? properties.product ?? properties.$group_key ?? '';
  element.dataset.event = event;
  element.dataset.uuid = uuid;
  entries.set(uuid, { event, atMs: performance.now(), element });
  byId('events').prepend(element);
  draw();
}

/** Asks for the rows that are missing, and after a merge for all: whose they are may have changed. */
async function watch() {
  for (let all = false; ; all = false) {
    const missing = [...entries].filter(([, { row }]) => row === undefined).map(([uuid]) => uuid);
    if (missing.length > 0) {
      try {
        const rows = (await get('/rows?uuid=' + missing.slice(0, 100).join('&uuid='))).rows;
        for (const row of rows) {
          const entry = entries.get(row.uuid);
          entry.tookMs ??= Math.round(performance.now() - entry.atMs);
          entry.row = row;
          all ||= row.event === '$identify' || row.event === '$create_alias';
        }
        if (all) {
          const uuids = [...entries.keys()].slice(-100);
          for (const row of (await get('/rows?uuid=' + uuids.join('&uuid='))).rows) entries.get(row.uuid).row = row;
        }
        draw();
      } catch (error) {
        byId('sum').textContent = 'the demo does not answer (' + error.message + ')';
      }
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function draw() {
  const persons = [];
  for (const { row, tookMs, atMs, element } of entries.values()) {
    const isLate = row === undefined && performance.now() - atMs > LATE_MS;
    element.className = row !== undefined ? 'stored' : isLate ? 'failed' : '';
    element.querySelector('.state').textContent = row !== undefined ? 'row after ' + tookMs + ' ms' : isLate ? 'no row yet' : 'on its way …';
    if (row === undefined) continue;
    if (!persons.includes(row.person)) persons.push(row.person);
    const chip = element.querySelector('summary > :nth-child(2)');
    chip.className = 'person';
    chip.textContent = row.person.slice(-6);
    chip.title = 'person ' + row.person;
    chip.style.setProperty('--hue', parseInt(row.person.slice(-4), 16) % 360);
    const text = JSON.stringify(row, null, 2);
    const pre = element.querySelector('pre');
    if (pre.textContent !== text) pre.textContent = text;
  }
  const stored = [...entries.values()].filter(({ row }) => row !== undefined);
  const times = stored.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  byId('sum').textContent = entries.size + ' captured, ' + stored.length + ' stored'
    + (times.length > 0 ? ', median ' + times[times.length >> 1] + ' ms' : '')
    + (persons.length > 0 ? ', ' + persons.length + (persons.length === 1 ? ' person' : ' persons') : '')
    + (recorded > 0 ? ', ' + recorded + ' pieces of recording' : '');
}

const ACTIONS = {
  add({ product, price: each }) {
    count++;
    price += Number(each);
    window.posthog.capture('added to cart', { product, price: Number(each) });
    byId('cart').textContent = count + (count === 1 ? ' thing, ' : ' things, ') + price + ' €';
    byId('order').disabled = false;
  },
  order() {
    window.posthog.capture('order placed', { price, things: count });
    count = price = 0;
    byId('cart').textContent = 'Ordered. The cart is empty.';
    byId('order').disabled = true;
  },
  plan: () => window.posthog.setPersonProperties({ plan: 'pro' }),
  alias: () => window.posthog.alias('crm-' + window.posthog.get_distinct_id()),
  reset: () => window.posthog.reset(),
  throw() { throw new Error('The shop has broken, as you wished'); },
  beacon: () => window.posthog.capture('sent and forgotten', {}, { transport: 'sendBeacon' }),
};
document.addEventListener('click', ({ target }) => {
  const button = target instanceof Element ? target.closest('[data-do]') : null;
  if (button !== null) ACTIONS[button.dataset.do](button.dataset);
});
const form = (id, field, use) => byId(id).addEventListener('submit', (submit) => {
  submit.preventDefault();
  use(new FormData(submit.target).get(field));
});
form('sign-in', 'name', (name) => window.posthog.identify(name, { name }, { first_seen: 'demo shop' }));
form('company', 'company', (company) => window.posthog.group('company', company, { name: company }));
`;
