import type { Json } from '../../domain/event.ts';
import { without, type Batch, type Stage } from '../batch.ts';
import { isObject, type RawEvent } from '../shapes.ts';
import { copyJson } from './copy-json.ts';
import type { Opened } from './open.ts';
import type { AboutRequest, DataPlugin, PluginEvent } from './plugin.ts';

/**
 * Hands each event to the plugins of kind data, one plugin after the other, the events of a request in their order. What a plugin gives back takes
 * the event's place, and `null` leaves it out (cause `plugin`). Where it fails, the event goes on as it was before this plugin, or, with
 * `onError: refuse`, the request is told to come again. Not for session recordings.
 */
export function dataPlugins(plugins: readonly Opened<DataPlugin>[]): Stage<RawEvent> {
  if (plugins.length === 0) return (next) => next;
  return (next) => async (batch) => {
    let current = batch;
    for (const plugin of plugins) {
      const processed = await throughPlugin(plugin, current);
      if (processed === undefined) return { type: 'unavailable' };
      current = processed;
    }
    return next(current);
  };
}

/** The batch as the plugin leaves it; undefined when it failed, and must not. */
async function throughPlugin(
  { plugin, caller, onError }: Opened<DataPlugin>,
  batch: Batch<RawEvent>,
): Promise<Batch<RawEvent> | undefined> {
  const session = caller.begin();
  try {
    const about = aboutOf(batch, session.signal);
    const results = new Map<RawEvent, RawEvent | null>();
    for (const raw of batch.events) {
      const called = await session.run(
        () => plugin.process(eventOf(raw), about),
        (given) => readBack(raw, given),
      );
      if (called.type === 'failed' && onError === 'refuse') return undefined;
      results.set(raw, called.type === 'done' ? called.value : raw);
    }
    const kept = without(batch, (raw) => (results.get(raw) === null ? 'plugin' : undefined));
    return { ...kept, events: kept.events.map((raw) => results.get(raw) ?? raw) };
  } finally {
    session.end();
  }
}

export function aboutOf({ token, exchange, ip }: Batch<RawEvent>, signal: AbortSignal): AboutRequest {
  return { token, path: exchange.route.path, ip, receivedMs: exchange.receivedMs, signal };
}

function eventOf({ event, distinctId, properties, timestamp, set, setOnce, uuid }: RawEvent): PluginEvent {
  return copyJson({ event, distinct_id: distinctId, properties, timestamp, $set: set, $set_once: setOnce, uuid });
}

/** @throws Error when it is no event: a field that has another type than clients may give it, or something that no JSON can say. */
function readBack(raw: RawEvent, given: unknown): RawEvent | null {
  if (given === null) return null;
  if (!isObject(given)) throw new Error(`it gave back ${given === undefined ? 'nothing: an event, or null' : 'no event'}`);
  const { event, distinct_id: distinctId, properties, timestamp, $set: set, $set_once: setOnce } = copyJson<Json>(given);
  if (typeof event !== 'string' || event === '') throw new Error('it gave back an event without a name');
  if (!isObject(properties)) throw new Error('it gave back an event whose properties are no object');
  if (timestamp !== undefined && typeof timestamp !== 'string') throw new Error('it gave back an event whose timestamp is no text');
  return { ...raw, event, distinctId, properties, timestamp, set: objectOf('$set', set), setOnce: objectOf('$set_once', setOnce) };
}

function objectOf(name: string, value: unknown): Json | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw new Error(`it gave back an event whose ${name} is no object`);
  return value;
}
