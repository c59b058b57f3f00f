import type { Json, PluginEvent } from './event.ts';
import { asJsonObject, own } from './json.ts';

/**
 * what errors of one kind have in common. A `$exception` that brings a `$exception_fingerprint` keeps it; else it is made of its type,
 * its message and the function it was thrown in, as far as they are there; with none of them there is none. True: the event has one now.
 */
export function fingerprintException(event: PluginEvent): boolean {
  const { properties } = event;
  if (properties['$exception_fingerprint']) return true;
  const parts = [properties['$exception_type'], properties['$exception_message'], functionOf(properties)].filter(Boolean);
  if (parts.length === 0) return false;
  properties['$exception_fingerprint'] = parts;
  return true;
}

/** The function of the first frame: of the stack as JSON text, or of the first exception in the list. */
function functionOf(properties: Readonly<Json>): unknown {
  const raw = properties['$exception_stack_trace_raw'];
  if (raw) return functionOfFirst(framesIn(raw));
  const list = properties['$exception_list'];
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  return functionOfFirst(asJsonObject(asJsonObject(first)?.['stacktrace'])?.['frames']);
}

function framesIn(raw: unknown): unknown {
  if (typeof raw !== 'string') return undefined;
  try {
    return JSON.parse(raw);
  } catch {
    return undefined; // a stack that cannot be read is no reason to lose the event
  }
}

function functionOfFirst(frames: unknown): unknown {
  const frame = Array.isArray(frames) ? asJsonObject(frames[0]) : undefined;
  return frame === undefined ? undefined : own(frame, 'function');
}
