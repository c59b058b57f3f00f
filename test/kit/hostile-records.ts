import type { Json } from '../../src/domain/event.ts';
import { deadLettered, dropped, STORED, type DeadLetterReason, type DropReason, type Outcome } from '../../src/domain/outcome.ts';
import { WRONG_FIELDS } from './hostile-fields.ts';

/**
 * Kafka values that nobody should send and somebody will, each with the one outcome it must end in. The unit suite runs
 * them through the rules alone, the integration suite through the whole pipeline: same table, same outcomes.
 *
 * Every record names ids of its own (`HostileIds`), so that a suite can find its row, and so that no two share a person.
 */
export interface HostileIds {
  /** Lower-case uuid of the event. */
  readonly uuid: string;
  readonly distinctId: string;
  /** Token of a team that exists. */
  readonly token: string;
  /** ISO time of the server. */
  readonly now: string;
}
export interface HostileRecord {
  readonly name: string;
  readonly outcome: Outcome;
  readonly build: (ids: HostileIds) => Buffer | null;
}

/** `value` serves for whole values, `outer` replaces envelope fields, `inner` fields of the event, `data` the inner text. */
interface Shape {
  readonly value?: (ids: HostileIds) => Buffer | string | null;
  readonly outer?: Json | ((ids: HostileIds) => Json);
  readonly inner?: Json | ((ids: HostileIds) => Json);
  readonly data?: string | ((ids: HostileIds) => string);
}

const record = (name: string, outcome: Outcome, shape: Shape): HostileRecord => ({
  name,
  outcome,
  build(ids) {
    if (shape.value !== undefined) {
      const value = shape.value(ids);
      return typeof value === 'string' ? Buffer.from(value) : value;
    }
    return Buffer.from(envelopeText(ids, shape));
  },
});

function envelopeText(ids: HostileIds, shape: Omit<Shape, 'value'>): string {
  const given = <T>(part: T | ((ids: HostileIds) => T) | undefined): T | undefined =>
    typeof part === 'function' ? (part as (ids: HostileIds) => T)(ids) : part;
  const inner = { event: 'hostile', uuid: ids.uuid, distinct_id: ids.distinctId, properties: {}, ...given(shape.inner) };
  const data = given(shape.data) ?? JSON.stringify(inner);
  return JSON.stringify({
    uuid: ids.uuid,
    distinct_id: ids.distinctId,
    ip: '127.0.0.1',
    data,
    token: ids.token,
    now: ids.now,
    sent_at: '',
    ...given(shape.outer),
  });
}

const stored = (name: string, shape: Shape): HostileRecord => record(name, STORED, shape);
const drop = (reason: DropReason, name: string, shape: Shape): HostileRecord => record(name, dropped(reason), shape);
const dead = (reason: DeadLetterReason, name: string, shape: Shape): HostileRecord => record(name, deadLettered(reason), shape);

/** `{"toString":null}`: has no text form, String() throws on it (PostHog #101518). */
const TEXTLESS: Json = { toString: null, valueOf: 1 };
const HALF = '\ud83d';
/** The inner text of an event with these properties, written by hand where JSON.stringify would tidy up. */
const withProperties = (properties: string): string => `{"event":"hostile","properties":${properties}}`;
const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + '1' + close.repeat(depth);
const manyKeys = (count: number): Json => Object.fromEntries(Array.from({ length: count }, (_, i) => [`key ${i}`, i]));

