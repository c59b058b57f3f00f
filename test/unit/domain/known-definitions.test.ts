import fc from 'fast-check';
import { expect, test } from 'vitest';
import { noDefinitions, type Definitions } from '../../../src/domain/definitions.ts';
import type { Json } from '../../../src/domain/event.ts';
import { KnownDefinitions } from '../../../src/domain/known-definitions.ts';

interface Seen {
  readonly teamId: number;
  readonly event: string;
  readonly properties: Json;
  /** Since the event before. */
  readonly passedMs: number;
}
/** PostgreSQL's three tables after D-2 and D-3, as text. */
interface Tables {
  readonly events: Record<string, string>;
  readonly eventProperties: Set<string>;
  readonly properties: Record<string, string | undefined>;
}
const noTables = (): Tables => ({ events: {}, eventProperties: new Set(), properties: {} });
const GROUP_TYPES = ['company', 'project'];
const HOUR_MS = 3_600_000;
const NO_EVENT_PROPERTY = ['$set', '$set_once', '$unset', '$groups', '$group_0', '$group_1', '$group_2', '$group_3', '$group_4'];

/** D-3: what is written first stands, but for a type that was not known. */
function write(tables: Tables, { events, eventProperties, properties }: Definitions): void {
  for (const { teamId, name, hourMs } of events) tables.events[`${teamId} ${name}`] = new Date(hourMs).toISOString();
  for (const { teamId, event, property } of eventProperties) tables.eventProperties.add(`${teamId} ${event} ${property}`);
  for (const { teamId, name, parent, groupTypeIndex = '-', propertyType } of properties)
    tables.properties[`${teamId} ${name} ${parent} ${groupTypeIndex}`] ??= propertyType;
}

/** D-1 to D-5 of one event, as if nothing had been written before. */
function writePlainly(tables: Tables, { teamId, event, properties }: Seen, nowMs: number): void {
  const isShort = (name: string): boolean => Buffer.byteLength(name) <= 200;
  if (event === '$$plugin_metrics' || !isShort(event)) return;
  const note = (parent: number, index: number | '-', from: unknown): void => {
    for (const [name, value] of Object.entries((from ?? {}) as Json))
      if (isShort(name) && !(parent === 1 && NO_EVENT_PROPERTY.includes(name)))
        tables.properties[`${teamId} ${name} ${parent} ${index}`] ??= typeOf(name, value);
  };
  tables.events[`${teamId} ${event}`] = new Date(Math.floor(nowMs / HOUR_MS) * HOUR_MS).toISOString();
  if (event === '$groupidentify') {
    const index = GROUP_TYPES.indexOf(properties['$group_type'] as string);
    if (index >= 0) note(3, index, properties['$group_set']);
    return;
  }
  for (const name of Object.keys(properties))
    if (isShort(name) && !NO_EVENT_PROPERTY.includes(name)) tables.eventProperties.add(`${teamId} ${event} ${name}`);
  note(1, '-', properties);
  note(2, '-', properties['$set']);
  note(2, '-', properties['$set_once']);
}

function typeOf(name: string, value: unknown): string | undefined {
  if (/^(utm_|\$feature\/|\$survey_response)/.test(name) || name === '$feature_flag_response') return 'String';
  if (typeof value === 'string') return /^\s*(true|TRUE|false|FALSE)\s*$/.test(value) ? 'Boolean' : 'String';
  if (typeof value === 'number') return /time|TIME/.test(name) ? 'DateTime' : 'Numeric';
  return typeof value === 'boolean' ? 'Boolean' : undefined;
}

const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const name = some('a', 'b', 'load_time', 'TIMEOUT', 'Time', 'utm_x', '$feature/f', 'l'.repeat(200), 'é'.repeat(101), '$group_0', '$groups');
const named = fc.dictionary(name, some<unknown>(1, 'x', ' true ', 'True', true, null, [], {}), { maxKeys: 4 });
const event: fc.Arbitrary<Seen> = fc.record({
  teamId: some(1, 2),
  event: some('seen', 'bought', '$groupidentify', '$$plugin_metrics', 'e'.repeat(201)),
  properties: fc
    .tuple(
      named,
      fc.record(
        { $set: named, $set_once: named, $group_type: some('company', 'project', 'sixth'), $group_set: named },
        { requiredKeys: [] },
      ),
    )
    .map(([flat, nested]) => ({ ...flat, ...nested })),
  passedMs: some(0, 0, 60_000, HOUR_MS, 25 * HOUR_MS),
});

test('D-1 to D-7, K3, property: whatever is forgotten, the tables are those that every event by itself would make (2,000 histories)', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 12 }), some(1, 8, 1_000), (history, capacityCount) => {
      const known = new KnownDefinitions(capacityCount);
      const [tables, plain] = [noTables(), noTables()];
      let nowMs = Date.UTC(2026, 10, 21);
      for (const seen of history) {
        nowMs += seen.passedMs;
        const into = noDefinitions();
        const groupTypeIndex = (type: string): number | undefined => (GROUP_TYPES.includes(type) ? GROUP_TYPES.indexOf(type) : undefined);
        known.collect({ ...seen, groupTypeIndex }, nowMs, into);
        write(tables, into);
        writePlainly(plain, seen, nowMs);
      }
      expect(tables).toStrictEqual(plain);
    }),
    { seed: 20261121, numRuns: 2_000 },
  );
}, 60_000);
