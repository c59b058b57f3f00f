import type { OutgoingRecord } from '../../src/kafka/port.ts';
import { eventRecord, type EventOptions } from './records.ts';

/** A record and the input topic it belongs in, without prefix. */
export interface Sent {
  readonly topic: string;
  readonly record: OutgoingRecord;
}

/** Teams that {@link everyRow} names by token: a plain one, one that tells less and wants nothing old, one with a plugin. */
export const TOKENS = { plain: 'phc_outputs', strict: 'phc_strict', plugin: 'phc_plugin' } as const;

/** Of team `strict`. */
export const STRICT_TEAM = "anonymize_ips = true, heatmaps_opt_in = false, drop_events_older_than = interval '1 day'";

/** Of team `plugin`: speaks in every voice, and does with an event what its name says. */
export const PLUGIN_FILES = {
  'plugin.json': JSON.stringify({ name: 'voices', main: 'index.js' }),
  'index.js': `
    export function setupPlugin() { console.info('set up', { half: '\\ud83d' }); }
    export async function processEvent(event) {
      for (const level of ['debug', 'log', 'info', 'warn', 'error']) console[level](event.event, 'in "' + level + '"');
      event.properties.seen = true;
      switch (event.event) {
        case 'throw': throw new TypeError('cannot bear "this"');
        case 'reject': Promise.reject(new RangeError('left alone')); return event;
        case 'drop': return null;
        case 'rename': event.distinct_id = 'renamed'; return event;
        case 'spoil': event.distinct_id = 'x'.repeat(500); return event;
        default: return event;
      }
    }`,
} as const;

const MAIN = 'events_plugin_ingestion';
const HOUR_MS = 3_600_000;
/** The strict team drops what is older than a day. */
const RECENTLY = new Date(Date.now() - HOUR_MS).toISOString();
const GROUPS = ['company', 'team', 'city', 'country', 'planet', 'universe'];

type Plain = Omit<EventOptions, 'token'> & { readonly topic?: string; readonly token?: string };

const sent = ({ topic = MAIN, ...event }: Plain): Sent => ({
  topic,
  record: eventRecord({ token: TOKENS.plain, timestamp: '2026-11-20T12:00:00.123Z', ...event }),
});
const touched = (url: string, ...items: readonly unknown[]): Record<string, unknown> => ({
  $viewport_height: 901,
  $viewport_width: 1_441,
  $session_id: 's-1',
  $heatmap_data: { [url]: items },
});

/** Persons as plain events make and change them, in ids that no other step names; `step` from 1. */
const persons = (step: number): Sent[] =>
  Array.from({ length: 12 }, (_, n) =>
    sent({
      distinctId: `person-${n}`,
      event: 'worked',
      properties: {
        step,
        $set: { [`person-${n}-last`]: step },
        $set_once: { first: step },
        ...(step === 3 ? { $unset: [`person-${n}-last`] } : {}),
        quote: 'a "b" \\ \n 😀 \u2028',
      },
    }),
  );

/**
 * Records that lead to a row of every table and a warning of every type, but `message_size_too_large` (of output kafka alone), in steps:
 * the next is sent when the one before it has ended. No step has two records of one person, so that its version is no matter of timing.
 */
