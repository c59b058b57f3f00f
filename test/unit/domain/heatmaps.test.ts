import { describe, expect, test } from 'vitest';
import type { Json } from '../../../src/domain/event.ts';
import { takeHeatmap, type Heatmap, type HeatmapParts } from '../../../src/domain/heatmaps.ts';
import { anEvent, NOW_MS, UUID } from './build.ts';

const VIEWPORT = { $viewport_height: 1_080, $viewport_width: 1_920, $session_id: 's' };
const URL_A = 'http://localhost:3000/a';
const click = { x: 1_020, y: 363, target_fixed: false, type: 'mousemove' };

function take(properties: Json, parts: Partial<HeatmapParts> & { readonly distinctId?: string } = {}): Heatmap & { readonly left: Json } {
  const event = anEvent({ properties, distinct_id: parts.distinctId ?? 'd1' });
  const heatmap = takeHeatmap(event, { isOptedIn: true, teamId: 1, eventUuid: UUID, timestampMs: NOW_MS, ...parts });
  return { ...heatmap, left: JSON.parse(JSON.stringify(event.properties)) as Json };
}

/** `type x,y url` of each row. */
const places = ({ rows }: Heatmap): string[] => rows.map(({ type, x, y, currentUrl }) => `${type} ${x},${y} ${currentUrl}`);

describe('takeHeatmap', () => {
  test('H-1, H-4: an item becomes a row in cells of 16 pixels, with what the event says of the page', () => {
    expect(take({ ...VIEWPORT, $heatmap_data: { [URL_A]: [{ ...click, target_fixed: true }] } }).rows).toEqual([
      {
        table: 'heatmaps',
        teamId: 1,
        eventUuid: UUID,
        type: 'mousemove',
        x: 64,
        y: 23,
        scaleFactor: 16,
        viewportWidth: 120,
        viewportHeight: 68,
        pointerTargetFixed: true,
        currentUrl: URL_A,
        sessionId: 's',
        distinctId: 'd1',
        timestampMs: NOW_MS,
      },
    ]);
  });

  test('H-4: without a $session_id the row says undefined, as PostHog does', () => {
    const { rows } = take({ $viewport_height: 1, $viewport_width: 1, $heatmap_data: { [URL_A]: [click] } });
    expect(rows.map(({ sessionId }) => sessionId)).toEqual(['undefined']);
  });

  test.each<[string, Json, readonly string[]]>([
    [
      'all items of all pages',
      { $heatmap_data: { [URL_A]: [click, click], 'http://b/': [click] } },
      [`mousemove 64,23 ${URL_A}`, `mousemove 64,23 ${URL_A}`, 'mousemove 64,23 http://b/'],
    ],
    [
      'the depth of the scroll on the page before, under its address',
      { $prev_pageview_pathname: '/test', $prev_pageview_max_scroll: 225, $current_url: 'http://localhost:3000/now?q=1' },
      ['scrolldepth 0,14 http://localhost:3000/test?q=1'],
    ],
    [
      'both, the items first',
      { $heatmap_data: { [URL_A]: [click] }, $prev_pageview_pathname: '/b', $prev_pageview_max_scroll: 16, $current_url: URL_A },
      [`mousemove 64,23 ${URL_A}`, 'scrolldepth 0,1 http://localhost:3000/b'],
    ],
    ['no scroll depth without an address of now', { $prev_pageview_pathname: '/b', $prev_pageview_max_scroll: 16 }, []],
    ['no scroll depth that is no number', { $prev_pageview_pathname: '/b', $current_url: URL_A }, []],
  ])('H-1: %s', (_, properties, expected) => {
    expect(places(take({ ...VIEWPORT, ...properties }))).toEqual(expected);
  });

  test('H-2: a team that opted out has no rows, and $heatmap_data leaves the event all the same', () => {
    const { rows, left } = take({ ...VIEWPORT, a: 1, $heatmap_data: { [URL_A]: [click] } }, { isOptedIn: false });
    expect([rows, left]).toEqual([[], { ...VIEWPORT, a: 1 }]);
  });

  test.each<[string, unknown]>([
    ['an object', { [URL_A]: [click] }],
    ['an empty one', {}],
    ['a text', 'x'],
    ['null', null],
    ['a list', [[click]]],
  ])('H-2: $heatmap_data leaves the event when it is %s', (_, data) => {
    expect(take({ ...VIEWPORT, $heatmap_data: data }).left).toEqual(VIEWPORT);
  });

  test.each<[string, Json, string, Heatmap['dropCause']]>([
    ['a distinct_id that is blank', VIEWPORT, ' ', 'invalid_distinct_id'],
    ['an illegal distinct_id', VIEWPORT, 'anonymous', 'invalid_distinct_id'],
    ['no viewport', { $session_id: 's' }, 'd1', 'invalid_viewport_dimensions'],
    ['a viewport of text', { ...VIEWPORT, $viewport_height: '1080' }, 'd1', 'invalid_viewport_dimensions'],
    ['a width of null', { ...VIEWPORT, $viewport_width: null }, 'd1', 'invalid_viewport_dimensions'],
  ])('H-3: %s drops all rows and names the cause', (_, properties, distinctId, cause) => {
    const heatmap = take({ ...properties, $heatmap_data: { [URL_A]: [click] } }, { distinctId });
    expect([heatmap.rows, heatmap.dropCause, heatmap.warning]).toEqual([[], cause, undefined]);
    expect(heatmap.left).toEqual(properties);
  });

  test('H-3: without data there is nothing to drop, whatever the distinct_id', () => {
    expect(take({}, { distinctId: 'null' }).dropCause).toBeUndefined();
  });

  test.each<[string, Json]>([
    ['x is no number', { ...click, x: '5' }],
    ['y is missing', { x: 1, type: 'click' }],
    ['the type is blank', { ...click, type: ' ' }],
    ['the type is no text', { ...click, type: 7 }],
  ])('H-3: an item is skipped when %s; its neighbours are kept', (_, item) => {
    expect(places(take({ ...VIEWPORT, $heatmap_data: { [URL_A]: [item, null, 'x', click] } }))).toEqual([`mousemove 64,23 ${URL_A}`]);
  });

  test('H-3: a blank address and items that are no list are skipped', () => {
    expect(take({ ...VIEWPORT, $heatmap_data: { ' ': [click], [URL_A]: { 0: click } } }).rows).toEqual([]);
  });

  test('H-3: an address of now that cannot be read makes a warning and no rows', () => {
    const heatmap = take({
      ...VIEWPORT,
      $heatmap_data: { [URL_A]: [click] },
      $prev_pageview_pathname: '/b',
      $prev_pageview_max_scroll: 1,
      $current_url: 'not an address',
    });
    expect(heatmap.rows).toEqual([]);
    expect(heatmap.warning).toMatchObject({ type: 'invalid_heatmap_data', details: { eventUuid: UUID }, alwaysSend: false });
  });

  test.each([
    [1e9, 0x7fff],
    [-1e9, -0x8000],
    [Infinity, 0x7fff],
    [-23, -1],
  ])('H-4: %d pixels are stored as %d cells, inside the column', (pixels, cells) => {
    expect(take({ ...VIEWPORT, $heatmap_data: { [URL_A]: [{ ...click, x: pixels }] } }).rows.map(({ x }) => x)).toEqual([cells]);
  });

  test('an event with 20,000 items keeps 10,000', () => {
    expect(take({ ...VIEWPORT, $heatmap_data: { [URL_A]: Array(20_000).fill(click) } }).rows).toHaveLength(10_000);
  });
});
