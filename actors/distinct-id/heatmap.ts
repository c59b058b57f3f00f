/** Where pages were touched (spec/ingestion.md 2.11): rows beside an event's own, or all that a `$$heatmap` event is. */
import type { PendingEvent, PluginEvent } from '../../src/domain/event.ts';
import { takeHeatmap, type HeatmapRow } from '../../src/domain/heatmaps.ts';
import { storedUuid } from '../../src/domain/row.ts';
import { resolveTimestamp } from '../../src/domain/timestamp.ts';
import type { Ctx, Shared } from './asking.ts';
import { endWithRows, noteTimestampWarnings, warn } from './ends.ts';
import type { Work } from './state.ts';

/** L-4: neither plugins nor a person nor a row of its own. */
export function endAsHeatmap(shared: Shared, work: Work, pending: PendingEvent, event: PluginEvent, ctx: Ctx): void {
  const { timestampMs, warnings } = resolveTimestamp(event, ctx.clock.now(), pending.timestampMs);
  noteTimestampWarnings(shared, work, warnings, ctx);
  endWithRows(shared, pending, 'heatmap', heatmapRowsOf(shared, work, pending, event, timestampMs, ctx));
}

/** H-1 to H-4; `$heatmap_data` leaves the event. */
export function heatmapRowsOf(
  shared: Shared,
  work: Work,
  pending: PendingEvent,
  event: PluginEvent,
  timestampMs: number,
  ctx: Ctx,
): readonly HeatmapRow[] {
  const { team } = work.message;
  const eventUuid = storedUuid(event, pending);
  const heatmap = takeHeatmap(event, { isOptedIn: team.heatmapsOptIn, teamId: team.id, eventUuid, timestampMs });
  if (heatmap.dropCause !== undefined) shared.findings.note(`heatmap-${heatmap.dropCause}`, ctx.clock);
  if (heatmap.warning !== undefined) warn(shared, work, heatmap.warning, ctx);
  return heatmap.rows;
}
