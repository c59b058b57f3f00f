import { describe, expect, test } from 'vitest';
import { parseEnvelope } from '../../../src/domain/envelope.ts';
import type { Json, PendingEvent, PluginEvent } from '../../../src/domain/event.ts';
import { buildEventRow, type RowParts } from '../../../src/domain/row.ts';
import type { EventRow } from '../../../src/domain/rows.ts';
import { anEvent, aPending, aValue, NOW_MS, UUID } from './build.ts';

function pending(): PendingEvent {
  const parsed = parseEnvelope(aValue());
  if (!parsed.ok) throw new Error(parsed.detail);
  return aPending(parsed.envelope);
}

function rowOf(fields: Partial<PluginEvent>, parts: Partial<RowParts> = {}): EventRow {
  return buildEventRow(anEvent(fields), {
    pending: pending(),
    timestampMs: NOW_MS,
    createdAtMs: NOW_MS + 5,
    personId: 'p',
    personCreatedAtMs: 1_000,
    personProperties: '{"a":1}',
    personMode: 'full',
    processing: 'full',
    anonymizeIps: false,
    ...parts,
  });
}

const propertiesOf = (row: EventRow): Json => JSON.parse(row.properties) as Json;

describe('buildEventRow', () => {
  test('4.1: all fields of a plain event', () => {
    const { pending: origin, ...row } = rowOf({ properties: { x: 1 } });
    expect(row).toEqual({
      uuid: UUID,
      event: 'click',
      properties: '{"x":1}',
      timestampMs: NOW_MS,
      teamId: 1,
      distinctId: 'd1',
      elementsChain: '',
      createdAtMs: NOW_MS + 5,
      personId: 'p',
      personProperties: '{"a":1}',
      personCreatedAtMs: 1_000,
      personMode: 'full',
    });
    expect(origin.envelope.distinctId).toBe('d1');
  });

  test.each<[string, unknown, string]>([
    ['N-20: cut to 200 units', 'x'.repeat(300), 'x'.repeat(200)],
    ['N-20: not a text', { a: 1 }, '{"a":1}'],
    ['N-20: null', null, 'null'],
    ['N-20: an object without a text', { toString: null }, '{"toString":null}'],
    ['N-21: cut through a surrogate pair', `${'x'.repeat(199)}😀`, `${'x'.repeat(199)}\\ud83d\\`],
    ['no renaming, no trimming', ' $Page View ', ' $Page View '],
  ])('%s', (_, event, name) => {
    expect(rowOf({ event: event as string }).event).toBe(name);
  });

  test('IP-1: $ip goes when the team anonymizes, and only then', () => {
    expect(propertiesOf(rowOf({ properties: { $ip: '1.1.1.1', x: 1 } }, { anonymizeIps: true }))).toEqual({ x: 1 });
    expect(propertiesOf(rowOf({ properties: { $ip: '1.1.1.1' } }))).toEqual({ $ip: '1.1.1.1' });
  });

  test.each([[true], ['false'], [null], [0]])('PP-1, PP-4: $process_person_profile %j is not stored', (flag) => {
    expect(propertiesOf(rowOf({ properties: { $process_person_profile: flag, $group_0: 'g' } }))).toEqual({ $group_0: 'g' });
  });

  test('PP-3: personless: the flag is stored, $group_0..4 are not, $groups is', () => {
    const properties = { $process_person_profile: false, $group_0: 'a', $group_4: 'b', $group_5: 'c', $groups: { t: 'k' } };
    const row = rowOf({ properties }, { processing: 'personless', personMode: 'propertyless', personProperties: '{}' });
    expect(propertiesOf(row)).toEqual({ $process_person_profile: false, $group_5: 'c', $groups: { t: 'k' } });
  });

  test.each<[string, Json, string, Json]>([
    ['E-1: a chain is used verbatim, $elements ignored', { $elements_chain: 'a:', $elements: [{ tag_name: 'b' }] }, 'a:', {}],
    ['E-1: $elements are converted and leave', { $elements: [{ tag_name: 'b' }], x: 1 }, 'b:nth-child="0"nth-of-type="0"', { x: 1 }],
    ['E-1: empty $elements leave', { $elements: [] }, '', {}],
    ['E-2: a failed conversion stores the event with its $elements', { $elements: [null] }, '', { $elements: [null] }],
    ['N-21: the chain is filtered', { $elements_chain: 'a:text="\ud83d"' }, 'a:text="\\ud83d\\"', {}],
    ['a chain that is a number is its text', { $elements_chain: 5 }, '5', {}],
  ])('%s', (_, properties, chain, kept) => {
    const row = rowOf({ properties });
    expect([row.elementsChain, propertiesOf(row)]).toEqual([chain, kept]);
  });

  test('N-21, N-22: lone surrogates and U+0000 in properties are left to JSON', () => {
    expect(rowOf({ properties: { a: '\ud83d\0' } }).properties).toBe('{"a":"\\ud83d\\u0000"}');
  });

  test('PE-2, PE-9: the team is the record’s; a uuid that a plugin changed is honoured, in lower case, and one it broke is not', () => {
    const uuid = 'ABCDEF00-0000-4000-8000-000000000000';
    expect(rowOf({ team_id: 99, uuid })).toMatchObject({ teamId: 1, uuid: uuid.toLowerCase() });
    expect(rowOf({ uuid: 'broken' }).uuid).toBe(UUID);
  });

  test('a cycle that a plugin made throws, for the caller to dead-letter', () => {
    const properties: Json = {};
    properties['self'] = properties;
    expect(() => rowOf({ properties })).toThrow(TypeError);
  });
});
