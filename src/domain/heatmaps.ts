import type { Json, PluginEvent } from './event.ts';
import { isJsonObject } from './json.ts';
import { isIllegalDistinctId } from './merge.ts';
import type { SideRow } from './rows.ts';
import { toText } from './strings.ts';
import { warning, type IngestionWarning } from './warnings.ts';

/** A row of `heatmaps` (H-4). */
export type HeatmapRow = Extract<SideRow, { table: 'heatmaps' }>;

/** Why an event with heatmap data gives no rows at all (H-3); label `drop_cause` of `heatmap_event_extraction`. */
export type HeatmapDropCause = 'invalid_distinct_id' | 'invalid_viewport_dimensions';

/** What an event says of where its page was touched. The event itself goes on in any case (H-3). */
export interface Heatmap {
  readonly rows: readonly HeatmapRow[];
  readonly dropCause: HeatmapDropCause | undefined;
  readonly warning: IngestionWarning | undefined;
}

export interface HeatmapParts {
  /** posthog_team.heatmaps_opt_in is not false (H-2). */
  readonly isOptedIn: boolean;
  readonly teamId: number;
  readonly eventUuid: string;
  readonly timestampMs: number;
}

/** H-4: coordinates are kept in cells of so many pixels. */
const SCALE_FACTOR = 16;
/** More than a browser can gather between two events; beyond it the rest of the items is left out. Bounds the rows of one record. */
const MAX_ITEMS_PER_EVENT = 10_000;
/** The columns are Int16. */
const INT16 = { min: -0x8000, max: 0x7fff } as const;

const NOTHING: Heatmap = { rows: [], dropCause: undefined, warning: undefined };

/**
 * H-1 to H-4: the heatmap rows of an event, with `$heatmap_data` taken off it (set to undefined: `delete` would turn the object into a
 * slow dictionary). Nearly all events have none, and cost two reads. Never throws.
 */
export function takeHeatmap(event: PluginEvent, parts: HeatmapParts): Heatmap {
  const { properties } = event;
  const data = properties['$heatmap_data'];
  if (data !== undefined) properties['$heatmap_data'] = undefined;
  const scrolled = Boolean(properties['$prev_pageview_pathname'] && properties['$current_url']);
  if (!parts.isOptedIn || (!data && !scrolled)) return NOTHING;

  const pages = isJsonObject(data) ? Object.entries(data) : [];
  if (scrolled) {
    const url = previousUrl(properties);
    // The whole extraction ends here, as PostHog's does: an event that lies about its own address is not to be trusted with the rest.
    if (url === undefined) return { ...NOTHING, warning: warning('invalid_heatmap_data', { eventUuid: parts.eventUuid }) };
    pages.push([url, [{ x: 0, y: properties['$prev_pageview_max_scroll'], target_fixed: false, type: 'scrolldepth' }]]);
  }
  if (pages.length === 0) return NOTHING;

  if (isIllegalDistinctId(event.distinct_id)) return { ...NOTHING, dropCause: 'invalid_distinct_id' };
  const height = cells(properties['$viewport_height']);
  const width = cells(properties['$viewport_width']);
  if (height === undefined || width === undefined) return { ...NOTHING, dropCause: 'invalid_viewport_dimensions' };
  return { ...NOTHING, rows: rowsOf(event, pages, { ...parts, height, width }) };
}

function rowsOf(
  { distinct_id: distinctId, properties }: PluginEvent,
  pages: readonly (readonly [url: string, items: unknown])[],
  { teamId, eventUuid, timestampMs, height, width }: HeatmapParts & { readonly height: number; readonly width: number },
): readonly HeatmapRow[] {
  const rows: HeatmapRow[] = [];
  const sessionId = toText(properties['$session_id']);
  for (const [currentUrl, items] of pages) {
    if (currentUrl.trim() === '' || !Array.isArray(items)) continue;
    for (const item of items as readonly unknown[]) {
      if (rows.length >= MAX_ITEMS_PER_EVENT) return rows;
      if (!isJsonObject(item)) continue;
      const { x, y, type, target_fixed: isFixed } = item;
      const [column, row] = [cells(x), cells(y)];
      if (column === undefined || row === undefined || typeof type !== 'string' || type.trim() === '') continue; // H-3
      rows.push({
        table: 'heatmaps',
        teamId,
        eventUuid,
        type,
        x: column,
        y: row,
        scaleFactor: SCALE_FACTOR,
        viewportWidth: width,
        viewportHeight: height,
        pointerTargetFixed: Boolean(isFixed),
        currentUrl,
        sessionId,
        distinctId,
        timestampMs,
      });
    }
  }
  return rows;
}

/** H-4. Undefined for what is no number; a number beyond the column stays at its end, where PostHog's ClickHouse would wrap it around. */
function cells(pixels: unknown): number | undefined {
  if (typeof pixels !== 'number' || Number.isNaN(pixels)) return undefined;
  return Math.min(Math.max(Math.round(pixels / SCALE_FACTOR), INT16.min), INT16.max);
}

/** H-1: the present address with the path of the page before. Undefined when it is no address. */
function previousUrl(properties: Json): string | undefined {
  const current = URL.parse(toText(properties['$current_url']));
  if (current === null) return undefined;
  current.pathname = toText(properties['$prev_pageview_pathname']);
  return current.href;
}
