import type { Json } from '../domain/event.ts';
import { asJsonb } from '../domain/jsonb.ts';

/** The JSON text of an object, in a form that jsonb takes (Z-1). */
export function jsonbText(value: Readonly<Json>): string {
  return asJsonb(JSON.stringify(value));
}
