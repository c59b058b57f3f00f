import type { Json } from '../../src/domain/event.ts';
import { deadLettered, dropped, STORED, type Outcome } from '../../src/domain/outcome.ts';

/**
 * Every field that the rules read (spec/ingestion.md sections 1-3), with every type that it should not have. The outcome is that of
 * the rules: a field of the envelope can cost its event, a property never does.
 */
export interface WrongField {
  readonly name: string;
  readonly outcome: Outcome;
  /** Where the field stands, and what it is given. */
  readonly outer?: Json;
  readonly inner?: Json;
}

/** A value of each JSON type, at its edges. `{"toString":null}` has no text form: String() throws on it. */
const WRONG: readonly (readonly [string, unknown])[] = [
  ['null', null],
  ['true', true],
  ['-1.5', -1.5],
  ['an empty text', ''],
  ['a list', [1, [null], {}]],
  ['an object without a text', { toString: null, valueOf: 1 }],
];

const alwaysStored = (): Outcome => STORED;

/** Fields of the envelope (1.3). */
const ENVELOPE: Readonly<Record<string, (value: unknown) => Outcome>> = {
  uuid: () => dropped('invalid_uuid'),
  distinct_id: alwaysStored,
  ip: alwaysStored,
  site_url: alwaysStored,
  data: () => deadLettered('failed_parse_message'),
  token: (value) => dropped(value === null || value === '' ? 'no_token' : 'invalid_token'),
  now: alwaysStored,
  sent_at: alwaysStored,
  // The token names the team (T-2).
  team_id: alwaysStored,
  kafka_offset: alwaysStored,
};

/** Fields of the inner event that the envelope does not overwrite. */
const EVENT: Readonly<Record<string, (value: unknown) => Outcome>> = {
  event: alwaysStored,
  properties: (value) => (value === null || isPlainObject(value) ? STORED : deadLettered('failed_parse_event')),
  timestamp: alwaysStored,
  offset: alwaysStored,
  $set: alwaysStored,
  $set_once: alwaysStored,
  $unset: alwaysStored,
  api_key: alwaysStored,
};

/** Properties that a rule reads, and the event that makes it read them. */
const PROPERTIES: readonly (readonly [event: string, property: string])[] = [
  ['hostile', '$ip'],
  ['hostile', '$set'],
  ['hostile', '$set_once'],
  ['hostile', '$unset'],
  ['hostile', '$process_person_profile'],
  ['hostile', '$ignore_sent_at'],
  ['hostile', '$elements'],
  ['hostile', '$elements_chain'],
  ['hostile', '$groups'],
  ['hostile', '$group_0'],
  ['hostile', '$os_name'],
  ['hostile', '$current_url'],
  ['hostile', '$heatmap_data'],
  ['hostile', '$prev_pageview_pathname'],
  ['hostile', '$viewport_height'],
  ['hostile', '$session_id'],
  ['hostile', '$cookieless_mode'],
  ['hostile', '$lib'],
  ['hostile', '$plugins_succeeded'],
  ['$identify', '$anon_distinct_id'],
  ['$create_alias', 'alias'],
  ['$merge_dangerously', 'alias'],
  ['$groupidentify', '$group_type'],
  ['$groupidentify', '$group_key'],
  ['$groupidentify', '$group_set'],
  ['$exception', '$exception_fingerprint'],
  ['$exception', '$exception_list'],
  ['$exception', '$exception_stack_trace_raw'],
];

/** What stands beside a property: right, so that the rule gets as far as the wrong one. */
const COMPANIONS: Readonly<Record<string, Json>> = {
  $group_type: { $group_key: 'key', $group_set: { a: 1 } },
  $group_key: { $group_type: 'hostile', $group_set: { a: 1 } },
  $group_set: { $group_type: 'hostile', $group_key: 'key' },
  $heatmap_data: { $viewport_height: 100, $viewport_width: 100, $current_url: 'https://example.com/a' },
  $prev_pageview_pathname: { $viewport_height: 100, $viewport_width: 100, $current_url: 'https://example.com/a' },
  $viewport_height: { $viewport_width: 100, $heatmap_data: { 'https://example.com/a': [{ x: 1, y: 2, type: 'click' }] } },
};

const isPlainObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);

export const WRONG_FIELDS: readonly WrongField[] = WRONG.flatMap(([what, value]) => [
  ...Object.entries(ENVELOPE).map(([field, outcomeOf]) => ({
    name: `${field} is ${what}`,
    outcome: outcomeOf(value),
    outer: { [field]: value },
  })),
  ...Object.entries(EVENT).map(([field, outcomeOf]) => ({
    name: `${field} of the event is ${what}`,
    outcome: outcomeOf(value),
    inner: { [field]: value },
  })),
  ...PROPERTIES.map(([event, property]) => ({
    name: `${property} of ${event} is ${what}`,
    outcome: STORED,
    inner: { event, properties: { ...COMPANIONS[property], [property]: value } },
  })),
]);
