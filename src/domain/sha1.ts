/**
 * SHA-1 (RFC 3174) of short byte strings, for uuids only: not for anything that must resist an attacker.
 * Why it is here: one uuid of a person per new or personless event costs 0.28 us this way, 0.6 us with crypto.hash and
 * 2.0 us with createHash (docs/measured.md), all of it the crossing into C++.
 */

/** Message schedule and result; synchronous use only, so one of each serves all calls. */
const words = new Int32Array(80);
const digest = new Uint8Array(20);

/** The 20 bytes of the hash of `input[0, length)`. The answer is overwritten by the next call. */
export function sha1(input: Uint8Array, length: number): Uint8Array {
  let h0 = 0x67452301;
  let h1 = 0xefcdab89 | 0;
  let h2 = 0x98badcfe | 0;
  let h3 = 0x10325476;
  let h4 = 0xc3d2e1f0 | 0;

  // padding: one bit, zeros, the length in bits as 64 bits, up to a whole block
  const blocks = ((length + 8) >>> 6) + 1;
  for (let block = 0; block < blocks; block++) {
    fillWords(input, length, block << 6);
    if (block === blocks - 1) {
      words[14] = Math.floor(length / 0x2000_0000);
      words[15] = length << 3;
    }
    for (let t = 16; t < 80; t++) {
      const mixed = word(t - 3) ^ word(t - 8) ^ word(t - 14) ^ word(t - 16);
      words[t] = (mixed << 1) | (mixed >>> 31);
    }
    let a = h0;
    let b = h1;
    let c = h2;
    let d = h3;
    let e = h4;
    for (let t = 0; t < 80; t++) {
      let f: number;
      if (t < 20) f = ((b & c) | (~b & d)) + 0x5a827999;
      else if (t < 40) f = (b ^ c ^ d) + 0x6ed9eba1;
      else if (t < 60) f = ((b & c) | (b & d) | (c & d)) - 0x70e44324;
      else f = (b ^ c ^ d) - 0x359d3e2a;
      const next = (((a << 5) | (a >>> 27)) + f + e + word(t)) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    h0 = (h0 + a) | 0;
    h1 = (h1 + b) | 0;
    h2 = (h2 + c) | 0;
    h3 = (h3 + d) | 0;
    h4 = (h4 + e) | 0;
  }
  writeWord(0, h0);
  writeWord(4, h1);
  writeWord(8, h2);
  writeWord(12, h3);
  writeWord(16, h4);
  return digest;
}

/** The sixteen big-endian words of one block, with the one bit behind the last byte. */
function fillWords(input: Uint8Array, length: number, start: number): void {
  for (let t = 0; t < 16; t++) {
    const at = start + (t << 2);
    words[t] =
      (byteAt(input, length, at) << 24) |
      (byteAt(input, length, at + 1) << 16) |
      (byteAt(input, length, at + 2) << 8) |
      byteAt(input, length, at + 3);
  }
}

function byteAt(input: Uint8Array, length: number, at: number): number {
  return at < length ? (input[at] ?? 0) : at === length ? 0x80 : 0;
}

/** A Int32Array read that the compiler knows to be a number; always in range here. */
function word(t: number): number {
  return words[t] ?? 0;
}

function writeWord(at: number, value: number): void {
  digest[at] = value >>> 24;
  digest[at + 1] = value >>> 16;
  digest[at + 2] = value >>> 8;
  digest[at + 3] = value;
}
