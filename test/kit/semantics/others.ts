import { NO_ROW, UUID, type SemanticCase, type StoredHeatmap } from './case.ts';

const CLICK = { x: 32, y: 40, target_fixed: true, type: 'click' };
const cells = (parts: object): StoredHeatmap => ({
  type: 'click',
  x: 2,
  y: 3,
  scaleFactor: 16,
  viewportWidth: 64,
  viewportHeight: 50,
  isFixed: true,
  url: 'https://a.test/x',
  sessionId: 'undefined',
  distinctId: 'd',
  ...parts,
});
const WINDOW = { $viewport_height: 800, $viewport_width: 1_024 };

/** 2.8, 2.11 and the table of merges as far as it warns */
export const OTHERS: readonly SemanticCase[] = [
  {
    name: 'G-1, G-2, G-4, 10.34: five group types get an index, the sixth none; a $group_<n> as sent stays',
    sent: [
      { event: 'a', properties: { $groups: { one: 'k1', two: 2 } } },
      { event: 'b', properties: { $groups: { three: 'k3', four: 'k4', five: 'k5', six: 'k6' } } },
      { event: 'c', properties: { $group_3: 'as sent', $groups: { six: 'k6' } } },
    ],
    events: [
      { event: 'a', properties: { $groups: { one: 'k1', two: 2 }, $group_0: 'k1', $group_1: 2 } },
      {
        event: 'b',
        properties: { $groups: { three: 'k3', four: 'k4', five: 'k5', six: 'k6' }, $group_2: 'k3', $group_3: 'k4', $group_4: 'k5' },
      },
      { event: 'c', properties: { $group_3: 'as sent', $groups: { six: 'k6' } } },
    ],
  },
  {
    name: 'PP-5, G-5: $groupidentify updates no person; a key that no column holds is told to the team, and the event stored',
    sent: [
      {
        event: '$groupidentify',
        outer: { uuid: UUID },
        properties: { $group_type: 'firm', $group_key: 'k'.repeat(401), $group_set: { a: 1 }, $set: { b: 1 } },
      },
    ],
    events: [
      {
        event: '$groupidentify',
        properties: { $group_type: 'firm', $group_key: 'k'.repeat(401), $group_set: { a: 1 } },
        personProperties: { $creator_event_uuid: UUID },
      },
    ],
    warnings: [{ type: 'group_key_too_long', details: { eventUuid: UUID, groupType: 'firm', groupKey: 'k'.repeat(401) } }],
  },
  {
    name: 'H-1, H-4: clicks and the depth of the page before become rows, and leave the event',
    sent: [
      {
        properties: {
          ...WINDOW,
          $heatmap_data: { 'https://a.test/x': [CLICK, { ...CLICK, x: 'no' }], ' ': [CLICK] },
          $session_id: 's',
          $current_url: 'https://a.test/here?q',
          $prev_pageview_pathname: '/before',
          $prev_pageview_max_scroll: 160,
        },
      },
    ],
    events: [{ event: 'seen' }],
    heatmaps: [
      cells({ sessionId: 's' }),
      cells({ sessionId: 's', type: 'scrolldepth', x: 0, y: 10, isFixed: false, url: 'https://a.test/before?q' }),
    ],
  },
  {
    name: 'H-2: of a team that opted out there are none, and the data leave the event all the same',
    team: 'heatmaps_opt_in = false',
    sent: [{ properties: { ...WINDOW, $heatmap_data: { 'https://a.test/x': [CLICK] } } }],
    events: [{ event: 'seen', properties: { ...WINDOW } }],
  },
  {
    name: 'H-3: no size of the window, or an address that is none, costs the rows and never the event',
    sent: [
      { event: 'a', properties: { $heatmap_data: { 'https://a.test/x': [CLICK] } } },
      {
        event: 'b',
        outer: { uuid: UUID },
        properties: { ...WINDOW, $current_url: 'nowhere', $prev_pageview_pathname: '/before' },
      },
    ],
    events: [{ event: 'a', properties: {} }, { event: 'b' }],
    warnings: [{ type: 'invalid_heatmap_data', details: { eventUuid: UUID } }],
  },
  {
    name: 'L-4, 10.33: $$heatmap is its rows and neither an event nor a person',
    sent: [
      {
        event: '$$heatmap',
        properties: { ...WINDOW, $heatmap_data: { 'https://a.test/x': [CLICK] }, $set: { a: 1 } },
        endsAt: 'extractHeatmapDataStep',
      },
    ],
    events: NO_ROW,
    heatmaps: [cells({})],
  },
  {
    name: '3.5, 10.14, W-1: merges on an illegal id are told each time, and the event goes on',
    sent: ['null', 'anonymous'].map((other, n) => ({
      event: '$identify',
      distinctId: 'ann',
      outer: { uuid: UUID.replace('aa', `a${n}`) },
      properties: { $anon_distinct_id: other, $set: { a: n } },
    })),
    events: [{ event: '$identify' }, { event: '$identify' }],
    warnings: ['null', 'anonymous'].map((illegalDistinctId, n) => ({
      type: 'cannot_merge_with_illegal_distinct_id',
      details: { illegalDistinctId, otherDistinctId: 'ann', eventUuid: UUID.replace('aa', `a${n}`) },
    })),
  },
  {
    name: 'L-2, 4.7: what nobody can work is a row for the team',
    sent: [{ outer: { uuid: UUID, site_url: 'https://s.test', data: '[1]', ip: '1.2.3.4' }, endsAt: 'dead-lettered' }],
    events: NO_ROW,
  },
];
