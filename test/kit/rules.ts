import { expect } from 'vitest';
import { prepare, prepareAgain } from '../../actors/distinct-id/prepare.ts';
import { parseEnvelope } from '../../src/domain/envelope.ts';
import type { PendingEvent, PluginEvent } from '../../src/domain/event.ts';
import { foldGroup } from '../../src/domain/group-fold.ts';
import { assignGroups, groupIdentifyOf, groupTypesOf } from '../../src/domain/groups.ts';
import { takeHeatmap } from '../../src/domain/heatmaps.ts';
import { asJsonObject } from '../../src/domain/json.ts';
import { decideMerge, mergeIdsOf, mergedState } from '../../src/domain/merge.ts';
import { deadLettered, dropped, STORED, type Outcome } from '../../src/domain/outcome.ts';
import { foldPerson, newPerson, personPropertiesOf, personUpdateOf } from '../../src/domain/person-fold.ts';
import { storedPersonMode } from '../../src/domain/person-mode.ts';
import { buildEventRow } from '../../src/domain/row.ts';
import type { EventRow } from '../../src/domain/rows.ts';
import { jsonbText } from '../../src/postgres/json.ts';
import { MAX_STORED_MS, MIN_STORED_MS } from '../../src/domain/time.ts';
import { resolveTimestamp } from '../../src/domain/timestamp.ts';
import { isUuid } from '../../src/domain/uuid.ts';
import { aTeam } from './pipeline.ts';
import { aPending, aPerson, NOW_MS } from '../unit/domain/build.ts';

/** The rules in the order of spec 1.7, without actors and stores: what the pipeline must come to. `token` is that of a team that exists. */
export function outcomeByRules(value: Buffer | null, token: string): { readonly outcome: Outcome; readonly row?: EventRow } {
  const parsed = parseEnvelope(value);
  if (!parsed.ok) return { outcome: deadLettered(parsed.reason) };
  const { envelope } = parsed;
  if (envelope.token === undefined) return { outcome: dropped('no_token') };
  if (envelope.token !== token) return { outcome: dropped('invalid_token') };
  const pending = aPending(envelope);
  const prepared = prepare(pending, aTeam(), NOW_MS, { found: () => undefined, warn: (said) => void JSON.stringify(said) });
  if (prepared.type === 'poison') return { outcome: deadLettered(prepared.reason) };
  if (prepared.type === 'heatmap') {
    JSON.stringify(takeHeatmap(prepared.event, { isOptedIn: true, teamId: pending.teamId, eventUuid: '', timestampMs: NOW_MS }));
    return { outcome: dropped('heatmap') };
  }
  if (prepared.type === 'dropped') {
    JSON.stringify(prepared.warning);
    return { outcome: dropped(prepared.reason) };
  }
  expect(prepareAgain(prepared.event, prepared.mode)).toBeUndefined();
  return { outcome: STORED, row: rowOf(pending, prepared.event, prepared.mode) };
}

function rowOf(pending: PendingEvent, event: PluginEvent, mode: 'full' | 'personless'): EventRow {
  const { timestampMs, warnings } = resolveTimestamp(event, NOW_MS);
  JSON.stringify(warnings);
  const update = personUpdateOf(event);
  const birth = newPerson({
    teamId: pending.teamId,
    distinctId: event.distinct_id,
    createdAtMs: timestampMs,
    eventUuid: event.uuid,
    update,
    isIdentified: false,
  });
  const { person } = foldPerson(birth.person, update);
  const merge = mergeIdsOf(event);
  if (merge !== undefined) {
    const other = aPerson();
    JSON.stringify(decideMerge({ ...merge, eventName: event.event, eventUuid: event.uuid, intoPerson: person, otherPerson: other }));
    jsonbText(mergedState(person, other, update).folded.person.properties);
  }
  jsonbText(person.properties);
  const group = groupIdentifyOf(event);
  if (group?.type === 'upsert') jsonbText(foldGroup({ a: 'x' }, group.set).properties);
  if (mode === 'full') assignGroups(event, new Map(groupTypesOf(event).map((type, index) => [type, index])));
  return buildEventRow(event, {
    pending,
    timestampMs,
    createdAtMs: NOW_MS,
    personId: person.id,
    personCreatedAtMs: person.createdAtMs,
    personProperties: mode === 'full' ? JSON.stringify(personPropertiesOf(person, asJsonObject(event.properties['$set']))) : '{}',
    personMode: storedPersonMode(mode, { forceUpgrade: false }),
    processing: mode,
    anonymizeIps: true,
  });
}

/** What ClickHouse's encoder and tables take for granted of a row, whatever it was made of. */
export function expectStorable(row: EventRow): void {
  expect(isUuid(row.uuid) && isUuid(row.personId)).toBe(true);
  expect(row.timestampMs >= MIN_STORED_MS && row.timestampMs <= MAX_STORED_MS).toBe(true);
  for (const text of [row.event, row.distinctId, row.elementsChain, row.properties, row.personProperties])
    expect(text.isWellFormed()).toBe(true);
  expect(typeof JSON.parse(row.properties)).toBe('object');
  expect(typeof JSON.parse(row.personProperties)).toBe('object');
}
