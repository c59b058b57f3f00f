import type { PersonId } from './ids.ts';
import { sha1 } from './sha1.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** T-4: 8-4-4-4-12 hex digits of any case and version. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && value.length === 36 && UUID.test(value);
}

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case text of 16 bytes. */
export function uuidFromBytes(bytes: ArrayLike<number>): string {
  let text = '';
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    text += HEX[bytes[i] ?? 0];
  }
  return text;
}

/** The value of a hex digit. 0-9, A-F and a-f differ in their low bits only by the offset of the letters. */
export function nibble(code: number): number {
  return (code & 15) + (code > 57 ? 9 : 0);
}

/** 932979b4-65c3-4424-8467-0b66ec27bc22 */
const PERSON_NAMESPACE = Uint8Array.of(0x93, 0x29, 0x79, 0xb4, 0x65, 0xc3, 0x44, 0x24, 0x84, 0x67, 0x0b, 0x66, 0xec, 0x27, 0xbc, 0x22);

/** P-1: the uuid of the person whose first id is this one; the same wherever and whenever it is computed. */
export function personUuid(teamId: number, distinctId: string): PersonId {
  return uuidV5(PERSON_NAMESPACE, `${teamId}:${distinctId}`) as PersonId;
}

const encoder = new TextEncoder();
/** 16 bytes of namespace and the name. Synchronous use only, so one buffer serves all calls; long names get their own. */
const scratch = new Uint8Array(2_048);

/** RFC 9562 version 5: SHA-1 of the namespace's bytes and the name in UTF-8. */
export function uuidV5(namespace: Uint8Array, name: string): string {
  let input = scratch;
  if (16 + name.length * 3 > scratch.length) input = new Uint8Array(16 + name.length * 3);
  input.set(namespace);
  const { written } = encoder.encodeInto(name, input.subarray(16));
  const hash = sha1(input, 16 + written);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x50;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  return uuidFromBytes(hash);
}

/** RFC 9562 version 7: 48 bits of Unix milliseconds (floored at 0), then the caller's 10 random bytes. */
export function uuidV7(parts: { readonly nowMs: number; readonly random: Uint8Array }): string {
  const bytes = new Uint8Array(16);
  let ms = Math.max(0, Math.floor(parts.nowMs));
  for (let i = 5; i >= 0; i--) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes.set(parts.random.subarray(0, 10), 6);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return uuidFromBytes(bytes);
}
