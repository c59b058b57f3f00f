import { asJsonObject } from '../../src/domain/json.ts';
import type { PluginHandle } from './messages.ts';
import type { Item } from './state.ts';

const labelOf = (plugin: PluginHandle): string => `${plugin.name} (${plugin.pluginConfigId})`;

/**
 * Rules PE-5 and PE-6: which plugins had the event. 'seen-before' only asks: true when the event arrived with the plugin's
 * name on it, from a run before, and must not be given to it again.
 */
export function notePlugin(item: Item, plugin: PluginHandle, what: 'seen-before' | 'succeeded' | 'failed'): boolean {
  const label = labelOf(plugin);
  if (what === 'seen-before') {
    // a plugin before it may have returned an event without properties
    const { $plugins_succeeded: succeeded, $plugins_failed: failed } = asJsonObject(item.event.properties) ?? {};
    return [succeeded, failed].some((names) => Array.isArray(names) && names.includes(label));
  }
  if (what === 'succeeded') (item.succeeded ??= []).push(label);
  else (item.failed ??= []).push(label);
  return false;
}

/**
 * Rule PE-5, on whatever object the last plugin returned. PostHog writes on the original object and loses the names when a
 * plugin returns a new one; a reader of the row wants them either way.
 */
export function markPlugins(item: Item): void {
  const properties = asJsonObject(item.event.properties) ?? (item.event.properties = {});
  const { $plugins_succeeded: succeeded, $plugins_failed: failed } = properties;
  properties['$plugins_succeeded'] = [...(Array.isArray(succeeded) ? (succeeded as unknown[]) : []), ...(item.succeeded ?? [])];
  properties['$plugins_failed'] = [...(Array.isArray(failed) ? (failed as unknown[]) : []), ...(item.failed ?? [])];
}
