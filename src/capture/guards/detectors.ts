export const DETECTORS = ['emails', 'cards', 'ipv4'] as const;
/** What is told by its looks, whatever the property is called. */
export type Detector = (typeof DETECTORS)[number];

/** In place of what was found. */
export const MASK = '***';

/** What was found, by detector. */
export type Findings = Partial<Record<Detector, number>>;

/**
 * The text with {@link MASK} in place of what the detectors find, which is counted; the same text when that is nothing. The time is linear in the
 * text, whatever stands in it: what repeats in a pattern is bounded, or has one place to begin at.
 */
export function maskText(text: string, detectors: readonly Detector[], findings: Findings): string {
  let masked = text;
  for (const detector of detectors) {
    masked = SEARCHES[detector](masked, () => {
      findings[detector] = (findings[detector] ?? 0) + 1;
      return MASK;
    });
  }
  return masked;
}

/** Gives back the text with `mask()` for each finding. */
type Search = (text: string, mask: () => string) => string;

/** Not a part of a longer number, of hexadecimal digits, or of a fraction; as it is printed on cards, in fours (American Express: 4-6-5), or without blanks. */
const CARDS = /(?<![\da-f]|\d\.)(?:[2-6]\d{12,18}|[2-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}|3\d{3}([ -])\d{6}\2\d{4,5})(?![\da-f])/gi;
/** Not the version behind the name of a browser: `Chrome/120.0.0.0`. */
const IPV4 = /(?<![\d.]|[a-z]\/)(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?![\d.])/gi;

const SEARCHES: Readonly<Record<Detector, Search>> = {
  emails: maskEmails,
  cards: (text, mask) => text.replace(CARDS, (found) => (isCardNumber(found.replaceAll(/[ -]/g, '')) ? mask() : found)),
  ipv4: (text, mask) => text.replace(IPV4, mask),
};

/** `%40` is the `@` of a URL. */
const AT = /@|%40/g;
const LOCAL_LETTER = /[\p{L}\p{N}._+'-]/u;
const DOMAIN = /[\p{L}\p{N}-]{1,63}(?:\.[\p{L}\p{N}-]{1,63}){1,8}/uy;
/** RFC 5321. */
const LOCAL_LETTERS = 64;

/** From each `@` to both sides: from the left, every letter of a long text would be the beginning of an address. */
function maskEmails(text: string, mask: () => string): string {
  let masked = '';
  let doneTo = 0;
  for (const { 0: at, index } of text.matchAll(AT)) {
    if (index < doneTo) continue;
    let begin = index;
    while (begin > doneTo && index - begin < LOCAL_LETTERS && LOCAL_LETTER.test(text.charAt(begin - 1))) begin--;
    DOMAIN.lastIndex = index + at.length;
    if (begin === index || !DOMAIN.test(text)) continue;
    masked += text.slice(doneTo, begin) + mask();
    doneTo = DOMAIN.lastIndex;
  }
  return doneTo === 0 ? text : masked + text.slice(doneTo);
}

/** Lengths by the first digits: Visa, Mastercard, American Express, Diners Club, JCB, and what begins with 6. */
const CARD = /^(?:4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14,17}|6\d{15,18})$/;

/** Whether digits are the number of a payment card: of a length that its first digits allow, and with a right check digit (Luhn). */
export function isCardNumber(digits: string): boolean {
  if (!CARD.test(digits)) return false;
  let sum = 0;
  for (let at = digits.length - 1, doubled = false; at >= 0; at--, doubled = !doubled) {
    const digit = Number(digits[at]) * (doubled ? 2 : 1);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return sum % 10 === 0;
}