const NOT_AN_ENVELOPE: readonly HostileRecord[] = [
  dead('failed_parse_message', 'a tombstone', { value: () => null }),
  dead('failed_parse_message', 'no bytes', { value: () => Buffer.alloc(0) }),
  dead('failed_parse_message', 'not JSON', { value: () => 'GET / HTTP/1.1' }),
  dead('failed_parse_message', 'JSON cut short', { value: (ids) => envelopeText(ids, {}).slice(0, -10) }),
  dead('failed_parse_message', 'two JSON objects', { value: (ids) => envelopeText(ids, {}).repeat(2) }),
  dead('failed_parse_message', 'a byte order mark', { value: (ids) => `\ufeff${envelopeText(ids, {})}` }),
  dead('failed_parse_message', 'UTF-16', { value: (ids) => Buffer.from(envelopeText(ids, {}), 'utf16le') }),
  dead('failed_parse_message', 'gzip magic and noise', { value: () => Buffer.from([0x1f, 0x8b, 0x08, 0x00, 0xff, 0xfe, 0x00, 0x80]) }),
  dead('failed_parse_message', 'the text null', { value: () => 'null' }),
  dead('failed_parse_message', 'a number', { value: () => '1e400' }),
  dead('failed_parse_message', 'a text', { value: () => '"event"' }),
  dead('failed_parse_message', 'a list', { value: (ids) => `[${envelopeText(ids, {})}]` }),
  dead('failed_parse_message', 'an empty object', { value: () => '{}' }),
  dead('failed_parse_message', '900 kB of opening brackets', { value: () => '['.repeat(900_000) }),
  dead('failed_parse_message', 'data missing', { outer: { data: undefined } }),
  dead('failed_parse_message', 'data null', { outer: { data: null } }),
  dead('failed_parse_message', 'data an object instead of a text', { outer: { data: { event: 'hostile' } } }),
  dead('failed_parse_message', 'data a number', { outer: { data: 5 } }),
];

const ENVELOPE_FIELDS: readonly HostileRecord[] = [
  stored('now missing', { outer: { now: undefined } }),
  stored('now null', { outer: { now: null } }),
  stored('now an object', { outer: { now: TEXTLESS } }),
  stored('now no time', { outer: { now: 'now' } }),
  stored('now on the 32nd of January', { outer: { now: '2024-01-32T00:00:00Z' } }),
  stored('team_id an object', { outer: { team_id: TEXTLESS } }),
  stored('team_id negative', { outer: { team_id: -1 } }),
  stored('team_id 2^63', { value: (ids) => envelopeText(ids, {}).replace('{', '{"team_id":9223372036854775808,') }),
  stored('team_id 1e400', { value: (ids) => envelopeText(ids, {}).replace('{', '{"team_id":1e400,') }),
  drop('no_token', 'no token and no team', { outer: { token: undefined } }),
  drop('no_token', 'token null', { outer: { token: null } }),
  drop('no_token', 'token empty', { outer: { token: '' } }),
  drop('invalid_token', 'token unknown', { outer: { token: 'phc_nobody_has_this' } }),
  drop('invalid_token', 'token an object without a text', { outer: { token: TEXTLESS } }),
  drop('invalid_token', 'token a list', { outer: { token: ['a', TEXTLESS] } }),
  drop('invalid_token', 'token with U+0000', { outer: (ids) => ({ token: `${ids.token}\0` }) }),
  drop('invalid_token', 'token with half a surrogate pair', { outer: { token: HALF } }),
  drop('invalid_token', 'token of 500 kB', { outer: { token: 't'.repeat(500_000) } }),
  drop('invalid_token', 'token with SQL in it', { outer: { token: "'; DROP TABLE posthog_team; --" } }),
  drop('invalid_uuid', 'uuid missing', { outer: { uuid: undefined }, inner: { uuid: undefined } }),
  stored('uuid only in the inner event', { outer: { uuid: undefined } }),
  drop('invalid_uuid', 'uuid null', { outer: { uuid: null } }),
  drop('invalid_uuid', 'uuid an object without a text', { outer: { uuid: TEXTLESS } }),
  drop('invalid_uuid', 'uuid one digit short', { outer: (ids) => ({ uuid: ids.uuid.slice(1) }) }),
  drop('invalid_uuid', 'uuid with a line end', { outer: (ids) => ({ uuid: `${ids.uuid}\n` }) }),
  drop('invalid_uuid', 'uuid of 800 kB', { outer: { uuid: 'a'.repeat(800_000) } }),
  stored('uuid in capitals', { outer: (ids) => ({ uuid: ids.uuid.toUpperCase() }) }),
  drop('invalid_distinct_id', 'distinct_id of 401 characters', { outer: { distinct_id: 'd'.repeat(401) } }),
  drop('invalid_distinct_id', 'distinct_id of 900 kB', { outer: { distinct_id: 'd'.repeat(900_000) } }),
  stored('distinct_id of 400 characters', { outer: (ids) => ({ distinct_id: ids.distinctId.padEnd(400, 'd') }) }),
  stored('distinct_id an object without a text', { outer: { distinct_id: TEXTLESS } }),
  stored('distinct_id a list of such objects', { outer: (ids) => ({ distinct_id: [TEXTLESS, ids.distinctId] }) }),
  stored('distinct_id null', { outer: { distinct_id: null } }),
  stored('distinct_id empty', { outer: { distinct_id: '' } }),
  stored('distinct_id with U+0000', { outer: (ids) => ({ distinct_id: `${ids.distinctId}\0` }) }),
  stored('distinct_id with half a surrogate pair', { outer: (ids) => ({ distinct_id: `${ids.distinctId}${HALF}` }) }),
  stored('distinct_id named like an inherited property', { outer: { distinct_id: '__proto__' } }),
  stored('distinct_id with emoji and line ends', { outer: (ids) => ({ distinct_id: `${ids.distinctId} 😀\r\n\t` }) }),
  stored('ip an object', { outer: { ip: TEXTLESS } }),
  stored('sent_at an object', { outer: { sent_at: TEXTLESS } }),
  stored('sent_at no time', { outer: { sent_at: 'just now' }, inner: { timestamp: '2024-01-01T00:00:00Z' } }),
  stored('site_url a number', { outer: { site_url: 5 } }),
  stored('bytes that are not UTF-8 in a property', {
    value: (ids) => {
      const text = Buffer.from(envelopeText(ids, { inner: { properties: { bad: 'XX' } } }));
      const at = text.indexOf('XX');
      text[at] = 0xc3;
      text[at + 1] = 0x28;
      return text;
    },
  }),
  stored('a key __proto__ in the envelope', { value: (ids) => envelopeText(ids, {}).replace('{', '{"__proto__":{"polluted":true},') }),
  stored('every field twice', { value: (ids) => `${envelopeText(ids, {}).slice(0, -1)},${envelopeText(ids, {}).slice(1)}` }),
];