export const everyRow = (): readonly (readonly Sent[])[] => [
  [
    ...persons(1),
    sent({ distinctId: 'anon-1', event: 'looked', properties: { $set_once: { source: 'ad' } } }),
    sent({ distinctId: 'anon-2', event: 'looked', properties: { $process_person_profile: false } }),
    sent({ distinctId: 'anon-3', event: 'looked', properties: { $set: { plan: 'free', nested: { a: [1, null] } } } }),
    sent({ distinctId: 'known-1', event: '$identify', properties: { $anon_distinct_id: 'known-1-before' } }),
    sent({ distinctId: 'known-2', event: '$identify', properties: { $anon_distinct_id: 'known-2-before' } }),
  ],
  [...persons(2), sent({ distinctId: 'anon-2', event: 'looked', properties: { $process_person_profile: false } })],
  [
    // Merges: with an anonymous person, with an id that had none, by alias, refused, dangerous, and of an id that is nobody's.
    sent({ distinctId: 'person-1', event: '$identify', properties: { $anon_distinct_id: 'anon-1', $set: { plan: 'pro' } } }),
    sent({ distinctId: 'person-2', event: '$create_alias', properties: { alias: 'anon-2' } }),
    sent({ distinctId: 'person-3', event: '$identify', properties: { $anon_distinct_id: 'known-1', $set: { refused: true } } }),
    sent({ distinctId: 'person-4', event: '$identify', properties: { $anon_distinct_id: 'null' } }),
    sent({ distinctId: 'person-5', event: '$merge_dangerously', properties: { alias: 'known-2' } }),
    sent({ distinctId: 'person-6', event: '$identify', properties: { $anon_distinct_id: 'anon-3' } }),
  ],
  [
    sent({
      distinctId: 'person-7',
      event: '$groupidentify',
      properties: { $group_type: 'company', $group_key: 'acme "x"', $group_set: { seats: 5, quote: '"' } },
    }),
  ],
  [
    sent({
      distinctId: 'person-7',
      event: 'bought',
      properties: { $groups: Object.fromEntries(GROUPS.map((type) => [type, `${type} 1`])) },
    }),
    sent({
      distinctId: 'person-8',
      event: '$groupidentify',
      timestamp: '2026-11-19T12:00:00Z',
      properties: { $group_type: 'company', $group_key: 'acme "x"', $group_set: { seats: 6 } },
    }),
  ],
  [
    ...persons(3),
    sent({ distinctId: 'old', event: '1890', timestamp: '1890-01-01T00:00:00Z' }),
    sent({ distinctId: 'halves \ud83d', event: 'half a \ude00 character', properties: { half: '\ud83d' } }),
    sent({ distinctId: 'nul \0', event: 'nul \0', properties: { nul: 'a\0b', $set: { nul: 'a\0b' } } }),
    sent({ distinctId: 'x'.repeat(400), event: 'y'.repeat(300) }),
    sent({
      distinctId: 'clicker',
      event: '$autocapture',
      properties: {
        $elements: [{ tag_name: 'a', $el_text: 'go "on"', attr__class: 'x y', attr__href: '/a\ud83d', nth_child: 1, nth_of_type: 2 }],
      },
    }),
    sent({
      topic: 'events_plugin_ingestion_historical',
      distinctId: 'historical',
      event: 'imported',
      timestamp: '2019-02-03T04:05:06.789Z',
    }),
    sent({ topic: 'exceptions_ingestion', distinctId: 'broke', event: '$exception', properties: { $exception_message: 'no "way"' } }),
    // B-7
    sent({ topic: 'events_plugin_ingestion_overflow', distinctId: 'hot', event: 'worked' }),
    // Heatmaps: their own event, beside another, a scroll, and one whose address cannot be read.
    sent({
      topic: 'heatmaps_ingestion',
      distinctId: 'toucher',
      event: '$$heatmap',
      properties: touched(
        'http://a/"b"',
        { x: 100, y: 2_000_000, target_fixed: true, type: 'click' },
        { x: -17, y: 8, type: 'rage\ud83d' },
      ),
    }),
    sent({
      distinctId: 'scroller',
      event: '$pageview',
      properties: {
        ...touched('http://a/c', { x: 1, y: 2, target_fixed: false, type: 'mousemove' }),
        $current_url: 'http://a/now?q=1',
        $prev_pageview_pathname: '/before',
        $prev_pageview_max_scroll: 333,
      },
    }),
    sent({
      distinctId: 'lost',
      event: '$pageview',
      properties: { ...touched('http://a/c', { x: 1, y: 2, type: 'click' }), $current_url: 'nowhere', $prev_pageview_pathname: '/before' },
    }),
  ],
  [
    // more than a minute younger than its person.
    sent({ distinctId: 'person-9', event: 'forced', timestamp: '2026-11-20T12:05:00Z', properties: { $process_person_profile: false } }),
    sent({ distinctId: 'w-1', event: 'two of a kind', uuid: 'not-a-uuid-1' }),
    sent({ distinctId: 'w-1', event: 'two of a kind', uuid: 'not-a-uuid-2' }),
    sent({ distinctId: 'w'.repeat(401), event: 'too long an id' }),
    sent({ distinctId: 'w-2', event: '$identify', properties: { $process_person_profile: false, $anon_distinct_id: 'a' } }),
    sent({ distinctId: 'w-3', event: 'unclear', properties: { $process_person_profile: 'false' } }),
    sent({ distinctId: 'w-4', event: '$$client_ingestion_warning', properties: { $$client_ingestion_warning_message: 'clock "off"' } }),
    sent({
      topic: 'client_iwarnings_ingestion',
      distinctId: 'w-5',
      event: '$$client_ingestion_warning',
      properties: { $$client_ingestion_warning_message: { nested: '\ud83d' } },
    }),
    sent({ distinctId: 'w-6', event: 'sent never', envelope: { sent_at: 'never' } }),
    sent({ distinctId: 'w-7', event: 'from the future', timestamp: '2199-01-01T00:00:00Z' }),
    sent({
      distinctId: 'w-8',
      event: '$groupidentify',
      properties: { $group_type: 'company', $group_key: 'k'.repeat(401), $group_set: { a: 1 } },
    }),
    // Z-3: in PostgreSQL six times as large as here.
    sent({ distinctId: 'w-9', event: 'said too much', properties: { $set: { much: Array.from({ length: 60_000 }, () => 1), kept: 1 } } }),
    // Dead letters: what can be read of them is a row.
    sent({
      distinctId: 'dead-1',
      event: 'with a list',
      properties: [1, '\ud83d'] as never,
      inner: {
        $set: { half: '\ud83d', nul: '\0' },
        'left "over"': [{ deep: [null, '\udc00'] }],
        elements_chain: 'a',
        created_at: 'never',
        _offset: 'x',
      },
      envelope: { ip: '10.0.0.1', site_url: 'http://s/"q"' },
    }),
    sent({ distinctId: 'dead "2"', event: undefined as never, properties: { kept: '\ud83d' } }),
    sent({ token: TOKENS.strict, distinctId: 'strict-1', event: 'too old', timestamp: '2019-01-01T00:00:00Z' }),
    sent({
      token: TOKENS.strict,
      distinctId: 'strict-2',
      event: 'anonymous',
      timestamp: RECENTLY,
      properties: { ...touched('http://a', { x: 1, y: 1, type: 'click' }), kept: 1 },
    }),
    ...['plain', 'throw', 'reject', 'drop', 'rename', 'spoil'].map((event) =>
      sent({ token: TOKENS.plugin, distinctId: `author-${event}`, event }),
    ),
  ],
];
