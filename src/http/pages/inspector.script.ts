/**
 * Script of the inspector's page; plain JavaScript for the browser, kept as text so that the page is one file. It builds
 * elements and sets their text: a distinct_id that is markup stays a text.
 */
export const INSPECTOR_SCRIPT = String.raw`'use strict';
const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');
const open = new Set(['/']);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== undefined && child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}
const count = (value) => (value === undefined || value === null ? '–' : number.format(value));
function duration(ms) {
  if (ms === undefined || ms === null) return '';
  if (ms < 1000) return Math.round(ms) + ' ms';
  if (ms < 120000) return (ms / 1000).toFixed(1) + ' s';
  return Math.round(ms / 60000) + ' min';
}
const ago = (atMs) => duration(Math.max(0, Date.now() - atMs)) + ' ago';
const severity = (value, warn, bad) => (value >= bad ? 'bad' : value >= warn ? 'warn' : '');

function table(columns, rows, empty) {
  if (rows.length === 0) return make('p', { class: 'soft' }, empty);
  const head = make('tr', {}, ...columns.map(([title, , kind]) => make('th', { class: kind }, title)));
  const body = rows.map((row) => make('tr', {}, ...columns.map(([, cell, kind]) => {
    const value = cell(row);
    return value instanceof Node && value.tagName === 'TD' ? value : make('td', { class: kind, title: kind === 'path' ? value : undefined }, value);
  })));
  return make('table', {}, make('thead', {}, head), make('tbody', {}, ...body));
}
const cell = (kind, ...children) => make('td', { class: kind }, ...children);
const show = (id, ...children) => byId(id).replaceChildren(...children);

async function get(path) {
  const response = await fetch(path, { cache: 'no-store' });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? response.status);
  return body;
}

function drawKinds(kinds) {
  show('kinds', ...kinds.map((kind) => make('div', { class: 'tile' },
    make('span', { class: 'soft' }, kind.kind), make('b', {}, count(kind.count)),
    make('span', { class: severity(kind.oldestAgeMs, 1000, 10000) || 'soft' }, count(kind.mailboxDepth) + ' waiting' + (kind.mailboxDepth > 0 ? ', oldest ' + duration(kind.oldestAgeMs) : '')),
    kind.restarts > 0 ? make('div', { class: 'warn' }, count(kind.restarts) + (kind.restarts === 1 ? ' restart' : ' restarts')) : undefined)));
  const select = byId('kind');
  const known = new Set([...select.options].map((option) => option.value));
  for (const { kind } of kinds) if (!known.has(kind)) select.append(make('option', { value: kind }, kind));
}

function drawLedgers(ledgers) {
  const outcomes = (ledger) => ledger.outcomes.map(({ outcome, reason, count: n }) => outcome + (reason ? ' (' + reason + ')' : '') + ' ' + count(n)).join(', ');
  show('ledger', table([
    ['partition', (ledger) => ledger.topic + ' / ' + ledger.partition, 'path'],
    ['lag', (ledger) => cell('n ' + severity(ledger.lag ?? 0, 10000, 1000000), count(ledger.lag)), 'n'],
    ['watermark', (ledger) => count(ledger.watermark), 'n'],
    ['end', (ledger) => count(ledger.highWatermark), 'n'],
    ['in flight', (ledger) => count(ledger.pendingCount), 'n'],
    ['gap', (ledger) => cell('n ' + severity(ledger.gapCount / ledger.capacityCount, 0.5, 0.9), count(ledger.gapCount)), 'n'],
    ['read', (ledger) => count(ledger.readCount), 'n'],
    ['outcomes', outcomes],
    ['generation', (ledger) => ledger.generation + (ledger.active ? '' : ' (over)'), 'n'],
  ], ledgers, 'No partition is assigned to this process.'));
}

function drawActors(actors) {
  show('actors', table([
    ['actor', (actor) => actor.path, 'path'],
    ['status', (actor) => actor.status],
    ['mailbox', (actor) => { const bar = make('meter-bar'); bar.style.setProperty('--part', Math.min(100, (100 * actor.mailboxDepth) / actor.mailboxCapacity) + '%'); return cell('n', count(actor.mailboxDepth) + ' / ' + count(actor.mailboxCapacity), bar); }, 'n'],
    ['oldest', (actor) => cell('n ' + severity(actor.oldestAgeMs, 1000, 10000), actor.mailboxDepth > 0 ? duration(actor.oldestAgeMs) : ''), 'n'],
    ['at work on', (actor) => (actor.currentMessageType ? actor.currentMessageType + ', ' + duration(actor.currentForMs) : '')],
    ['handled', (actor) => count(actor.handledCount), 'n'],
    ['restarts', (actor) => cell('n ' + severity(actor.restartsInWindow, 1, 3), actor.restartsInWindow || ''), 'n'],
    ['last error', (actor) => cell('bad', actor.lastErrorCode ?? '')],
    ['state', (actor) => cell('soft', Object.entries(actor.details).map(([name, value]) => name + ' ' + value).join(' · '))],
  ], actors, 'No actor lives.'));
}

function treeNode(node) {
  const name = node.path === '/' ? '/' : node.path.slice(node.path.lastIndexOf('/') + 1);
  const label = [name];
  if (node.actor) label.push(make('span', { class: severity(node.actor.oldestAgeMs, 1000, 10000) || 'soft' }, '  ' + node.actor.kind + ', ' + node.actor.status + (node.actor.mailboxDepth > 0 ? ', ' + count(node.actor.mailboxDepth) + ' waiting' : '')));
  if (node.childCount === 0) return make('li', {}, ...label);
  label.push(make('span', { class: 'soft' }, '  ' + count(node.childCount) + (node.childCount === 1 ? ' child' : ' children')));
  const unlisted = node.childCount - node.children.length;
  const details = make('details', open.has(node.path) ? { open: '' } : {}, make('summary', {}, ...label),
    make('ul', {}, ...node.children.map(treeNode), unlisted > 0 ? make('li', { class: 'soft' }, '… and ' + count(unlisted) + ' more') : undefined));
  details.addEventListener('toggle', () => (details.open ? open.add(node.path) : open.delete(node.path)));
  return make('li', {}, details);
}

function drawDead({ messages, events }) {
  const counts = (of) => Object.entries(of).filter(([, n]) => n > 0).map(([reason, n]) => reason + ' ' + count(n)).join(' · ') || 'none';
  show('dead',
    make('h3', {}, 'Events: ', counts(events.counts)),
    table([['when', (event) => ago(event.atMs)], ['reason', (event) => event.reason], ['from', (event) => event.topic + ' / ' + event.partition + ' @ ' + event.offset, 'path']], events.recent.slice(0, 20), 'No event was set aside.'),
    make('h3', {}, 'Messages: ', counts(messages.counts)),
    table([['when', (letter) => ago(letter.atMs)], ['reason', (letter) => letter.reason], ['message', (letter) => letter.messageType], ['to', (letter) => letter.path, 'path']], messages.recent.slice(-20).reverse(), 'Every message found its actor.'));
}

let failing = false;
async function refresh() {
  const actors = new URLSearchParams({ sort: byId('sort').value, limit: '25' });
  if (byId('kind').value !== '') actors.set('kind', byId('kind').value);
  const parts = [['/inspect/kinds', drawKinds], ['/inspect/ledger', drawLedgers], ['/inspect/actors?' + actors, drawActors],
    ['/inspect/tree', (tree) => show('tree', make('ul', {}, treeNode(tree)))], ['/inspect/dead-letters', drawDead]];
  const results = await Promise.allSettled(parts.map(async ([path, draw]) => draw(await get(path))));
  const failed = results.find((result) => result.status === 'rejected');
  failing = failed !== undefined;
  byId('state').className = failing ? 'bad' : '';
  byId('state').textContent = failing ? 'not answering: ' + failed.reason.message : 'as of ' + new Date().toLocaleTimeString();
}
async function loop() {
  if (byId('live').checked && !document.hidden) await refresh();
  setTimeout(loop, failing ? 5000 : 2000);
}
function finder(id, pathOf) {
  byId(id).addEventListener('submit', async (submitted) => {
    submitted.preventDefault();
    const found = byId('found');
    found.hidden = false;
    try {
      found.textContent = JSON.stringify(await get(pathOf(new FormData(submitted.target))), null, 2);
    } catch (error) {
      found.textContent = error.message;
    }
  });
}
finder('find-event', (form) => '/inspect/event/' + encodeURIComponent(form.get('uuid').trim()));
finder('find-person', (form) => '/inspect/person?' + new URLSearchParams(form));
finder('find-actor', (form) => '/inspect/actor/' + form.get('path').trim().split('/').filter(Boolean).map(encodeURIComponent).join('/'));
byId('sort').addEventListener('change', refresh);
byId('kind').addEventListener('change', refresh);
loop();
`;
