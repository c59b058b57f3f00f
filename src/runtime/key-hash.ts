/** Digits of a name, all of them allowed by nact: 64, so that six bits make one. */
const DIGITS = Uint8Array.from('0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_', (digit) => digit.charCodeAt(0));
const digit = (bits: number): number => DIGITS[bits & 63] ?? 0;

/**
 * A name for a key that nact accepts and that shows nothing of the key: eight digits, 48 bits of two multiply-xor lanes over its UTF-16
 * units. It need not be unique (a group's incarnation number follows it in every name) nor resist an attacker (names only label actors).
 */
export function keyHash(key: string): string {
  let a = 0x811c9dc5; // FNV's offset basis and prime for one lane, odd constants of the golden ratio for the other
  let b = 0x9e3779b9;
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b);
    b ^= b >>> 15;
  }
  a ^= a >>> 16;
  b ^= b >>> 13;
  // one call makes one flat string; `toString(36)` of two lanes took three times as long
  return String.fromCharCode(
    digit(a),
    digit(a >>> 6),
    digit(a >>> 12),
    digit(a >>> 18),
    digit(b),
    digit(b >>> 6),
    digit(b >>> 12),
    digit(b >>> 18),
  );
}
