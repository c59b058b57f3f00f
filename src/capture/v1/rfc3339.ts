import { parseIsoMs } from '../../domain/time.ts';

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/i;

/** Epoch ms; NaN for anything but a date, a time and a zone. v1 takes no other dates. */
export function parseRfc3339Ms(text: unknown): number {
  return typeof text === 'string' && RFC_3339.test(text) ? parseIsoMs(text.toUpperCase()) : Number.NaN;
}
