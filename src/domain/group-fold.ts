import type { Json } from './event.ts';
import { own, putAll } from './json.ts';

/**
 * GU-1, GU-2: a group's properties with `set` over them. Changed when the group is new (no `existing`), a key is
 * missing, or a value differs by `!=`: 1 and '1' are equal, objects never are. Pure.
 */
export function foldGroup(
  existing: Readonly<Json> | undefined,
  set: Readonly<Json>,
): { readonly properties: Readonly<Json>; readonly changed: boolean } {
  if (existing !== undefined && !differs(existing, set)) return { properties: existing, changed: false };
  const properties: Json = { ...existing };
  putAll(properties, set);
  return { properties, changed: true };
}

function differs(existing: Readonly<Json>, set: Readonly<Json>): boolean {
  for (const key in set) {
    if (!Object.hasOwn(existing, key) || !isLooselyEqual(own(existing, key), own(set, key))) return true;
  }
  return false;
}

/** `==` on JSON values, without the conversions that let an object's own `toString` throw. */
function isLooselyEqual(a: unknown, b: unknown): boolean {
  if ((typeof a === 'object' && a !== null) || (typeof b === 'object' && b !== null)) return false;
  return a == b;
}
