import { MAX_DEPTH } from '../domain/json.ts';
import { done, refuse, unparsable, type Attempt } from './answers.ts';

/**
 * JSON.parse for what strangers sent. Two things are done that it does not do by itself:
 * - what nests deeper than {@link MAX_DEPTH} is refused here: ingestion would, after the client was told 200;
 * - numbers are kept or refused, never changed: an integer that no double holds stays as it is written (`JSON.rawJSON`, which
 *   JSON.stringify writes out digit by digit), and a number beyond a double is refused, since it would become `null`.
 *
 * Of a key that is there twice the last value counts; `__proto__` is a key like others.
 */
export function readJson(text: string): Attempt<unknown> {
  const found = scan(text);
  if (found === 'too-deep') return refuse(unparsable('recursion limit exceeded'));
  try {
    return done(found === 'long-numbers' ? (JSON.parse as ParseWithSource)(text, keepNumber) : JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof OutOfRange) return refuse(unparsable(error.message));
    throw error;
  }
}

class OutOfRange extends Error {}

/** Part of Node since 22 (ECMAScript 2026), not yet of TypeScript's library. */
type ParseWithSource = (text: string, reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown) => unknown;
const { rawJSON, isRawJSON } = JSON as unknown as {
  readonly rawJSON: (text: string) => object;
  readonly isRawJSON: (value: unknown) => boolean;
};

function keepNumber(_key: string, value: unknown, { source }: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || source === undefined) return value;
  if (!Number.isFinite(value)) throw new OutOfRange('number out of range');
  return Number.isInteger(value) && !Number.isSafeInteger(value) && INTEGER.test(source) ? rawJSON(source) : value;
}
const INTEGER = /^-?\d+$/;

/** True for what is an object in memory and a number on paper. */
export const isKeptNumber = (value: unknown): boolean => isRawJSON(value);

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** From this many digits on an integer may not be a double's. */
const LONG_DIGITS = 16;

/**
 * One look at the text, strings skipped: how deep it nests, and whether it has numbers that a double may not hold.
 * Malformed text gets any answer: JSON.parse says what is wrong with it.
 */
function scan(text: string): 'plain' | 'long-numbers' | 'too-deep' {
  let depth = 0;
  let digits = 0;
  let hasLongNumbers = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x30 && code <= 0x39) {
      if (++digits === LONG_DIGITS) hasLongNumbers = true;
      continue;
    }
    // An exponent of three digits may leave a double's range.
    if ((code === 0x65 || code === 0x45) && digits > 0 && /^[eE]\+?\d{3}/.test(text.slice(at, at + 5))) hasLongNumbers = true;
    digits = 0;
    if (code === QUOTE) {
      at = endOfString(text, at);
      if (at < 0) break;
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > MAX_DEPTH) return 'too-deep';
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return hasLongNumbers ? 'long-numbers' : 'plain';
}

/** Where the string that opens at `from` closes; -1 when it does not. */
function endOfString(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return -1;
}
