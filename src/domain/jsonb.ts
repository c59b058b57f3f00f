const ESCAPED_NULL = '\\u0000';
const REPLACEMENT = '\\uFFFD';
/** An escaped backslash, to step over, or an escaped surrogate; `JSON.stringify` escapes only lone ones. */
const BACKSLASH_OR_LONE_SURROGATE = /\\\\|\\u[dD][89a-fA-F][0-9a-fA-F]{2}/g;

/**
 * JSON text as jsonb can hold it. Rule Z-1: `\u0000` becomes `\uFFFD`, textually, so that the six characters backslash-u0000 in a string
 * change too, as PostHog's do. Lone surrogates, which jsonb refuses, become U+FFFD.
 */
export function asJsonb(text: string): string {
  if (!text.includes('\\u')) return text;
  return text
    .replaceAll(ESCAPED_NULL, REPLACEMENT)
    .replace(BACKSLASH_OR_LONE_SURROGATE, (found) => (found === '\\\\' ? found : REPLACEMENT));
}
