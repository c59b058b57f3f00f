import type { PluginEvent } from './event.ts';

/** AM-3: how much of an object is shown to people. */
const MAX_DEPTH = 4;
const MAX_BREADTH = 40;
const MAX_STRING_CHARS = 1_000;

/**
 * JSON text of a value that came out of JSON, shortened: strings to 1,000 characters, objects and arrays to 40 entries and a
 * note on how many more there were, and below the fourth level only `[Object]` or `[Array]` (AM-3).
 */
export function briefJson(value: unknown): string {
  return JSON.stringify(brief(value, 1)) ?? 'null';
}

function brief(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length > MAX_STRING_CHARS ? value.slice(0, MAX_STRING_CHARS) : value;
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return Array.isArray(value) ? '[Array]' : '[Object]';
  if (Array.isArray(value)) {
    const shown: unknown[] = value.slice(0, MAX_BREADTH).map((item) => brief(item, depth + 1));
    if (value.length > MAX_BREADTH) shown.push(`... ${more(value.length - MAX_BREADTH)}`);
    return shown;
  }
  const entries = Object.entries(value);
  const shown = entries.slice(0, MAX_BREADTH).map(([key, item]) => [key, brief(item, depth + 1)] as const);
  if (entries.length > MAX_BREADTH) shown.push(['...', more(entries.length - MAX_BREADTH)]);
  return Object.fromEntries(shown);
}

/** Above it the event is left out: a failing plugin must not send whole events many times over. */
const MAX_DETAILS_CHARS = 32_768;

/** AM-3: `error_details` of a failure, as JSON text, with the event as it is at this moment. */
export function failureDetails(
  { name, message, stack }: { readonly name: string; readonly message: string; readonly stack?: string | undefined },
  event: Readonly<PluginEvent>,
): string {
  const error = stack === undefined ? { name, message } : { name, message, stack };
  const whole = briefJson({ error, event });
  return whole.length <= MAX_DETAILS_CHARS ? whole : briefJson({ error });
}

const more = (count: number): string => `${count} ${count === 1 ? 'item' : 'items'} not stringified`;
