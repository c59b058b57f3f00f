/**
 * A name for a key that nact accepts and that shows nothing of the key: two 32-bit multiply-xor lanes over its UTF-16 units, in base 36.
 * It need not be unique (a group's incarnation number follows it in every name) nor resist an attacker (names only label actors).
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
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
