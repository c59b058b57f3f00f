import fc from 'fast-check';
import type { Json } from '../../src/domain/event.ts';
import type { HostileIds } from './hostile-records.ts';

/** Names that some rule reads: an arbitrary value under an arbitrary name would hardly ever meet a rule. */
const ENVELOPE_FIELDS = ['uuid', 'distinct_id', 'ip', 'site_url', 'data', 'token', 'now', 'sent_at', 'team_id', '__proto__'];
const EVENT_FIELDS = [
  'event',
  'properties',
  'timestamp',
  'offset',
  '$set',
  '$set_once',
  '$unset',
  'uuid',
  'distinct_id',
  'token',
  '__proto__',
];
const PROPERTIES = [
  '$set',
  '$set_once',
  '$unset',
  '$ip',
  '$groups',
  '$group_type',
  '$group_key',
  '$group_set',
  '$elements',
  '$elements_chain',
  '$anon_distinct_id',
  'alias',
  '$process_person_profile',
  '$heatmap_data',
  '$viewport_height',
  '$viewport_width',
  '$current_url',
  '$prev_pageview_pathname',
  '$exception_list',
  '$exception_stack_trace_raw',
  '$ignore_sent_at',
  '$os_name',
  '$browser',
  '__proto__',
  'constructor',
];
const EVENT_NAMES = [
  'hostile',
  '$set',
  '$identify',
  '$create_alias',
  '$merge_dangerously',
  '$groupidentify',
  '$exception',
  '$$heatmap',
  '$snapshot',
];

/** Any text, halves of surrogate pairs and U+0000 included. */
const anyText = fc.string({ unit: 'binary', maxLength: 20 });
const anyValue = fc.jsonValue({ maxDepth: 4 }).chain((value) => fc.constantFrom(value, [value], { toString: value }));
const someOf = (names: readonly string[]): fc.Arbitrary<Json> =>
  fc.dictionary(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: anyText }), anyValue, { maxKeys: 6 });

/**
 * Kafka values by a generator of arbitrary JSON: mostly an envelope whose fields, event or properties are anything, sometimes JSON
 * that is no envelope, sometimes bytes. `ids` are those of a record that would be right.
 */
export function arbitraryRecord(ids: HostileIds): fc.Arbitrary<Buffer> {
  const envelope = fc
    .record({
      name: fc.oneof(fc.constantFrom(...EVENT_NAMES), anyText),
      properties: someOf(PROPERTIES),
      inner: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: someOf(EVENT_FIELDS) }),
      outer: fc.oneof({ weight: 4, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: someOf(ENVELOPE_FIELDS) }),
    })
    .map(({ name, properties, inner, outer }) =>
      textOf({
        uuid: ids.uuid,
        distinct_id: ids.distinctId,
        ip: '127.0.0.1',
        data: textOf({ event: name, properties, ...inner }),
        token: ids.token,
        now: ids.now,
        sent_at: '',
        ...outer,
      }),
    );
  const json = fc.json({ maxDepth: 5 });
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  return fc.oneof(
    { weight: 8, arbitrary: envelope.map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: json.map((text) => Buffer.from(text)) },
    { weight: 1, arbitrary: bytes },
  );
}

/** JSON text in which a key `__proto__` is a key, as a client would send it. */
const textOf = (fields: Json): string => JSON.stringify(fields);
