import type { Json } from '../domain/event.ts';

const ESCAPED_NULL = '\\u0000';
const REPLACEMENT = '\\uFFFD';
/** An escaped backslash, to step over, or an escaped surrogate; `JSON.stringify` escapes only lone ones. */
const BACKSLASH_OR_LONE_SURROGATE = /\\\\|\\u[dD][89a-fA-F][0-9a-fA-F]{2}/g;

/**
 * The JSON text of an object, in a form that jsonb takes. Rule Z-1: `\u0000` becomes `\uFFFD`, textually, so that the six
 * characters backslash-u0000 in a string change too, as PostHog's do. Lone surrogates, which jsonb refuses, become U+FFFD.
 */
export function jsonbText(value: Readonly<Json>): string {
  return asJsonb(JSON.stringify(value));
}

/** As {@link jsonbText}, of an object whose text is there already. */
export function asJsonb(text: string): string {
  if (!text.includes('\\u')) return text;
  return text
    .replaceAll(ESCAPED_NULL, REPLACEMENT)
    .replace(BACKSLASH_OR_LONE_SURROGATE, (found) => (found === '\\\\' ? found : REPLACEMENT));
}
