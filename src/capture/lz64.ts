/**
 * LZ-string in base64, which posthog-js used before browsers could gzip (spec/capture.md 2, step 7).
 *
 * A variant of LZ78 over UTF-16 units. Codes have as many bits as the dictionary needs, least significant bit first;
 * each base64 letter brings six bits, its highest first. Codes 0 and 1 announce a new unit of 8 or 16 bits, 2 ends the
 * text, any other one names a phrase heard before. After every phrase the former phrase plus its first unit is a new one.
 */

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=';
const VALUES = new Map([...LETTERS].map((letter, value) => [letter.charCodeAt(0), value]));

const UNIT_OF_8 = 0;
const UNIT_OF_16 = 1;
const END = 2;
const FIRST_PHRASE = 3;

type Attempt = { readonly text: string } | 'invalid' | 'too-large';

/** 'invalid' when these are no such letters or the text breaks off, 'too-large' as soon as it has more than `limitUnits` UTF-16 units. */
export function decompressLz64(letters: string, limitUnits: number): Attempt {
  const read = bitReader(letters);
  const first = readUnit(read, read(2));
  if (first === undefined) return 'invalid';
  if (first === END) return { text: '' };
  const phrases: string[] = [];
  const parts: string[] = [first];
  phrases[FIRST_PHRASE] = first;
  let former = first;
  let units = 1;
  let bits = 3;
  /** New phrases until codes need one bit more. */
  let room = 4;
  const learn = (phrase: string): void => {
    phrases.push(phrase);
    if (--room === 0) room = 2 ** bits++;
  };
  for (;;) {
    let code = read(bits);
    if (code === UNIT_OF_8 || code === UNIT_OF_16) {
      const unit = readUnit(read, code);
      if (typeof unit !== 'string') return 'invalid';
      learn(unit);
      code = phrases.length - 1;
    }
    if (code === undefined) return 'invalid';
    if (code === END) return { text: parts.join('') };
    // The phrase that is being learnt with this very code: its first unit is the former one's.
    const phrase = phrases[code] ?? (code === phrases.length ? former + former.charAt(0) : undefined);
    if (phrase === undefined) return 'invalid';
    units += phrase.length;
    if (units > limitUnits) return 'too-large';
    parts.push(phrase);
    learn(former + phrase.charAt(0));
    former = phrase;
  }
}

/** Reads that many bits as a number; undefined when the letters are used up, or there is one that is none. */
type ReadBits = (count: number) => number | undefined;

function bitReader(letters: string): ReadBits {
  let at = 0;
  let value = 0;
  let left = 0;
  return (count) => {
    let result = 0;
    for (let bit = 0; bit < count; bit++) {
      if (left === 0) {
        const next = VALUES.get(letters.charCodeAt(at++));
        if (next === undefined) return undefined;
        value = next;
        left = 6;
      }
      left--;
      result += ((value >> left) & 1) * 2 ** bit;
    }
    return result;
  };
}

function readUnit(read: ReadBits, code: number | undefined): string | typeof END | undefined {
  if (code === END) return END;
  if (code !== UNIT_OF_8 && code !== UNIT_OF_16) return undefined;
  const unit = read(code === UNIT_OF_8 ? 8 : 16);
  return unit === undefined ? undefined : String.fromCharCode(unit);
}