const EVENTS: readonly HostileRecord[] = [
  dead('failed_parse_message', 'data not JSON', { data: 'undefined' }),
  dead('failed_parse_message', 'data empty', { data: '' }),
  dead('failed_parse_message', 'data with NaN', { data: withProperties('{"a":NaN}') }),
  dead('failed_parse_event', 'data the text null', { data: 'null' }),
  dead('failed_parse_event', 'data a list', { data: '[]' }),
  dead('failed_parse_event', 'data a text', { data: '"x"' }),
  dead('failed_parse_event', 'no event name', { inner: { event: undefined } }),
  dead('failed_parse_event', 'properties a text', { inner: { properties: 'x' } }),
  dead('failed_parse_event', 'properties a list', { inner: { properties: [1, 2] } }),
  dead('failed_parse_event', 'properties true', { inner: { properties: true } }),
  dead('failed_parse_event', '200,000 lists in one another', { data: withProperties(`{"a":${nested(200_000, '[', ']')}}`) }),
  dead('failed_parse_event', '100,000 objects in one another', { data: withProperties(nested(100_000, '{"a":', '}')) }),
  stored('450 objects in one another', { data: withProperties(nested(450, '{"a":', '}')) }),
  stored('450 objects in one another for the person', { data: withProperties(`{"$set":{"deep":${nested(450, '{"a":', '}')}}}`) }),
  stored('properties null', { inner: { properties: null } }),
  stored('event name an object without a text', { inner: { event: TEXTLESS } }),
  stored('event name null', { inner: { event: null } }),
  stored('event name empty', { inner: { event: '' } }),
  stored('event name of 100 kB', { inner: { event: 'e'.repeat(100_000) } }),
  stored('event name cut through a surrogate pair', { inner: { event: `${'e'.repeat(199)}😀` } }),
  stored('event name with U+0000 and half a surrogate pair', { inner: { event: `e\0${HALF}` } }),
  stored('inner ids that contradict the envelope', {
    inner: { uuid: TEXTLESS, distinct_id: TEXTLESS, token: 'other', team_id: 'x', now: 5, ip: [] },
  }),
  stored('properties with U+0000 in key and value', { inner: { properties: { 'a\0b': 'c\0d', $set: { 'e\0f': 'g\0h' } } } }),
  stored('properties with halves of surrogate pairs', { inner: { properties: { [HALF]: HALF, $set: { [HALF]: HALF, ok: '\udc00' } } } }),
  stored('numbers beyond a double', {
    data: withProperties('{"a":1e400,"b":-1e400,"c":9223372036854775808,"d":1e-400,"$set":{"n":1e400}}'),
  }),
  stored('a number of 100,000 digits', { data: withProperties(`{"a":${'9'.repeat(100_000)}}`) }),
  stored('10,000 properties', { inner: { properties: manyKeys(10_000) } }),
  stored('10,000 person properties', { inner: { properties: { $set: manyKeys(10_000) } } }),
  stored('900 kB in one property', { inner: { properties: { big: 'x'.repeat(900_000) } } }),
  stored('400 kB in one person property', { inner: { properties: { $set: { big: 'x'.repeat(400_000) } } } }),
  stored('a property name of 100 kB', { inner: { properties: { ['k'.repeat(100_000)]: 1 } } }),
  stored('keys __proto__, constructor, toString everywhere', {
    data: withProperties(
      '{"__proto__":{"p":1},"constructor":{"prototype":{"p":1}},"toString":null,"$set":{"__proto__":{"p":1},"constructor":1,"toString":null,"hasOwnProperty":1}}',
    ),
  }),
  stored('the same key many times', { data: withProperties(`{${'"a":1,'.repeat(1_000)}"a":2}`) }),
  stored('keys with dots and quotes that clash', { data: withProperties('{"a.b":1,"a":{"b":2},"":3,"\\"":4,"\\\\":5}') }),
];

