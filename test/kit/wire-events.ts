import { gunzipSync } from 'node:zlib';
import { asJsonObject } from '../../src/domain/json.ts';
import type { Exchange } from '../services/wire.ts';

/** An event as a browser sent it. */
export type WireEvent = Readonly<Record<string, unknown>> & { readonly event: string; readonly uuid: string };

/** The paths that posthog-js sends events to. */
const EVENT_PATHS = /^\/(e|i\/v0\/e|s)\/(\?|$)/;

/**
 * The events of a request of posthog-js, unpacked with the platform's own means and none of Troupe's: gzip, or base64 in a form, around an
 * event, an array of them, or a batch. Empty for a request that carries none.
 * @throws Error when a request to a path of events holds something else.
 */
export function eventsOn({ method, url, body }: Exchange): readonly WireEvent[] {
  if (method !== 'POST' || !EVENT_PATHS.test(url)) return [];
  const value: unknown = JSON.parse(body[0] === 0x1f ? gunzipSync(body).toString() : ofForm(body.toString()));
  const batch = asJsonObject(value)?.['batch'];
  const events: readonly unknown[] = Array.isArray(value) ? value : Array.isArray(batch) ? batch : [value];
  return events.map((one) => {
    const fields = asJsonObject(one);
    const { event, uuid } = fields ?? {};
    if (fields === undefined || typeof event !== 'string' || typeof uuid !== 'string') throw new Error(`no event: ${JSON.stringify(one)}`);
    return { ...fields, event, uuid };
  });
}

function ofForm(text: string): string {
  const data = new URLSearchParams(text).get('data');
  return data === null ? text : Buffer.from(data, 'base64').toString();
}
