/** The team's plugins, one after the other (V-2): each has answered for every event before the next one is asked. */
import { resolveTimestamp } from '../../src/domain/timestamp.ts';
import type { PluginAnswer } from '../plugin/messages.ts';
import { traceStage, type Ctx, type Shared } from './asking.ts';
import { drop, end, guard, noteTimestampWarnings } from './ends.ts';
import { markPlugins, notePlugin } from './plugins.ts';
import { prepareAgain } from './prepare.ts';
import type { Item, Work } from './state.ts';

/** Hands every event to the next plugin of the chain (V-2). True: wait for the answers. */
export function invokeNextPlugin(shared: Shared, work: Work, ctx: Ctx): boolean {
  const { plugins } = work.message;
  for (; work.pluginIndex < plugins.length;) {
    const plugin = plugins[work.pluginIndex++];
    if (plugin === undefined) continue;
    work.stageStartedMs = ctx.clock.now();
    for (const item of work.items) {
      if (item.ended || notePlugin(item, plugin, 'seen-before')) continue;
      const ticket = shared.nextTicket++;
      const told = plugin.ref.tell({ type: 'invoke', ticket, event: item.event, replyTo: ctx.self });
      if (told === 'accepted') work.tickets.set(ticket, item);
      // A plugin's actor that is full or gone is a failed plugin (PE-3): the event goes on without it, and says so.
      else notePlugin(item, plugin, 'failed');
    }
    if (work.tickets.size > 0) return true;
  }
  return false;
}

/** The event goes on as the plugin returned it, unless the plugin wants it dropped. */
export function pluginAnswered(work: Work, item: Item, answer: PluginAnswer): void {
  const plugin = work.message.plugins[work.pluginIndex - 1];
  const { result } = answer;
  if (result.type === 'dropped') {
    item.ended = true;
    return drop(item.pending, 'plugin'); // L-5, PE-4
  }
  if (result.type !== 'quarantined' && result.event !== undefined) item.event = result.event;
  if (plugin !== undefined) notePlugin(item, plugin, result.type === 'event' ? 'succeeded' : 'failed');
}

/** Holds what the plugins returned to the rules again, and resolves the timestamp of every event. */
export function afterPlugins(shared: Shared, work: Work, ctx: Ctx): void {
  const nowMs = ctx.clock.now();
  const ran = work.message.plugins.length > 0;
  if (ran) traceStage(work, work.items, 'plugins', ctx);
  for (const item of work.items) {
    if (item.ended) continue;
    guard(
      shared,
      item.pending,
      'normalise',
      () => {
        if (ran) {
          markPlugins(item);
          const wrong = prepareAgain(item.event, item.mode);
          if (wrong !== undefined) return end(shared, item, 'processing_error', 'plugins', wrong);
        }
        const { timestampMs, warnings } = resolveTimestamp(item.event, nowMs, item.pending.timestampMs);
        item.timestampMs = timestampMs;
        noteTimestampWarnings(shared, work, warnings, ctx);
      },
      item,
    );
  }
}