const RULES: readonly HostileRecord[] = [
  stored('timestamp an object without a text', { inner: { timestamp: TEXTLESS } }),
  stored('timestamp without a zone', { inner: { timestamp: '2024-05-01 12:00:00' } }),
  stored('timestamp of the year 0', { inner: { timestamp: '0000-01-01T00:00:00Z' } }),
  stored('timestamp before the calendar', { inner: { timestamp: '-271821-04-20T00:00:00Z' } }),
  stored('timestamp of the year 275760', { inner: { timestamp: '+275760-09-13T00:00:00Z' } }),
  stored('timestamp 1e400', { data: '{"event":"hostile","timestamp":1e400,"properties":{}}' }),
  stored('timestamp -2^63', { data: '{"event":"hostile","timestamp":-9223372036854775808,"properties":{}}' }),
  stored('timestamp and sent_at as far apart as can be', {
    outer: { sent_at: '+275760-09-13T00:00:00Z' },
    inner: { timestamp: '-271821-04-20T00:00:00Z' },
  }),
  stored('timestamp of 100 kB', { inner: { timestamp: '2'.repeat(100_000) } }),
  stored('offset an object', { inner: { offset: TEXTLESS } }),
  stored('offset 1e308', { inner: { offset: 1e308 } }),
  stored('$set a text, $set_once a list, $unset a number', {
    inner: { $set: 'abc', $set_once: [1], $unset: 5, properties: { $set: 'abc', $set_once: 7, $unset: true } },
  }),
  stored('$unset of things that are no keys', { inner: { properties: { $unset: [null, TEXTLESS, 5, '__proto__', 'toString'] } } }),
  stored('$identify with an anonymous id without a text', { inner: { event: '$identify', properties: { $anon_distinct_id: TEXTLESS } } }),
  stored('$identify with an anonymous id of 900 kB', {
    inner: { event: '$identify', properties: { $anon_distinct_id: 'a'.repeat(900_000) } },
  }),
  stored('$identify with an anonymous id with U+0000', {
    inner: (ids) => ({ event: '$identify', properties: { $anon_distinct_id: `${ids.distinctId}-anon\0` } }),
  }),
  stored('$identify with itself', { inner: (ids) => ({ event: '$identify', properties: { $anon_distinct_id: ids.distinctId } }) }),
  stored('$create_alias of lists', { inner: { event: '$create_alias', properties: { alias: [[[TEXTLESS]], null] } } }),
  stored('$merge_dangerously with nobody', { inner: { event: '$merge_dangerously', properties: { alias: '  ' } } }),
  stored('$groups a text', { inner: { properties: { $groups: 'company' } } }),
  stored('$groups with impossible types', {
    inner: { properties: { $groups: { 'a\0': 1, ['g'.repeat(500)]: 2, [HALF]: 3, '': 4, __proto__: 5 } } },
  }),
  stored('$groupidentify with a key without a text', {
    inner: { event: '$groupidentify', properties: { $group_type: 'hostile', $group_key: TEXTLESS, $group_set: { a: TEXTLESS } } },
  }),
  stored('$groupidentify with a key of 100 kB', {
    inner: { event: '$groupidentify', properties: { $group_type: 'hostile', $group_key: 'k'.repeat(100_000), $group_set: {} } },
  }),
  stored('$groupidentify with a set that is a list', {
    inner: (ids) => ({ event: '$groupidentify', properties: { $group_type: 'hostile', $group_key: ids.distinctId, $group_set: [1] } }),
  }),
  stored('$process_person_profile an object without a text', { inner: { properties: { $process_person_profile: TEXTLESS } } }),
  stored('$process_person_profile "false"', { inner: { properties: { $process_person_profile: 'false' } } }),
  stored('a personless event that sets everything', {
    inner: { $set: { a: 1 }, properties: { $process_person_profile: false, $set: { a: 1 }, $unset: ['a'], $groups: { hostile: 'g' } } },
  }),
  drop('invalid_event_for_flags', 'a personless $identify', {
    inner: { event: '$identify', properties: { $process_person_profile: false } },
  }),
  stored('$elements a text', { inner: { properties: { $elements: 'abc' } } }),
  stored('$elements of everything but elements', { inner: { properties: { $elements: [null, 5, TEXTLESS, [], 'x'] } } }),
  stored('$elements with values without a text', {
    inner: { properties: { $elements: [{ attr__x: TEXTLESS, tag_name: TEXTLESS, nth_child: TEXTLESS }] } },
  }),
  stored('$elements_chain an object', { inner: { properties: { $elements_chain: TEXTLESS } } }),
  stored('$elements_chain with half a surrogate pair', { inner: { properties: { $elements_chain: `a:text="${HALF}"` } } }),
  stored('$ip an object', { inner: { properties: { $ip: TEXTLESS } } }),
  stored('$exception with a stack of nonsense', {
    inner: { event: '$exception', properties: { $exception_list: TEXTLESS, $exception_stack_trace_raw: '{' } },
  }),
  drop('client_ingestion_warning', 'a client warning with an object as its message', {
    inner: { event: '$$client_ingestion_warning', properties: { $$client_ingestion_warning_message: TEXTLESS } },
  }),
  drop('heatmap', 'a heatmap of nonsense', { inner: { event: '$$heatmap', properties: { $heatmap_data: TEXTLESS } } }),
];

const FIELDS: readonly HostileRecord[] = WRONG_FIELDS.map(({ name, outcome, outer, inner }) =>
  record(name, outcome, { ...(outer === undefined ? {} : { outer }), ...(inner === undefined ? {} : { inner }) }),
);

export const HOSTILE_RECORDS: readonly HostileRecord[] = [...NOT_AN_ENVELOPE, ...ENVELOPE_FIELDS, ...EVENTS, ...RULES, ...FIELDS];
