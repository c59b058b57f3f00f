import type { Random } from '../runtime/clock.ts';

/** The ten bytes of chance that a version 7 uuid wants. */
export function randomBytes(random: Random): Uint8Array {
  return Uint8Array.from({ length: 10 }, () => Math.floor(random.next() * 256));
}
