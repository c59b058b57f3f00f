import { expect } from 'vitest';
import { NO_ROW, UUID, type SemanticCase } from './case.ts';

/** 2.1, 2.2, 2.3, 2.5, 2.7 */
export const NORMALISED: readonly SemanticCase[] = [
  {
    name: 'K-20, 10.1: envelope fields win over those of the inner event, null included, and the others stand',
    sent: [
      {
        inner: { event: 'a', distinct_id: 'inner', timestamp: '2021-01-01T00:00:00Z', site_url: 'https://inner' },
        outer: { distinct_id: 'outer', timestamp: null, now: '2021-10-29T01:44:00.000Z' },
      },
      { inner: { event: 'b', uuid: UUID, distinct_id: 'inner' }, outer: { uuid: undefined, distinct_id: undefined } },
    ],
    events: [
      { event: 'a', distinctId: 'outer', timestamp: '2021-10-29 01:44:00.000' },
      { event: 'b', distinctId: 'inner', personProperties: { $creator_event_uuid: UUID } },
    ],
  },
  {
    name: 'N-3, A-1, A-2, 10.5: properties of the browser become those of the person, and explicit ones win',
    sent: [{ outer: { uuid: UUID }, properties: { $browser: 'Chrome', $set: { a: 5 } }, inner: { $set: { someProp: 'value' } } }],
    events: [
      {
        event: 'seen',
        properties: {
          $browser: 'Chrome',
          $set: { $browser: 'Chrome', a: 5, someProp: 'value' },
          $set_once: { $initial_browser: 'Chrome' },
        },
        personProperties: { $browser: 'Chrome', a: 5, someProp: 'value', $initial_browser: 'Chrome', $creator_event_uuid: UUID },
      },
    ],
  },
  {
    name: 'A-5, PE-5: what a plugin changes afterwards does not change $set; its mark is on the event',
    plugin: `export function processEvent(event) { event.properties.$browser = 'Lynx'; return event; }`,
    sent: [{ properties: { $browser: 'Chrome' } }],
    events: [
      {
        event: 'seen',
        properties: {
          $browser: 'Lynx',
          $set: { $browser: 'Chrome' },
          $set_once: { $initial_browser: 'Chrome' },
          $plugins_succeeded: [expect.stringContaining('plugin') as string],
          $plugins_failed: [],
        },
      },
    ],
  },
  {
    name: 'A-4: $os_name stands in for $os, of a personless event too',
    sent: [
      { event: 'a', properties: { $os_name: 'iOS' } },
      { event: 'b', distinctId: 'nobody', properties: { $os_name: 'iOS', $process_person_profile: false } },
    ],
    events: [
      { event: 'a', properties: { $os_name: 'iOS', $os: 'iOS', $set: { $os: 'iOS' }, $set_once: { $initial_os: 'iOS' } } },
      { event: 'b', properties: { $os_name: 'iOS', $os: 'iOS', $process_person_profile: false } },
    ],
  },
  {
    name: 'N-4, N-6: the address and the time of sending are properties',
    sent: [
      { event: 'a', outer: { ip: '1.2.3.4', sent_at: '2021-10-29T01:44:00.000Z' } },
      { event: 'b', outer: { ip: '1.2.3.4' }, properties: { $ip: '9.9.9.9' } },
    ],
    events: [
      { event: 'a', properties: { $ip: '1.2.3.4', $sent_at: '2021-10-29T01:44:00.000Z' } },
      { event: 'b', properties: { $ip: '9.9.9.9' } },
    ],
  },
  {
    name: 'IP-1, 10.6: of a team that anonymises the address goes after the plugins, which still see it',
    team: 'anonymize_ips = true',
    plugin: `export function processEvent(event) { event.properties.$set = { city: 'of ' + event.properties.$ip }; return event; }`,
    sent: [{ outer: { uuid: UUID, ip: '1.2.3.4' } }],
    events: [
      {
        event: 'seen',
        properties: {
          $set: { city: 'of 1.2.3.4' },
          $plugins_succeeded: [expect.stringContaining('plugin') as string],
          $plugins_failed: [],
        },
        personProperties: { city: 'of 1.2.3.4', $creator_event_uuid: UUID },
      },
    ],
  },
  {
    name: 'L-5: what a plugin drops is neither an event nor a person',
    plugin: `export function processEvent(event) { return event.event === 'noise' ? null : event; }`,
    sent: [{ event: 'noise', distinctId: 'quiet', endsAt: 'pluginsProcessEventStep' }],
    events: NO_ROW,
  },
  {
    name: 'N-20, N-21: a name that is no text becomes its JSON, is cut at 200, and half a character becomes its escape',
    sent: [
      { inner: { event: 'x'.repeat(250) } },
      { distinctId: 'half \ud83d', inner: { event: { a: 1 } } },
      { inner: { event: 'half \ude00' } },
    ],
    events: [{ event: 'half \\ude00\\' }, { event: 'x'.repeat(200) }, { event: '{"a":1}', distinctId: 'half \\ud83d\\' }],
  },
  {
    name: 'E-1, E-4, 10.28: elements become the chain, and leave the properties',
    sent: [
      {
        event: 'a',
        properties: {
          $elements: [
            {
              tag_name: 'a',
              attr__class: ['small'],
              attr__href: '/a-url',
              $el_text: 'bla bla',
              'attr__data-attr': 'something " that; could mess up',
              nth_child: 1,
            },
            { tag_name: 'div', nth_child: 1, nth_of_type: 2, $el_text: 'text' },
          ],
        },
      },
      { event: 'b', properties: { $elements_chain: 'p:nth-child="7"', $elements: [{ tag_name: 'a' }] } },
      { event: 'c', properties: { $elements: [{ tag_name: 'a', attr__x: null }] } },
    ],
    events: [
      {
        event: 'a',
        properties: {},
        elementsChain:
          'a.small:attr__class="small"attr__data-attr="something \\" that; could mess up"attr__href="/a-url"href="/a-url"nth-child="1"nth-of-type="0"text="bla bla";' +
          'div:nth-child="1"nth-of-type="2"text="text"',
      },
      { event: 'b', properties: {}, elementsChain: 'p:nth-child="7"' },
      { event: 'c', properties: { $elements: [{ tag_name: 'a', attr__x: null }] }, elementsChain: '' },
    ],
  },
];
