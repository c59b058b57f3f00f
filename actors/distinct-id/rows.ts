/** The end of a group: its rows are the row writer's from here on (D2, D3). */
import type { Json, PluginEvent } from '../../src/domain/event.ts';
import { fingerprintException } from '../../src/domain/exceptions.ts';
import { asJsonObject } from '../../src/domain/json.ts';
import { assignGroups } from '../../src/domain/groups.ts';
import { personPropertiesOf } from '../../src/domain/person-fold.ts';
import { sizeWarning } from '../../src/domain/person-size.ts';
import { storedPersonMode } from '../../src/domain/person-mode.ts';
import type { Person } from '../../src/domain/person.ts';
import { propertiesText } from '../../src/domain/properties-text.ts';
import { buildEventRow } from '../../src/domain/row.ts';
import type { EventRow, SideRow } from '../../src/domain/rows.ts';
import { distinctIdRow, personRow } from '../../src/domain/side-rows.ts';
import { taken, traceStage, type Ctx, type Shared } from './asking.ts';
import { noteNames } from './definitions.ts';
import { guard, warn } from './ends.ts';
import { heatmapRowsOf } from './heatmap.ts';
import type { Item, MadeRows, Work } from './state.ts';

/** Made once: an event gives up for its row what is not stored. */
export function makeRows(shared: Shared, work: Work, ctx: Ctx): MadeRows {
  const rows: EventRow[] = [];
  const sideRows: SideRow[] = [];
  const stored: Item[] = [];
  for (const item of work.items) {
    if (item.ended) continue;
    const make = (): void => {
      rows.push(rowOf(work, item, sideRows, shared, ctx));
      stored.push(item);
    };
    guard(shared, item.pending, 'row', make, item);
  }
  return { rows, stored, sideRows };
}

/** D2: everything before is durable. */
export function tellRows(shared: Shared, work: Work, { rows, stored, sideRows }: MadeRows, ctx: Ctx): void {
  announce(shared, work);
  if (sideRows.length > 0) taken(shared.deps.rowWriter.tell({ type: 'store-side-rows', rows: sideRows }), 'the row writer');
  if (rows.length > 0) taken(shared.deps.rowWriter.tell({ type: 'store-events', rows }), 'the row writer');
  // From here on they are the writer's: a crash of what comes next must not bury them as well (D3).
  for (const item of work.items) item.ended = true;
  noteNames(shared, work, stored, rows);
  traceStage(work, work.items, 'distinct-id', ctx, work.startedMs);
}

/** `sideRows` gets what the event says beside its row. */
function rowOf(work: Work, item: Item, sideRows: SideRow[], shared: Shared, ctx: Ctx): EventRow {
  const { person } = item;
  if (person === undefined) throw new Error('an event that is not ended has a person');
  const { event, mode } = item;
  if (work.groupTypes !== undefined && mode === 'full') assignGroups(event, work.groupTypes);
  noteTexts(shared, event, ctx);
  //
  if (event.event === '$exception' && !fingerprintException(event)) shared.findings.note('exception-without-fingerprint', ctx.clock);
  if (item.limited !== undefined) warn(shared, work, sizeWarning(event, person.id, item.limited), ctx); // Z-3
  sideRows.push(...heatmapRowsOf(shared, work, item.pending, event, item.timestampMs, ctx));
  return buildEventRow(event, {
    pending: item.pending,
    timestampMs: item.timestampMs,
    createdAtMs: work.startedMs,
    personId: person.id,
    personCreatedAtMs: person.createdAtMs,
    personProperties: mode === 'full' ? personText(person, asJsonObject(event.properties['$set'])) : '{}',
    personMode: storedPersonMode(mode, item),
    processing: mode,
    anonymizeIps: work.message.team.anonymizeIps,
  });
}

/** The text of a person as stored is kept for its other rows; that of a mere moment is nobody else's. */
function personText(person: Person, set: Readonly<Json> | undefined): string {
  const properties = personPropertiesOf(person, set);
  return properties === person.properties ? propertiesText(properties) : JSON.stringify(properties);
}

/** E-1, N-21. */
function noteTexts(shared: Shared, { event: name, properties }: PluginEvent, ctx: Ctx): void {
  const chain = properties['$elements_chain'];
  const elements = properties['$elements'];
  if (chain) shared.findings.note('elements-chain', ctx.clock);
  else if (Array.isArray(elements) && elements.length > 0) shared.findings.note('elements', ctx.clock);
  if (isBroken(name)) shared.findings.note('surrogates-substituted', ctx.clock);
  if (isBroken(chain)) shared.findings.note('surrogates-substituted', ctx.clock);
}

const isBroken = (text: unknown): boolean => typeof text === 'string' && !text.isWellFormed();

/** What a previous owner of the partition may have written to PostgreSQL and not to ClickHouse is told again. */
export function announce(shared: Shared, work: Work): void {
  let rows: SideRow[] | undefined;
  for (const item of work.items) {
    if (item.ended || !item.pending.maybeReplayed || item.mode !== 'full') continue;
    const local = work.people.get(item.event.distinct_id);
    if (local?.base === undefined || local.announced) continue;
    local.announced = true;
    (rows ??= []).push(personRow(local.base), distinctIdRow(local.base, local.distinctId, local.mappingVersion));
  }
  if (rows !== undefined) shared.deps.rowWriter.tell({ type: 'store-side-rows', rows });
}
