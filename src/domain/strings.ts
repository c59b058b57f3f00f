/**
 * Text rules that hold wherever a value from outside becomes a string. All functions are total: no JSON value makes
 * them throw, not even `{"toString":null}` (one such id once stopped a partition for every tenant of PostHog, #101518).
 */

/** Arrays inside arrays beyond this depth read as ''; String() would recurse until the stack ends. */
const MAX_ARRAY_DEPTH = 8;

/**
 * String(value) for any JSON value, without calling anything the value brings along: objects are always
 * `[object Object]`, arrays their elements joined by commas (null and undefined elements are empty).
 */
export function toText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value);
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  return Array.isArray(value) ? arrayText(value, 1) : '[object Object]';
}

/** What a caught error says; of what is no Error its text, without calling anything that it brings along. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : toText(error);
}

function arrayText(values: readonly unknown[], depth: number): string {
  if (depth > MAX_ARRAY_DEPTH) return '';
  return values
    .map((value) => {
      if (value === null || value === undefined) return '';
      return Array.isArray(value) ? arrayText(value, depth + 1) : toText(value);
    })
    .join(',');
}

/** JSON text of a value that came out of JSON; String() where there is no JSON text (undefined, a cycle a plugin made). */
export function toJsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? toText(value);
  } catch {
    // A cycle, a BigInt or a nesting beyond the stack: the rule asks for the String() form then (N-20).
    return toText(value);
  }
}

/** N-1: U+0000 becomes U+FFFD, since PostgreSQL text cannot hold it. Returns the same string when there is none. */
export function replaceNul(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\uFFFD') : text;
}

const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g;

/**
 * N-21: each lone UTF-16 surrogate becomes its JSON escape and one backslash, e.g. `\ud83d\`. Returns the same string
 * when it is well-formed, so `result !== text` tells whether something was substituted. Idempotent.
 */
export function escapeLoneSurrogates(text: string): string {
  if (text.isWellFormed()) return text;
  return text.replace(LONE_SURROGATE, (unit) => `\\u${unit.charCodeAt(0).toString(16)}\\`);
}

/**
 * A distinct id as every store of Troupe sees it (N-1, N-21). The surrogate rule is applied here and not only on the
 * ClickHouse row as PostHog does: otherwise PostgreSQL, ClickHouse and the actor's key would hold three different ids.
 */
export function cleanDistinctId(value: unknown): string {
  return escapeLoneSurrogates(replaceNul(toText(value)));
}

/** T-8: what `posthog_persondistinctid.distinct_id` holds, and the limit above which an event is refused. */
export const MAX_DISTINCT_ID_LENGTH = 400;

/** First `length` UTF-16 units, for details that people read. */
export function cut(text: string, length: number): string {
  return text.length > length ? text.slice(0, length) : text;
}
